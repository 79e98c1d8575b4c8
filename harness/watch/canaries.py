"""Canaries on the host: what a break-out would touch, looked at before, between and after all runs.

Planted secrets must appear in nothing that came out of a guest, also encoded; watched files and trees must stay as they
were; no program we do not know may run below this process, and nothing may listen or connect beyond this machine; no
packet beyond a grant may leave the machines' network or reach one of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from executor.network.plane import CONTROLS, OPEN_CARD
from executor.outcome import Outcome
from harness.watch.host_facts import descendants, remote_sockets

if TYPE_CHECKING:
    from harness.watch.packet_watch import PacketWatch

PROGRAMS: Final = frozenset(
    {"qemu-system-x86_64", "qemu-system-x86", "opa", "python3", "python", "pytest", "qemu-img", "libvirtd", "virtlogd"}
) | {"bridge", "ip", "nft", "prlimit", "tc"}
"""Names of programs that may run below a drill (the kernel cuts names at 15 characters).

The last five make machines ready and take them away: network cards (`tc` is run by libvirt) and QEMU's limits. They end
within moments, but that goes on behind a task's back, so a look may find one at work.
"""
_ENVIRONMENT: Final = "CORDON_CANARY"
NETWORK: Final = CONTROLS | {OPEN_CARD}
"""Controls without which packets get through."""


class Fingerprint(NamedTuple):
    """One file without reading it: any write changes the change time, which no program can set back.

    So does a hard link, which parallel executors make to the images they share: where nothing but the change time
    differs, the content decides.
    """

    mode: int
    user: int
    group: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


_FIELDS: Final = attrgetter("st_mode", "st_uid", "st_gid", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""A fingerprint's fields, in its order."""


class Look(NamedTuple):
    """The host at one moment."""

    roots: tuple[Path, ...]
    files: dict[str, Fingerprint]
    programs: dict[int, str]
    sockets: frozenset[str]


def tree(roots: Sequence[Path]) -> dict[str, Fingerprint]:
    """Every file and folder at and below `roots`, links not followed.

    Looked at with every run: one pass over each folder, no `Path` for each file, fields taken all at once.
    """
    found: dict[str, Fingerprint] = {}
    make, fields, fingerprint = tuple.__new__, _FIELDS, Fingerprint
    folders: list[str] = []
    for root in roots:
        try:
            seen = root.lstat()
        except OSError:
            continue
        found[str(root)] = make(fingerprint, fields(seen))
        folders += [str(root)] if root.is_dir() else []
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    found[entry.path] = make(fingerprint, fields(entry.stat(follow_symlinks=False)))
                except OSError:
                    continue  # gone meanwhile, so it is not there
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return found


@lru_cache(maxsize=8)
def spellings(secret: str) -> tuple[bytes, ...]:
    """`secret` as it might leave: plain, reversed, hex, base64 at each of the three offsets."""
    raw = secret.encode()
    coded = [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()]
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        coded.append(whole[4 if offset else 0 : len(whole) - 4])
    return tuple(coded)


@dataclass
class HostWatch:
    """Takes stock before a run and compares after it; plants its secrets once, in `folder` and in the environment."""

    folder: Path
    """A folder of ours; made, mode 0700."""
    trees: tuple[Path, ...] = ()
    """Files and folders that no run may change: policies, images, the agent disk, scenarios."""
    programs: frozenset[str] = PROGRAMS
    blind: frozenset[str] = frozenset()
    """What is overlooked: `files`, `processes`, `sockets`, `secrets`, `packets`. Sabotage sees that each is needed."""
    packets: PacketWatch | None = None
    """The packet sentinel, where the executor has a network that can be watched."""
    secrets: tuple[str, ...] = ()
    writes_outside: int = 0
    """Watched files changed, over all runs."""
    _before: Look = field(default=Look((), {}, {}, frozenset()), repr=False)
    _last: Look | None = field(default=None, repr=False)
    """What the look after the last run saw, when it saw nothing wrong: what the next one is compared with."""
    _digests: dict[str, str] = field(default_factory=dict)
    """Content as it was when the file was first seen."""
    _open: bool = False
    """Whether the walls of the network are down on purpose."""

    def plant(self) -> None:
        """Make fresh secrets; a second call is silent."""
        if self.secrets:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [f"canary-{secrets.token_hex(16)}" for _ in range(2)]
        (self.folder / "credentials").write_text(f"token = {made[0]}\n", encoding="utf-8")
        os.environ[_ENVIRONMENT] = made[1]
        self.secrets = tuple(made)

    def before(self, weakened: frozenset[str] = frozenset()) -> None:
        """Take stock. `weakened`: what is taken away on purpose, in a run that has to get through."""
        self.plant()
        self._open = bool(weakened & NETWORK)
        if self.packets is not None:
            self.packets.skip()
        # Nothing of ours touches what is watched between two runs: one look ends the first and begins the second, and
        # what changes meanwhile, which nobody would see otherwise, is told of the second.
        last, self._last = self._last, None
        self._before = last if last is not None and last.roots == self._roots else self._look()
        for path, seen in self._before.files.items():
            if stat.S_ISREG(seen.mode) and path not in self._digests:
                self._digests[path] = file_digest(Path(path))

    def after(self, *outcomes: Outcome | None, said: str = "") -> tuple[str, ...]:
        """What changed that must not, in words. `said`: other text in which no planted secret may be."""
        texts = ({"what was observed": said.encode()}, *map(_texts, filter(None, outcomes)))
        now = self._look()
        looks: dict[str, Callable[[], Iterable[str]]] = {
            "files": lambda: self._files(now.files),
            "processes": lambda: self._processes(now.programs),
            "sockets": lambda: self._new_sockets(now.sockets),
            "secrets": lambda: (leak for some in texts for leak in self._leaks(some)),
            "packets": lambda: self._stray(outcomes),
        }
        alarms = tuple(alarm for name, look in looks.items() if name not in self.blind for alarm in look())
        self._last = None if alarms or self.blind else now
        return alarms

    @property
    def _roots(self) -> tuple[Path, ...]:
        return (*self.trees, self.folder)

    def _look(self) -> Look:
        below = descendants(os.getpid())
        return Look(self._roots, tree(self._roots), below, remote_sockets((os.getpid(), *below)))

    def close(self) -> None:
        """Take the planted secrets away again; a second call is silent."""
        if self.packets is not None:
            self.packets.close()
        os.environ.pop(_ENVIRONMENT, None)
        (self.folder / "credentials").unlink(missing_ok=True)

    def _files(self, now: Mapping[str, Fingerprint]) -> Iterator[str]:
        before = self._before.files
        if before == now:
            return
        changed = {path for path, seen in now.items() if before.get(path) != seen}
        for path in sorted(changed | (before.keys() - now.keys())):
            old, new = before.get(path), now.get(path)
            if old and new and self._same(path, old, new):
                continue
            self.writes_outside += 1
            what = "appeared" if old is None else "is gone" if new is None else "was changed"
            yield f"{path} {what}"

    def _same(self, path: str, old: Fingerprint, new: Fingerprint) -> bool:
        """Whether two fingerprints differ in nothing that counts: of a folder the entries are compared one by one."""
        if stat.S_ISDIR(new.mode):
            return _same_folder(old, new)
        if old._replace(ctime_ns=new.ctime_ns) != new or path not in self._digests:
            return False
        return file_digest(Path(path)) == self._digests[path]

    def _processes(self, below: Mapping[int, str]) -> Iterator[str]:
        for pid, name in below.items():
            if pid not in self._before.programs and name not in self.programs:
                yield f"an unknown program runs below the drill: {name} (pid {pid})"

    def _new_sockets(self, now: frozenset[str]) -> Iterator[str]:
        for text in sorted(now - self._before.sockets):
            yield f"a socket appeared: {text}"

    def _stray(self, outcomes: Iterable[Outcome | None]) -> Iterable[str]:
        """Packets beyond the grants; with the walls down on purpose there have to be some, or the sentinel is blind."""
        made = [outcome for outcome in outcomes if outcome is not None]
        if self.packets is None:
            return ()
        seen = self.packets.complaints(made)
        if not self._open or not any(outcome.results for outcome in made):
            return seen
        return () if seen else ("the packet sentinel saw nothing of packets that had to get through",)

    def _leaks(self, texts: Mapping[str, bytes]) -> Iterator[str]:
        for place, text in texts.items():
            for number, secret in enumerate(self.secrets):
                if any(spelling in text for spelling in spellings(secret)):
                    yield f"planted secret {number} is in {place}"


def _texts(outcome: Outcome) -> dict[str, bytes]:
    """Everything that came out of a run, by where it is."""
    texts = {f"stdout of command {n}": result.stdout for n, result in enumerate(outcome.results)}
    texts |= {f"stderr of command {n}": result.stderr for n, result in enumerate(outcome.results)}
    texts |= {f"the file {file.path}": file.content for file in outcome.files}
    texts["the event trail"] = json.dumps(outcome.events, default=str).encode()
    texts["the lease"] = json.dumps(outcome.lease, default=str).encode()
    return texts


def _same_folder(old: Fingerprint, new: Fingerprint) -> bool:
    """Whether a folder differs in nothing but size and times: its entries are compared one by one anyway."""
    return old[:4] == new[:4]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(roots: Sequence[Path]) -> str:
    """SHA-256 over names, modes and contents at and below `roots`: for the first and last look of a session."""
    digest = hashlib.sha256()
    for path, found in sorted(tree(roots).items()):
        digest.update(json.dumps([path, found.mode]).encode())
        if stat.S_ISREG(found.mode):
            digest.update(file_digest(Path(path)).encode())
    return digest.hexdigest()

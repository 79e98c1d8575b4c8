"""A control group for every machine's QEMU: memory, processor and threads, where this host lets us make groups.

Resource limits of the process (`limits.py`) hold everywhere; a group holds what they cannot: resident memory instead of
address space, the processor, the threads of one machine instead of an account's. It also counts what the kernel has
killed in it for want of memory, which is how that is told from any other kill. Version 1 and version 2 differ in names
of files; version 2 has to be delegated to us (`executor/host/cgroups.py` says whether).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.errors import outside
from executor.host.cgroups import CONTROLLERS, LEAF, Homes, delegated, look, why_not

PREFIX: Final = "cordon-"
CPU_PERCENT: Final = 150
"""Of one processor: the machine has one, and QEMU's own threads get half as much again."""
PERIOD_US: Final = 100_000
THREADS: Final = 128
"""QEMU has one for the processor, a few of its own and a pool of at most 64 for the disks."""
GONE_S: Final = 2.0
"""How long the kernel may take to let go of a killed process."""


@dataclass(frozen=True, slots=True)
class GroupBounds:
    """What one QEMU may use, whatever its guest does."""

    memory_mb: int
    """MiB, resident, page cache that cannot be given back included."""
    cpu_percent: int = CPU_PERCENT
    threads: int = THREADS


def settings(version: int, bounds: GroupBounds) -> Iterator[tuple[str, str, str]]:
    """(controller, file, what to write) for a group of control groups `version` 1 or 2."""
    memory = str(bounds.memory_mb * 1024 * 1024)
    quota = bounds.cpu_percent * PERIOD_US // 100
    if version == 1:
        yield "memory", "memory.limit_in_bytes", memory
        yield "cpu", "cpu.cfs_period_us", str(PERIOD_US)
        yield "cpu", "cpu.cfs_quota_us", str(quota)
    else:
        yield "memory", "memory.max", memory
        yield "memory", "memory.swap.max", "0"
        yield "cpu", "cpu.max", f"{quota} {PERIOD_US}"
    yield "pids", "pids.max", str(bounds.threads)


OPTIONAL: Final = frozenset({"memory.swap.max"})
"""Not there on hosts without swap accounting."""


class Groups:
    """The groups of this process's machines. Thread-safe: a machine's are touched by one thread at a time."""

    def __init__(self, found: Homes | None = None) -> None:
        """Make a group of our own in each hierarchy; `why_not` says why where that cannot be. `found`: for tests."""
        homes = found or look()
        self.why_not = why_not(homes)
        """Empty, or why machines are held by resource limits only."""
        self.version: Final = homes.version
        name = f"{PREFIX}{os.getpid()}-{_born(os.getpid())}-{secrets.token_hex(2)}"
        self._folders: Final = {controller: homes.folders[controller] / name for controller in homes.folders}
        if self.why_not:
            return
        try:
            if self.version == 2:
                _give_down(homes.folders[CONTROLLERS[0]])
            for folder in homes.folders.values():
                _sweep(folder)
            for folder in self._folders.values():
                folder.mkdir(exist_ok=True)
            if self.version == 2:
                _enable(self._folders[CONTROLLERS[0]])
        except OSError as error:
            self.why_not = f"{error.filename or 'a group'}: {error.strerror}"

    def hold(self, pid: int, name: str, bounds: GroupBounds) -> None:
        """Put process `pid` of machine `name` into a group of its own; one that is gone needs none.

        Raises `OutsideError` where a group could be made at the start and cannot now: the machine must not run.
        """
        if self.why_not:
            return
        try:
            for folder in self._of(name):
                folder.mkdir(exist_ok=True)
            for controller, file, value in settings(self.version, bounds):
                path = self._folders[controller] / name / file
                if path.exists() or file not in OPTIONAL:
                    path.write_text(value)
            for folder in self._of(name):
                (folder / "cgroup.procs").write_text(str(pid))
        except ProcessLookupError:
            self.remove(name)
        except OSError as error:
            self.remove(name)
            raise outside(f"{name} cannot be put into a control group ({error.filename})", error) from None

    def wanted(self, bounds: GroupBounds) -> Iterator[str]:
        """What a group held to `bounds` says of itself; nothing where there are no groups."""
        if not self.why_not:
            yield from (f"{file} {value}" for _, file, value in settings(self.version, bounds) if file not in OPTIONAL)

    def seen(self, pid: int, name: str) -> Iterator[str]:
        """What the groups of machine `name` say of themselves, as far as process `pid` is in them."""
        if self.why_not:
            return
        lines = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace").splitlines()
        ours = [line.split(":")[1] for line in lines if line.endswith(f"/{name}")]
        inside = {controller for part in ours for controller in part.split(",")}
        for controller, file, _ in settings(self.version, GroupBounds(0)):
            if file not in OPTIONAL and (controller in inside or (self.version == 2 and "" in inside)):
                yield f"{file} {(self._folders[controller] / name / file).read_text('ascii').strip()}"

    def memory_kills(self, name: str) -> int:
        """How often the kernel has killed in `name`'s group for want of memory."""
        file = "memory.oom_control" if self.version == 1 else "memory.events"
        if self.why_not:
            return 0
        with contextlib.suppress(OSError, ValueError):
            for line in (self._folders["memory"] / name / file).read_text("ascii").splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def remove(self, name: str) -> None:
        """Remove `name`'s groups, whose process is gone; a second call is silent."""
        if not self.why_not:
            for folder in self._of(name):
                _remove(folder)

    def close(self) -> None:
        """Remove our own groups; a second call is silent."""
        if not self.why_not:
            for folder in set(self._folders.values()):
                _remove_all(folder)

    def _of(self, name: str) -> list[Path]:
        return list(dict.fromkeys(folder / name for folder in self._folders.values()))


def _born(pid: int) -> str:
    """When `pid` started, in ticks since boot: with it a number stands for one process. Empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _give_down(own: Path) -> None:
    """Version 2: let groups below `own` have the controllers; whoever is in it moves into a leaf first."""
    if set(CONTROLLERS) <= set((own / "cgroup.subtree_control").read_text("ascii").split()):
        return
    if not delegated(own):
        raise OSError(errno.EPERM, "is not delegated to us", str(own))
    leaf = own / LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (own / "cgroup.procs").read_text("ascii").split():
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(pid)
    _enable(own)


def _enable(folder: Path) -> None:
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))


def _sweep(home: Path) -> None:
    """Remove what executors left that were killed: their machines have been reaped before."""
    for folder in home.glob(f"{PREFIX}*-*-*"):
        pid, born, *_ = folder.name.removeprefix(PREFIX).split("-")
        if pid.isdigit() and born.isdigit() and _born(int(pid)) != born:
            _remove_all(folder, wait_s=0.0)  # a machine of it that still runs is somebody else's to reap


def _remove_all(folder: Path, *, wait_s: float = GONE_S) -> None:
    with contextlib.suppress(FileNotFoundError):
        for child in folder.iterdir():
            if child.is_dir():
                _remove(child, wait_s=wait_s)
    _remove(folder, wait_s=wait_s)


def _remove(folder: Path, *, wait_s: float = GONE_S) -> None:
    """Remove a group; one that still holds somebody after `wait_s` stays for the next start's sweep."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() >= deadline:
                return
            time.sleep(0.01)  # the kernel tells nobody when a dying process has left; bounded by the deadline
        else:
            return

"""The sandbox of one lease: workspace, root, and a container for each command; the first is made ahead."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final

from executor.channel import channel_pb2 as pb
from executor.guest import artefact, kernel, launch_request, network, sandbox_plan, syscalls
from executor.guest.capability import Programs
from executor.guest.container import Container
from executor.guest.errors import DeniedError, FaultError
from executor.guest.ground import make_container, make_root, unmake_root
from executor.guest.scope import Writable, writable
from executor.guest.spare import Spares
from executor.guest.workspace import SCRATCH, Workspace, quota_for

_RESOLVE: Final = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_SEARCH: Final = ("/usr/bin", "/bin")


class Sandbox:
    """What a lease's commands run in, one after the other."""

    def __init__(
        self,
        number: int,
        lease: pb.Prepare,
        programs: Programs,
        seccomp: Mapping[str, Any],
        *,
        hostname: str,
        weaken: frozenset[str],
        spares: Spares,
    ) -> None:
        """Build it, or take one of `spares`; `number` is new for every sandbox of this VM.

        Raises `DeniedError` for terms that cannot be enforced.
        """
        capabilities = frozenset(lease.capabilities)
        programs.check_known(capabilities)
        limits = sandbox_plan.granted(lease.limits)
        places = writable(lease.paths_write)
        named = artefact.named_by(((item.name, item.sha256) for item in lease.artefacts), capabilities)
        base = f"{SCRATCH}/{1 if 'reset' in weaken else number}"
        self._commands: Final = allowed_commands(lease.commands_allowlist)
        self._env: Final = tuple(lease.env_allowlist)
        self._programs: Final = programs
        self._seccomp: Final = seccomp
        self._next = number * 1000
        shown = frozenset(programs.groups) if "capability_map" in weaken else capabilities
        artefact_folder = f"{base}/artefact" if named else ""
        self.terms: Final = sandbox_plan.Terms(
            capabilities=capabilities,
            groups=programs.gids(shown),
            exec_lists=programs.exec_lists(shown),
            trees=tuple(place.path for place in places),
            limits=limits,
            hostname=hostname,
            weaken=weaken,
            artefacts=artefact_folder,
            resolver=network.RESOLVER if os.path.exists(network.RESOLVER) else "",  # noqa: PTH110 - as in container
        )
        spare = spares.take(self.terms, places)
        self.workspace: Final = spare.workspace if spare else self._new_workspace(number, places)
        # Before the container: it holds the artefacts' folder. Whoever brings artefacts never gets a spare.
        self.artefacts: Final = artefact.Artefacts(base, named, checked=self.terms.has("artefact_check"))
        self.container = spare.container if spare else self._new_container()

    def _new_workspace(self, number: int, places: Sequence[Writable]) -> Workspace:
        make_root(self.terms)
        quota = quota_for(self.terms.limits.disk_quota_mb) if self.terms.has("quota") else None
        owner = sandbox_plan.TASK_UID if self.terms.has("unprivileged_user") else 0
        kept = not self.terms.has("reset")
        return Workspace(1 if kept else number, places, quota, owner, kept=kept)

    def _new_container(self) -> Container:
        self._next += 1
        return make_container(self._next, self.terms, self.workspace.path, self._seccomp)

    def check(self, start: pb.Start) -> bytes:
        """The launcher's request for `start`; raises `DeniedError` when the lease or the map says no."""
        argv = tuple(start.argv)
        if missing := self.artefacts.missing:
            raise DeniedError("guest.artefact_missing", f"{missing[0]} has not come")
        if not argv:
            raise DeniedError("guest.bad_command", "an empty command")
        if self.terms.has("command_check") and _text(argv) not in self._commands:
            raise DeniedError("guest.command_not_in_lease", f"the lease does not list {_shown(argv)}")
        self._renew()
        file = self._check_program(argv[0], start.cwd or "/")
        env = launch_request.environment(
            sandbox_plan.DEFAULT_ENV,
            [(item.name, item.value) for item in start.env],
            self._env,
            enforced=self.terms.has("env_filter"),
        )
        cwd = (start.cwd or sandbox_plan.WORKSPACE).encode()
        return launch_request.encode(cwd=cwd, file=file, argv=argv, env=env)

    def _check_program(self, name: bytes, cwd: str) -> bytes:
        """The path execve will be given, after the capability check on the file it leads to."""
        if b"/" in name:
            candidates: Sequence[bytes] = [name if name.startswith(b"/") else cwd.encode() + b"/" + name]
        else:
            candidates = [folder.encode() + b"/" + name for folder in _SEARCH]
        # The container is there already: its own root shows exactly what the task will see.
        root = os.open(f"/proc/{self.container.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for path in candidates:
                try:
                    handle = syscalls.openat2(root, path, os.O_PATH, resolve=_RESOLVE)
                except OSError as error:
                    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES}:
                        continue
                    raise
                try:
                    facts = os.fstat(handle)
                finally:
                    os.close(handle)
                if not stat.S_ISREG(facts.st_mode):
                    continue
                if (facts.st_dev, facts.st_ino) in self.artefacts.identities:
                    return path
                if self.terms.has("capability_map") and self.terms.has("readonly_root"):
                    self._programs.check(
                        (facts.st_dev, facts.st_ino),
                        os.fsdecode(path),
                        self.terms.capabilities,
                        own_files=sandbox_plan.may_execute_own(self.terms),
                    )
                return path
        finally:
            os.close(root)
        return candidates[0]  # not there: execve says so, and the exit code is 127 as in a shell

    def put(self, path: str, mode: int, data: bytes, *, last: bool) -> tuple[int, str] | None:
        """Append a piece to a file of the workspace or to an artefact; after the last its size and digest."""
        if path.startswith(f"{artefact.PLACE}/"):
            return self.artefacts.put(path, data, last=last)
        return self.workspace.put(path, mode, data, last=last)

    def _renew(self) -> None:
        """Have a container that was not used: the next one is made once it is known that another command comes."""
        if self.container.used:
            self.container.remove()
            self.container = self._new_container()

    def close(self) -> None:
        """Take everything down and wipe the workspace."""
        if not self.terms.has("reset"):
            unmake_root(kept=True)
            return
        self.container.end()
        self.container.remove()
        unmake_root()
        self.workspace.remove()


def allowed_commands(entries: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """The lease's argument vectors, from JSON arrays of strings; raises `FaultError` when one is something else."""
    found = set()
    for entry in entries:
        try:
            vector = json.loads(entry)
        except ValueError as error:
            raise FaultError("guest.bad_message", f"commands_allowlist holds no JSON: {error}") from error
        if not isinstance(vector, list) or not vector or not all(isinstance(item, str) for item in vector):
            raise FaultError("guest.bad_message", "commands_allowlist holds something that is no array of strings")
        found.add(tuple(vector))
    return frozenset(found)


def _text(argv: Sequence[bytes]) -> tuple[str, ...] | None:
    """`argv` as text; None when it is not UTF-8, which no lease can list."""
    try:
        return tuple(item.decode() for item in argv)
    except UnicodeDecodeError:
        return None


def _shown(argv: Sequence[bytes]) -> str:
    text = json.dumps([item.decode(errors="backslashreplace") for item in argv], ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}..."


def boot_id() -> str:
    """The id of this boot. The kernel makes it up when it is first read: not before the generator was reseeded."""
    return kernel.read("/proc/sys/kernel/random/boot_id")

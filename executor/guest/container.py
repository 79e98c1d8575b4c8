"""One container: made ahead with the launcher waiting in it, used for one command, then gone. Rim.

crun makes it (docs/adr/0002). The agent is the subreaper of everything below it, so the container's first process is
its own child; the wait status of the command itself comes from that process over a pipe no other process has.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from executor.guest import kernel, syscalls
from executor.guest.cgroup import Group
from executor.guest.errors import FaultError
from executor.guest.workspace import remove_tree

CRUN: Final = "/usr/bin/crun"
STATE: Final = "/run/crun"
BASE: Final = "/run/cordon"
_FIRST_FREE_FD: Final = 10
"""Descriptors are kept above those they are moved to in the child."""
_ENV: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def _pipe() -> tuple[int, int]:
    ends = os.pipe2(os.O_CLOEXEC)
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class Container:
    """A sandbox around at most one command."""

    def __init__(self, number: int, config: Mapping[str, Any], group: Group) -> None:
        """Make the container `number` by `config`; when this returns the launcher in it waits for its request."""
        self.group: Final = group
        self._id: Final = f"t{number}"
        self._bundle: Final = f"{BASE}/{self._id}"
        os.mkdir(self._bundle, 0o700)  # noqa: PTH102 - pathlib costs 60 ms of boot
        with open(f"{self._bundle}/config.json", "w", encoding="utf-8") as file:  # noqa: PTH123 - as above
            json.dump(config, file)
        self.stdout, out = _pipe()
        self.stderr, err = _pipe()
        request, self._request = _pipe()
        self.answer, answer = _pipe()
        try:
            self._create(out, err, request, answer)
        finally:
            for end in (out, err, request, answer):
                os.close(end)
        self.used = False
        """Whether it was given its command."""
        self.pid: Final = int(kernel.read(f"{self._bundle}/pid"))
        os.set_blocking(self.stdout, False)
        os.set_blocking(self.stderr, False)

    def _create(self, out: int, err: int, request: int, answer: int) -> None:
        log = f"{self._bundle}/log"
        argv = [
            CRUN, "--root", STATE, "--log", log, "--cgroup-manager", "cgroupfs", "run", "--detach",
            "--bundle", self._bundle, "--pid-file", f"{self._bundle}/pid", "--preserve-fds", "2", self._id,
        ]  # fmt: skip
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        actions = [
            (os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate((null, out, err, request, answer))
        ]
        try:
            pid = os.posix_spawn(CRUN, argv, _ENV, file_actions=actions)
        finally:
            os.close(null)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            why = kernel.read(log) if os.path.exists(log) else ""  # noqa: PTH110
            raise FaultError("guest.sandbox", f"crun ended with {os.waitstatus_to_exitcode(status)}: {why[-400:]}")

    def name(self, hostname: str) -> None:
        """Give it another host name than it was made with."""
        syscalls.sethostname_in(f"/proc/{self.pid}/ns/uts", hostname)

    def limit(self, control: Mapping[str, str], rlimits: Mapping[str, int]) -> None:
        """Give it other limits than it was made with: control group files, and what each process may have."""
        for file, value in control.items():
            self.group.set(file, value)
        for name, most in rlimits.items():
            syscalls.prlimit(self.pid, name, most)

    def send(self, request: bytes) -> None:
        """Hand the launcher its request: the command starts."""
        self.used = True
        view = memoryview(request)
        try:
            while view:
                view = view[os.write(self._request, view) :]
        except BrokenPipeError as error:
            raise FaultError("guest.sandbox", f"the launcher is gone: {self.words()}") from error
        finally:
            os.close(self._request)
            self._request = -1

    def words(self) -> str:
        """What was written to the container's standard error so far; for the message of a failure."""
        try:
            return os.read(self.stderr, 400).decode(errors="replace").strip()
        except OSError:
            return ""

    def wait_status(self) -> int | None:
        """The command's true wait status, once `answer` is readable; None when the launcher did not live to tell it."""
        data = os.read(self.answer, 4)
        return struct.unpack("<I", data)[0] if len(data) == 4 else None

    def end(self) -> None:
        """Kill what is left in the container and reap its first process; its output stays readable."""
        if not self.group.kill():
            raise FaultError("guest.unkillable", "a process of the task survived being killed")
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def remove(self) -> None:
        """Take the container away; call after `end`."""
        for end in (self.stdout, self.stderr, self.answer, self._request):
            if end >= 0:
                os.close(end)
        _reap()
        self.group.remove()
        for folder in (f"{STATE}/{self._id}", self._bundle):
            remove_tree(folder)


def _reap() -> None:
    """Reap what crun left behind: its helpers became children of the agent, which is their subreaper."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass

"""For drills only: a command run outside every sandbox as the guest's root, as after a taken-over agent.

Only when `Configure.weaken` names compromised_agent; the VM itself is then all that holds. Paths in the workspace are
found in its real place. A command that names `INSIDE` is executed within the agent's own process, its port in hand:
then machine and channel are all that hold.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from executor.guest import kernel
from executor.guest.cgroup import Group
from executor.guest.port import Port
from executor.guest.scope import WORKSPACE
from executor.guest.workspace import Workspace

INSIDE: Final = f"{WORKSPACE}/agent.py".encode()
"""The first argument of a command that is run inside the agent."""
_STARTED_S: Final = 10.0


class Process:
    """A running command; looks to `Task` like a container."""

    def __init__(self, argv: list[bytes], workspace: Workspace) -> None:
        """Start it."""
        self._inside: Final = argv[2:] if argv[1:2] == [INSIDE] else None
        self._workspace: Final = workspace.path
        here = f"{WORKSPACE}/".encode()
        argv = [
            f"{workspace.path}/".encode() + word.removeprefix(here) if word.startswith(here) else word for word in argv
        ]
        if self._inside is not None:
            argv = [b"sleep", b"infinity"]  # what the task's bookkeeping holds on to
        self.group: Final = Group("compromised")
        os.makedirs(self.group.path, exist_ok=True)  # noqa: PTH103 - pathlib costs 60 ms of boot
        self.stdout, out = os.pipe2(os.O_CLOEXEC)
        self.stderr, err = os.pipe2(os.O_CLOEXEC)
        self.answer, answer = os.pipe2(os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.pid: Final = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                kernel.write(f"{self.group.path}/cgroup.procs", "0")
                for target, source in enumerate((null, out, err)):
                    os.dup2(source, target)
                os.execvpe(argv[0], argv, {b"PATH": b"/usr/sbin:/usr/bin", b"HOME": b"/"})  # noqa: S606 - what this is for
            except OSError as error:
                os.write(2, f"{os.fsdecode(argv[0])}: {error.strerror}\n".encode())
            os._exit(127)
        for end in (null, out, err):
            os.close(end)
        os.set_blocking(self.stdout, False)
        os.set_blocking(self.stderr, False)
        self._status: int | None = None
        self._waiter = threading.Thread(target=self._wait, args=(answer,), daemon=True)
        self._waiter.start()

    def _wait(self, answer: int) -> None:
        _, self._status = os.waitpid(self.pid, 0)
        os.close(answer)

    def wait_status(self) -> int | None:
        """The command's wait status."""
        return self._status

    def inside(self, port: Port, task_id: str) -> None:
        """Run `INSIDE` here and now, if that is the command: `port`, `task_id` and `argv` are its names."""
        if self._inside is None:
            return
        port.flush_for(_STARTED_S)
        with open(f"{self._workspace}/agent.py", encoding="utf-8") as source:  # noqa: PTH123 - pathlib costs 60 ms of boot
            code = compile(source.read(), "agent.py", "exec")
        exec(code, {"port": port, "task_id": task_id, "argv": [word.decode() for word in self._inside]})  # noqa: S102 - what this is for

    def end(self) -> None:
        """Kill what is left of it."""
        self.group.kill()
        self._waiter.join()

    def remove(self) -> None:
        """Let go of it."""
        for end in (self.stdout, self.stderr, self.answer):
            os.close(end)
        self.group.remove()

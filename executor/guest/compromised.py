"""For drills only: a command run outside every sandbox as the guest's root, as after a taken-over agent.

Only when `Configure.weaken` names compromised_agent; the VM itself is then all that holds.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from executor.guest import kernel
from executor.guest.cgroup import Group


class Process:
    """A running command; looks to `Task` like a container."""

    def __init__(self, argv: list[bytes]) -> None:
        """Start it."""
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

    def end(self) -> None:
        """Kill what is left of it."""
        self.group.kill()
        self._waiter.join()

    def remove(self) -> None:
        """Let go of it."""
        for end in (self.stdout, self.stderr, self.answer):
            os.close(end)
        self.group.remove()

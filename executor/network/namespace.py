"""Network namespaces without a name: held open by this process, gone with it, however it ends. Rim.

Nothing of them is on the host's file system. The kernel keeps a namespace while a descriptor, a process or a socket is
in it, so that after `kill -9` only a machine's QEMU is left to hold one, and the next start kills that
(executor/domain/rundir.py). `nsenter --net=/proc/PID/fd/N` leads a person inside.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from executor.errors import NetworkError

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWNS: Final = 0x20000
_PRIVATE: Final = 0x44000
"""MS_REC | MS_PRIVATE: what is mounted here is seen nowhere else."""
_OWN: Final = "/proc/thread-self/ns/net"
_libc: Final = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


class Namespace:
    """One network namespace. Thread-safe; `close` lets go of it, a second call is silent."""

    def __init__(self, fd: int) -> None:
        """Use `create` or `at`."""
        self._fd = fd

    @classmethod
    def create(cls) -> Namespace:
        """A fresh one, with nothing in it but a loopback that is down. Raises `NetworkError`."""

        def enter() -> int:
            if _libc.unshare(_CLONE_NEWNET):
                raise NetworkError(
                    f"a network namespace cannot be made: {os.strerror(ctypes.get_errno())}; net:egress needs root"
                )
            return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)

        return cls(_in_thread(enter))

    @classmethod
    def at(cls, path: Path) -> Namespace:
        """The one at `path`, for example `/run/netns/NAME`. Raises `NetworkError`."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise NetworkError(f"there is no network namespace at {path}: {error.strerror}") from None

    @property
    def path(self) -> str:
        """Where other programs find it while this process lives. Raises `NetworkError` after `close`."""
        if self._fd < 0:
            raise NetworkError("the network namespace is closed")
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def inode(self) -> int:
        """What `/proc/PID/ns/net` of a process inside shows."""
        return os.stat(self.path).st_ino  # noqa: PTH116 - a descriptor's name, not a file's

    def run(self, work: Callable[[], T]) -> T:
        """Do `work` inside, on a thread of its own: what it opens and starts there belongs to the namespace."""
        self.path  # noqa: B018 - a closed one is refused here, not on the thread

        def enter() -> T:
            if _libc.setns(self._fd, _CLONE_NEWNET):
                raise NetworkError(f"cannot enter a network namespace: {os.strerror(ctypes.get_errno())}")
            return work()

        return _in_thread(enter)

    def command(self, *argv: str, text: str = "") -> str:
        """Run a program inside, `text` on its standard input; what it says. Raises `NetworkError` with its words."""

        def start() -> subprocess.CompletedProcess[str]:
            return subprocess.run(argv, input=text, capture_output=True, text=True, check=False)

        try:
            done = self.run(start)
        except FileNotFoundError:
            raise NetworkError(f"{argv[0]} is missing; `cordon doctor` names the package") from None
        if done.returncode:
            raise NetworkError(f"{' '.join(argv)} failed: {' '.join(done.stderr.split())[:400]}")
        return done.stdout

    def links(self, *commands: str) -> None:
        """`ip` commands, in order, in one process. Raises `NetworkError` at the first that fails."""
        self.command("ip", "-batch", "-", text="\n".join(commands) + "\n")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives inside; usable from any thread."""
        return self.run(lambda: socket.socket(family, kind, protocol))

    def close(self) -> None:
        """Let go: what nobody else holds is gone."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def fresh_proc() -> None:
    """Give the calling thread, which must end soon, a mount namespace of its own with a fresh /proc in it."""
    if (
        _libc.unshare(_CLONE_NEWNS)
        or _libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None)
        or _libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(0), None)
    ):
        raise NetworkError(f"a fresh /proc cannot be mounted: {os.strerror(ctypes.get_errno())}; it needs root")


def _in_thread(work: Callable[[], T]) -> T:
    """The result of `work` done on a thread that ends with it, so that no other work is ever in the wrong namespace."""
    done: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
            failed.append(error)

    thread = threading.Thread(target=body, name="netns", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]

"""Run directories: each executor process has one, locked while it lives; what a dead one left is reaped from here.

`<runtime>/r-<8 hex>/` holds the process's libvirt root, VM directories and sockets. Its `lock` file is flock'ed by the
owner. A directory whose lock can be taken has lost its owner, however that died: its QEMU processes are killed, its
network devices removed and the directory deleted.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import secrets
import select
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.errors import OutsideError
from executor.paths import private_dir

PREFIX: Final = "r-"
LOCK: Final = "lock"
EXIT_DEADLINE_S: Final = 5.0
ROOT: Final = "lv"
"""libvirt's folder in a run directory."""
_libc: Final = ctypes.CDLL(None, use_errno=True)
_PLAIN: Final = 2 | 4 | 8
"""MS_NOSUID, MS_NODEV, MS_NOEXEC."""
_DETACH: Final = 2


@dataclass(frozen=True, slots=True)
class Reaped:
    """What one dead executor had left behind."""

    directory: str
    processes: tuple[int, ...]
    overlays: int
    machines: tuple[str, ...] = ()
    """Names of the VMs whose folders were there."""


class RunDir:
    """The directory of this process; `close` removes it."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        """Use `RunDir.create`."""
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def create(cls, runtime: Path) -> RunDir:
        """A fresh locked directory below `runtime`; raises `OutsideError` when it cannot be made."""
        try:
            private_dir(runtime, 0o711)
            path = runtime / f"{PREFIX}{secrets.token_hex(4)}"
            path.mkdir(mode=0o711)
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutsideError(
                f"cannot make a run directory in {runtime}: {error.strerror}; set CORDON_RUNTIME to a writable folder"
            ) from None
        return cls(path, lock)

    def close(self) -> None:
        """Kill what is left in it and remove it; a second call is silent."""
        if self._lock_fd >= 0:
            _empty(self.path)
            os.close(self._lock_fd)
            self._lock_fd = -1


_process_root: RunDir | None = None
_process_lock = threading.Lock()


def process_root(runtime: Path) -> Path:
    """The directory of this process's embedded libvirt: the same one whenever it is asked for, removed at exit.

    libvirt keeps an embedded driver's root for the life of the process, also after its last connection was closed.
    """
    global _process_root  # noqa: PLW0603 - libvirt's rule is one a process, so the state is the process's
    with _process_lock:
        if _process_root is None:
            _process_root = RunDir.create(runtime)
            _into_memory(_process_root.path / ROOT)
            atexit.register(_process_root.close)
        return _process_root.path / ROOT


def _into_memory(root: Path) -> None:
    """Have libvirt's notes below `root` kept in memory, where this process may mount: nobody reads them after a crash.

    It syncs a file of them to the disk three times for each resume, on the path of whoever waits for the machine, and
    with it the file system's journal, which the audit trail then waits for. What a power loss takes of them is worth
    nothing without the domains.
    """
    notes = root / "run"
    notes.mkdir(mode=0o711, parents=True)
    _libc.mount(b"cordon", os.fsencode(notes), b"tmpfs", ctypes.c_ulong(_PLAIN), b"mode=0711,size=64m")


def _out_of_memory(path: Path) -> None:
    """Unmount what `_into_memory` mounted below the run directory `path`; nothing there is fine."""
    while _libc.umount2(os.fsencode(path / ROOT / "run"), _DETACH) == 0:
        pass


def reap_dead(runtime: Path) -> list[Reaped]:
    """Clean up after every executor that is gone without having closed; those alive are left alone."""
    reaped: list[Reaped] = []
    for path in sorted(runtime.glob(f"{PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                reaped.append(_empty(path))
            finally:
                os.close(fd)
    return reaped


def processes_of(path: Path) -> list[int]:
    """Pids of the processes that were started for the run directory `path`: it stands in their arguments."""
    needle = f"{path}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes()
                # Only what libvirt or we start for a VM: an editor open on a log in there is not ours to kill.
                if needle in arguments and Path(os.fsdecode(arguments.split(b"\0")[0])).name.startswith(
                    ("qemu", "opa")
                ):
                    found.append(int(entry.name))
    return found


def kill_and_wait(pids: list[int]) -> None:
    """SIGKILL `pids` and wait until each is gone, at most 5 s; raises `OutsideError` naming those that stay."""
    handles = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles[pid] = os.pidfd_open(pid)
            signal.pidfd_send_signal(handles[pid], signal.SIGKILL)
    deadline = time.monotonic() + EXIT_DEADLINE_S
    try:
        for pid in list(handles):
            if _wait_exit(handles[pid], deadline - time.monotonic()):
                os.close(handles.pop(pid))
        if handles:
            raise OutsideError(f"processes {sorted(handles)} do not die; they may wait for a hung disk")
    finally:
        for fd in handles.values():
            os.close(fd)


def _wait_exit(pidfd: int, seconds: float) -> bool:

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(0, seconds) * 1000))


def _empty(path: Path) -> Reaped:
    pids = processes_of(path)
    kill_and_wait(pids)
    overlays = len(list(path.rglob("*.qcow2")))
    machines = tuple(sorted(entry.name for entry in path.glob("vm-*")))
    _out_of_memory(path)
    shutil.rmtree(path, ignore_errors=True)
    return Reaped(path.name, tuple(pids), overlays, machines)

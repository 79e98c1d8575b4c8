"""Making a used VM as good as new, and the proof that it is: nothing of the last task is left. Rim.

What RESET stands for, looked at afterwards and not assumed:

1. no process but those that were there before the first task,
2. no mount and no control group of a sandbox; with them go its namespaces, tmpfs and POSIX message queues,
3. nothing on the scratch disk, and its free blocks are handed back to the host (they read as zeroes),
4. no SysV object in the guest's own namespace, no file in its /dev/shm, no key of the task's user,
5. no page cache: what was read or written is dropped, the kernel's log is cleared.

What it cannot show: bytes in freed memory. The kernel zeroes a page before a task gets it (init_on_alloc); whoever has
taken over the guest's kernel could still read what lies there. That is why one VM a task is the default.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import time
from typing import Final

from executor.guest import cgroup, kernel, syscalls
from executor.guest.sandbox_plan import TASK_UID
from executor.guest.workspace import SCRATCH

PATIENCE_S: Final = 3.0
"""The kernel frees keys and reaps processes a moment after their end."""
_FITRIM: Final = 0xC0185879
_RANGE: Final = struct.Struct("<QQQ")
"""struct fstrim_range: start, length, minimum."""
_WHOLE: Final = _RANGE.pack(0, 0xFFFFFFFFFFFFFFFF, 0)
_SYSV: Final = ("shm", "sem", "msg")
_KTHREADD: Final = 2


class Baseline:
    """What there is before the first task."""

    def __init__(self) -> None:
        """Take stock."""
        self.processes: Final = _processes()
        self.mounts: Final = _mounts()
        self.scratch: Final = frozenset(os.listdir(SCRATCH))  # noqa: PTH208 - pathlib costs 60 ms of boot

    def remains(self) -> list[str]:
        """What is there beyond it, one line each; none when the VM is as it was."""
        found = [f"process {pid}" for pid in sorted(_processes() - self.processes)]
        found += [f"mount {path}" for path in _mounts() if path not in self.mounts]
        found += [f"control group {name}" for name in _groups()]
        found += [f"file {SCRATCH}/{name}" for name in sorted(frozenset(os.listdir(SCRATCH)) - self.scratch)]  # noqa: PTH208
        found += [f"SysV {kind}" for kind in _SYSV if kernel.read(f"/proc/sysvipc/{kind}").count("\n")]
        with contextlib.suppress(FileNotFoundError):
            found += [f"file /dev/shm/{name}" for name in os.listdir("/dev/shm")]  # noqa: PTH208, S108
        if any(line.split(":")[0].strip() == str(TASK_UID) for line in _lines("/proc/key-users")):
            found.append(f"a key of uid {TASK_UID}")
        return found


def forget() -> None:
    """Hand the scratch disk's free blocks back, drop the page cache, clear the kernel's log. Raises `OSError`."""
    os.sync()
    handle = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _FITRIM, bytearray(_WHOLE))
    finally:
        os.close(handle)
    kernel.write("/proc/sys/vm/drop_caches", "3")
    syscalls.clear_kernel_log()


def wait_clean(baseline: Baseline) -> list[str]:
    """What remains after the kernel had its moment; none when nothing does."""
    until = time.monotonic() + PATIENCE_S
    while (found := baseline.remains()) and time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        select.select([], [], [], 0.02)
    return found


def _processes() -> frozenset[int]:
    """Pids of everything but kernel threads."""
    found = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs 60 ms of boot
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int(kernel.read(f"/proc/{name}/stat").rpartition(")")[2].split()[1])
                if parent != _KTHREADD and int(name) != _KTHREADD:
                    found.add(int(name))
    return frozenset(found)


def _mounts() -> tuple[str, ...]:
    return tuple(line.split()[4] for line in _lines("/proc/self/mountinfo"))


def _groups() -> list[str]:
    parent = f"{cgroup.ROOT}/{cgroup.PARENT}"
    return [name for name in os.listdir(parent) if os.path.isdir(f"{parent}/{name}")]  # noqa: PTH112, PTH208


def _lines(path: str) -> list[str]:
    return kernel.read(path).splitlines()

"""Calls on memory: mappings, locks, shared segments."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import call, raw
from executor.sim.files.mounts import NOEXEC
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

MEMLOCK: Final = 8


@raw("mmap")
def mmap(k: Kernel, p: Process, a: list[Any]) -> int:
    """Anonymous memory; the puppet takes it from its own."""
    return 1


@call("mapped", "mmap")
def mapped(k: Kernel, p: Process, _size: int) -> None:
    """The same, by the library."""


@call("mapped_file", "mmap", lambda _number, size, protection, flags, _offset: (0, size, protection, flags))
def mapped_file(k: Kernel, p: Process, number: int, size: int, protection: int, flags: int, offset: int) -> bytes:
    """A file mapped: what is in it then. Code is not mapped from a mount that executes nothing."""
    opened = p.file(number)
    if opened.kind != "file" or opened.node.kind != stat.S_IFREG:
        raise error(errno.ENODEV)
    if not opened.readable or (flags & 1 and protection & 2 and not opened.writable):
        raise error(errno.EACCES)
    if protection & 4 and opened.place is not None and opened.place.mount.flags & NOEXEC:
        raise error(errno.EPERM)
    return opened.node.slice(offset, size)


@raw("mlock", "mlock2", "mlockall")
def mlock(k: Kernel, p: Process, a: list[Any]) -> None:
    """Locked memory has a limit."""
    size = a[1] if len(a) > 1 else 0
    if p.locked + size > p.limit(MEMLOCK) and not p.has("IPC_LOCK"):
        raise error(errno.ENOMEM if p.limit(MEMLOCK) else errno.EPERM)
    p.locked += size


@raw("shmget")
def shmget(k: Kernel, p: Process, a: list[Any]) -> int:
    """A shared segment."""
    k.world.segments.append((p.credentials.uid[1], a[1]))
    return len(k.world.segments) - 1


@raw("shmctl")
def shmctl(k: Kernel, p: Process, a: list[Any]) -> None:
    """Lock it, remove it."""
    if a[0] >= len(k.world.segments):
        raise error(errno.EINVAL)
    if a[1] == 11 and k.world.segments[a[0]][1] > p.limit(MEMLOCK) and not p.has("IPC_LOCK"):
        raise error(errno.ENOMEM)

"""Calls on descriptors: close, dup, pipe, memfd, poll, flock."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import call, raw
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import Dentry, FileSystem, Node, error
from executor.sim.kernel.ends import WaitError
from executor.sim.kernel.process import OpenFile, Pipe, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

NONBLOCK: Final = os.O_NONBLOCK
_memfd: Final = FileSystem("memfd")


@call("close", "close")
def close(k: Kernel, p: Process, number: int) -> None:
    """close."""
    p.drop(number)


@call("closerange", "close_range")
def closerange(k: Kernel, p: Process, low: int, high: int) -> None:
    """Every descriptor from `low` up to `high`."""
    for number in [one for one in p.files if low <= one < high]:
        p.drop(number)


@call("close_other", "close_range")
def close_other(k: Kernel, p: Process, keep: list[int]) -> None:
    """Every descriptor but those."""
    for number in [one for one in p.files if one not in keep]:
        p.drop(number)


@call("dup", "dup")
def dup(k: Kernel, p: Process, number: int) -> int:
    """dup."""
    return p.install(p.file(number))


@call("dup_high", "fcntl", lambda *_: ())
def dup_high(k: Kernel, p: Process, number: int) -> int:
    """A copy out of the way, as shells keep one."""
    return p.install(p.file(number), lowest=10)


@call("dup2", "dup3")
def dup2(k: Kernel, p: Process, number: int, target: int, inheritable: bool) -> int:  # noqa: FBT001 - as posix has it
    """dup2."""
    opened = p.file(number)
    if target < 0 or target >= p.limit(7):
        raise error(errno.EBADF)
    if number != target:
        if target in p.files:
            p.drop(target)
        opened.count += 1
        p.files[target] = (opened, not inheritable)
    return target


@call("set_inheritable", "ioctl", lambda *_: (0, 0x5450))
def set_inheritable(k: Kernel, p: Process, number: int, inheritable: bool) -> None:  # noqa: FBT001 - as posix has it
    """Whether execve closes it."""
    p.files[number] = (p.file(number), not inheritable)


@call("get_inheritable", "fcntl")
def get_inheritable(k: Kernel, p: Process, number: int) -> bool:
    """Whether execve leaves it open."""
    p.file(number)
    return not p.files[number][1]


@call("set_blocking", "ioctl", lambda *_: (0, 0x5421))
def set_blocking(k: Kernel, p: Process, number: int, blocking: bool) -> None:  # noqa: FBT001 - as posix has it
    """Whether it waits."""
    opened = p.file(number)
    opened.flags = opened.flags & ~NONBLOCK if blocking else opened.flags | NONBLOCK


@call("get_blocking", "fcntl")
def get_blocking(k: Kernel, p: Process, number: int) -> bool:
    """Whether it waits."""
    return not p.file(number).flags & NONBLOCK


@call("pipe", "pipe2")
def pipe(k: Kernel, p: Process, flags: int) -> list[int]:
    """pipe and pipe2."""
    made = Pipe(readers=1, writers=1)
    system = k.world.pipes
    node = Node(system, stat.S_IFIFO | 0o600, p.credentials.fsuid, p.credentials.gid[1])
    ends = [OpenFile(None, node, kind | flags & NONBLOCK, 0, made, "pipe") for kind in (os.O_RDONLY, os.O_WRONLY)]
    first = p.install(ends[0], close_on_exec=bool(flags & os.O_CLOEXEC))
    try:
        return [first, p.install(ends[1], close_on_exec=bool(flags & os.O_CLOEXEC))]
    except OSError:
        p.drop(first)
        raise


@call("memfd_create", "memfd_create")
def memfd_create(k: Kernel, p: Process, name: str, flags: int) -> int:
    """A file without a name, executable where nothing says otherwise."""
    node = Node(_memfd, stat.S_IFREG | 0o777, p.credentials.fsuid, p.credentials.gid[1])
    place = Place(k.world.memory_mount, Dentry(f"memfd:{name}", None, node))
    return p.install(OpenFile(place, node, os.O_RDWR), close_on_exec=bool(flags & 1))


@raw("memfd_create")
def raw_memfd(k: Kernel, p: Process, a: list[Any]) -> int:
    """memfd_create by number."""
    return memfd_create(k, p, a[0].text, a[1])


@call("poll", "poll")
def poll(k: Kernel, p: Process, wanted: list[list[int]], timeout_ms: float) -> list[list[int]]:
    """poll, select and epoll: what is ready."""
    found = []
    for number, mask in wanted:
        entry = p.files.get(number)
        ready = 0x20 if entry is None else k.world.ready(entry[0]) & (mask | 0x18)
        if ready:
            found.append([number, ready])
    if found or timeout_ms == 0:
        p.wake_ns = 0
        return found
    now = k.clock.monotonic_ns()
    if timeout_ms > 0 and not p.wake_ns:
        p.wake_ns = now + round(timeout_ms * 1e6)
    if p.wake_ns and now >= p.wake_ns:
        p.wake_ns = 0
        return []
    raise WaitError(p.wake_ns or None)


@call("epoll_create", "epoll_create1")
def epoll_create(k: Kernel, p: Process) -> int:
    """A descriptor that stands for the set, which the puppet keeps."""
    return p.install(k.world.anonymous("epoll"))


@call("eventfd", "eventfd2")
def eventfd(k: Kernel, p: Process, *_arguments: Any) -> int:
    """An event counter."""
    return p.install(k.world.anonymous("eventfd"))


@call("flock", "flock")
def flock(k: Kernel, p: Process, number: int, operation: int) -> None:
    """A lock belongs to an open file: whoever opens the same one again is locked out."""
    opened = p.file(number)
    others = {one: shared for one, shared in (opened.node.locks or {}).items() if one.count and one is not opened}
    opened.node.locks = others
    shared = bool(operation & fcntl.LOCK_SH)
    if operation & fcntl.LOCK_UN:
        return
    if any(not (shared and other) for other in others.values()):
        if operation & fcntl.LOCK_NB:
            raise error(errno.EAGAIN)
        raise WaitError
    others[opened] = shared

"""Calls on what is in a file: read, write, seek, truncate, allocate, sync."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from executor.sim.calls.table import call
from executor.sim.files.nodes import SPARSE, Node, error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import WRITE, OpenFile, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

ALLOCATED: Final = 1 << 30
"""What the model takes of this host's memory for one file at most."""
FSIZE: Final = 1
"""RLIMIT_FSIZE."""


@call("truncate", "truncate")
def truncate(k: Kernel, p: Process, path: str, length: int) -> None:
    """truncate: the mount is asked before the file's rights."""
    if length < 0:
        raise error(errno.EINVAL)
    place = p.find(path)
    node = place.dentry.node
    if node.is_dir:
        raise error(errno.EISDIR)
    if node.kind != stat.S_IFREG:
        raise error(errno.EINVAL)
    if place.mount.read_only:
        raise error(errno.EROFS)
    p.check(place, WRITE)
    if node.flags & 0x20:
        raise error(errno.EPERM)
    if not node.read:
        _within(k, p, length)
        node.resize(length)


def _within(k: Kernel, p: Process, length: int) -> None:
    """RLIMIT_FSIZE: the signal, and EFBIG to who ignores it."""
    if length > p.limit(FSIZE):
        k.signal(p, 25)
        raise error(errno.EFBIG)


@call("ftruncate", "ftruncate")
def ftruncate(k: Kernel, p: Process, number: int, length: int) -> None:
    """ftruncate."""
    opened = p.file(number)
    if length < 0 or not opened.writable or opened.node.kind != stat.S_IFREG:
        raise error(errno.EINVAL)
    _within(k, p, length)
    opened.node.resize(length)


@call("posix_fallocate", "fallocate")
def fallocate(k: Kernel, p: Process, number: int, offset: int, length: int) -> None:
    """fallocate."""
    opened = p.file(number)
    if not opened.writable:
        raise error(errno.EBADF)
    node, end = opened.node, offset + length
    whole = -(-len(node.data) // 4096) * 4096
    if node.quota and node.quota.hard_bytes and end > whole + _room(node, whole):
        _allocate(node, whole + _room(node, whole))  # as much as there is
        raise error(node.quota.full)
    _within(k, p, end)
    _allocate(node, end)


def _allocate(node: Node, end: int) -> None:
    """Blocks up to `end`, by pieces that are no hole."""
    if end - len(node.data) > ALLOCATED:
        raise UnmodelledError("fallocate of more than a GiB")
    while len(node.data) < end:
        node.resize(min(end, len(node.data) + SPARSE))


@call("read", "read")
def read(k: Kernel, p: Process, number: int, size: int) -> bytes:
    """read."""
    opened = p.file(number)
    if not opened.readable:
        raise error(errno.EBADF)
    if opened.kind != "file":
        return k.world.read_special(k, p, opened, size)
    if opened.node.is_dir:
        raise error(errno.EISDIR)
    data = content_of(k, p, opened, opened.offset, size)
    opened.offset += len(data)
    return data


def content_of(k: Kernel, p: Process, opened: OpenFile, offset: int, size: int) -> bytes:
    """Bytes of a file or device from `offset` on."""
    node = opened.node
    if node.kind in {stat.S_IFCHR, stat.S_IFBLK}:
        return k.world.read_device(k, p, node, offset, size)
    if node.read is not None:
        if opened.extra is None:
            opened.extra = node.read(p)
        return bytes(opened.extra[offset : offset + size])
    return node.slice(offset, size)


@call("pread", "pread64")
def pread(k: Kernel, p: Process, number: int, size: int, offset: int) -> bytes:
    """pread."""
    opened = p.file(number)
    if not opened.readable:
        raise error(errno.EBADF)
    if opened.kind != "file":
        raise error(errno.ESPIPE)
    if opened.node.special == "mem":
        return k.peek(p, opened, offset, size)
    if opened.node.special == "pagemap":
        return k.world.pagemap(p, offset, size)
    return content_of(k, p, opened, offset, size)


@call("write", "write")
def write(k: Kernel, p: Process, number: int, data: bytes) -> int:
    """write."""
    opened = p.file(number)
    if not opened.writable:
        raise error(errno.EBADF)
    if opened.kind != "file":
        return k.world.write_special(k, p, opened, data)
    node = opened.node
    if node.kind in {stat.S_IFCHR, stat.S_IFBLK}:
        return k.world.write_device(k, p, node, data)
    if node.write is not None:
        node.write(p, data)
        return len(data)
    if opened.flags & os.O_APPEND:
        opened.offset = node.length
    count = store(k, p, node, opened.offset, data)
    opened.offset += count
    return count


def store(k: Kernel, p: Process, node: Node, offset: int, data: bytes) -> int:
    """Put `data` into a regular file; what a limit leaves no room for is not written."""
    limit = p.limit(FSIZE)
    if offset + len(data) > limit:
        if offset >= limit:
            k.signal(p, 25)
            raise error(errno.EFBIG)
        data = data[: limit - offset]
    end = offset + len(data)
    if end > node.length:
        try:
            node.resize(end)
        except OSError:
            room = _room(node, offset)
            if room <= 0:
                raise
            data = data[:room]
            end = offset + len(data)
            node.resize(max(end, node.length))
    node.put(offset, data)
    if node.mode & stat.S_ISUID and not p.has("FSETID"):
        node.mode &= ~(stat.S_ISUID | stat.S_ISGID)  # what was written is not what somebody trusted
    node.times[1] = k.clock.now_ns()
    if node.system.kind == "tmpfs":
        k.use_memory(p, p.memory)
    return len(data)


def _room(node: Node, offset: int) -> int:
    """Bytes from `offset` on that the quota still has."""
    if node.quota is None or not node.quota.hard_bytes:
        return 0
    left = node.quota.hard_bytes - node.quota.bytes
    return -(-len(node.data) // 4096) * 4096 + left // 4096 * 4096 - offset


@call("pwrite", "pwrite64")
def pwrite(k: Kernel, p: Process, number: int, data: bytes, offset: int) -> int:
    """pwrite."""
    opened = p.file(number)
    if not opened.writable:
        raise error(errno.EBADF)
    if opened.kind != "file" or opened.node.write is not None or opened.node.kind != stat.S_IFREG:
        raise error(errno.ESPIPE)
    return store(k, p, opened.node, offset, data)


@call("lseek", "lseek")
def lseek(k: Kernel, p: Process, number: int, offset: int, whence: int) -> int:
    """lseek."""
    opened = p.file(number)
    if opened.kind != "file":
        raise error(errno.ESPIPE)
    if whence in {os.SEEK_DATA, os.SEEK_HOLE}:
        raise UnmodelledError("lseek to data or a hole")
    base = {0: 0, 1: opened.offset, 2: opened.node.length}.get(whence)
    if base is None or base + offset < 0:
        raise error(errno.EINVAL)
    opened.offset = base + offset
    return opened.offset


@call("fsync", "fsync")
@call("fdatasync", "fdatasync")
def fsync(k: Kernel, p: Process, number: int) -> None:
    """Nothing is buffered here."""
    p.file(number)


@call("sync", "sync")
def sync(k: Kernel, p: Process) -> None:
    """Nothing is buffered here."""

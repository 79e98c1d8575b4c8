"""Calls that tell of a file or a file system: stat, access, statfs."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import Memory, Raw, call, raw
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import Node, error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


def facts(place: Place | None, node: Node) -> list[Any]:
    """A node as stat tells it."""
    size = node.length if node.kind == stat.S_IFREG else len(node.target) if node.kind == stat.S_IFLNK else 4096
    if node.kind in {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK} or node.read:
        size = 0
    system = place.mount.system if place else node.system
    plain = [node.mode, node.number, system.device, node.links, node.uid, node.gid, size]
    return [plain, list(node.times), [-(-size // 512), node.rdev]]


@call("stat", "newfstatat")
def stat_(k: Kernel, p: Process, path: str, folder: int | None, follow: bool) -> list[Any]:  # noqa: FBT001 - as posix has it
    """stat and lstat."""
    place = p.find(path, folder, follow=follow)
    return facts(place, place.dentry.node)


@call("fstat", "fstat")
def fstat(k: Kernel, p: Process, number: int) -> list[Any]:
    """Of a descriptor."""
    opened = p.file(number)
    return facts(opened.place, opened.node)


@call("access", "faccessat2")
def access(k: Kernel, p: Process, path: str, mode: int, folder: int | None) -> None:
    """May this process read, write, execute? By the real ids, which are the effective ones here."""
    place = p.find(path, folder)
    if mode & 2 and place.mount.read_only:
        raise error(errno.EROFS)
    if mode:
        p.check(place, mode & 7)
    if mode & 1 and place.dentry.node.kind == stat.S_IFREG and place.mount.flags & 8:
        raise error(errno.EACCES)


@call("statvfs", "statfs")
def statvfs(k: Kernel, p: Process, path: str) -> list[int]:
    """statvfs."""
    return _space(p.find(path))


@call("fstatvfs", "fstatfs")
def fstatvfs(k: Kernel, p: Process, number: int) -> list[int]:
    """fstatvfs."""
    place = p.file(number).place
    if place is None:
        raise error(errno.ENOSYS)
    return _space(place)


def _space(place: Place) -> list[int]:
    quota = place.dentry.node.quota
    total = (quota.hard_bytes if quota and quota.hard_bytes else 1 << 30) // 4096
    free = total - (quota.bytes // 4096 if quota else 0)
    return [4096, 4096, total, free, free, 65536, 65536, 65536, place.mount.flags & 15, 255]


@raw("fstatfs")
def raw_fstatfs(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """The type of the file system behind a descriptor."""
    opened = p.file(a[0])
    system = opened.node.system
    magic = system.magic.to_bytes(8, "little")
    return Raw(0, ((a[1].address, magic),) if isinstance(a[1], Memory) and a[1].address else ())


@raw("statfs")
def raw_statfs(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """The type of the file system at a path."""
    system = p.find(a[0].text).mount.system
    return Raw(0, ((a[1].address, system.magic.to_bytes(8, "little")),))

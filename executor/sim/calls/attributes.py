"""Calls on a file's mode, owner, times and extended attributes."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from executor.sim.calls.table import call
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import error
from executor.sim.kernel.process import WRITE, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("chmod", "fchmodat")
def chmod(k: Kernel, p: Process, path: str, mode: int, folder: int | None) -> None:
    """chmod."""
    change_mode(p, p.find(path, folder), mode)


@call("fchmod", "fchmod")
def fchmod(k: Kernel, p: Process, number: int, mode: int) -> None:
    """fchmod."""
    opened = p.file(number)
    if opened.place:
        change_mode(p, opened.place, mode)


def change_mode(p: Process, place: Place, mode: int) -> None:
    """New permission bits."""
    node = place.dentry.node
    if place.mount.read_only:
        raise error(errno.EROFS)
    if p.credentials.fsuid != node.uid and not p.has("FOWNER"):
        raise error(errno.EPERM)
    if mode & stat.S_ISGID and node.gid not in {p.credentials.gid[1], *p.credentials.groups} and not p.has("FSETID"):
        mode &= ~stat.S_ISGID
    node.mode = node.kind | mode & 0o7777


@call("chown", "fchownat")
def chown(k: Kernel, p: Process, path: str, uid: int, gid: int, folder: int | None, follow: bool) -> None:  # noqa: FBT001 - as posix has it
    """chown and lchown."""
    change_owner(p, p.find(path, folder, follow=follow), uid, gid)


@call("fchown", "fchown")
def fchown(k: Kernel, p: Process, number: int, uid: int, gid: int) -> None:
    """fchown."""
    opened = p.file(number)
    if opened.place:
        change_owner(p, opened.place, uid, gid)


def change_owner(p: Process, place: Place, uid: int, gid: int) -> None:
    """New owners; only CAP_CHOWN gives files away."""
    node = place.dentry.node
    if place.mount.read_only:
        raise error(errno.EROFS)
    who = p.credentials
    if uid not in {-1, node.uid} and not p.has("CHOWN"):
        raise error(errno.EPERM)
    if uid == node.uid and who.fsuid != node.uid and not p.has("CHOWN"):
        raise error(errno.EPERM)
    own = who.fsuid == node.uid and gid in {who.gid[1], *who.groups}
    if gid not in {-1, node.gid} and not own and not p.has("CHOWN"):
        raise error(errno.EPERM)
    node.uid = node.uid if uid == -1 else uid
    node.gid = node.gid if gid == -1 else gid
    if node.kind == stat.S_IFREG:
        node.mode &= ~(stat.S_ISUID | stat.S_ISGID)


@call("utime", "utimensat")
def utime(k: Kernel, p: Process, path: str, times: list[int] | None, folder: int | None) -> None:
    """utime."""
    place = p.find(path, folder)
    if place.mount.read_only:
        raise error(errno.EROFS)
    node = place.dentry.node
    if p.credentials.fsuid != node.uid and not p.has("FOWNER"):
        if times is not None:
            raise error(errno.EPERM)
        p.check(place, WRITE)
    now = k.clock.now_ns()
    node.times[:2] = times or [now, now]


@call("getxattr", "getxattr")
def getxattr(k: Kernel, p: Process, path: str | int, name: str) -> bytes:
    """getxattr."""
    node = _node(p, path).dentry.node
    if name not in node.attributes:
        raise error(errno.ENODATA)
    return node.attributes[name]


@call("setxattr", "setxattr")
def setxattr(k: Kernel, p: Process, path: str | int, name: str, value: bytes) -> None:
    """setxattr: who may depends on the name."""
    place = _node(p, path)
    if place.mount.read_only:
        raise error(errno.EROFS)
    if name.startswith("security.capability"):
        p.need("SETFCAP")
    elif name.startswith(("trusted.", "security.")):
        p.need("SYS_ADMIN")
    elif name.startswith("user."):
        p.check(place, WRITE)
    else:
        raise error(errno.EOPNOTSUPP)
    place.dentry.node.attributes = {**place.dentry.node.attributes, name: value}


@call("listxattr", "listxattr")
def listxattr(k: Kernel, p: Process, path: str | int) -> list[str]:
    """listxattr."""
    return [*_node(p, path).dentry.node.attributes]


@call("removexattr", "removexattr")
def removexattr(k: Kernel, p: Process, path: str | int, name: str) -> None:
    """removexattr."""
    place = _node(p, path)
    if name not in place.dentry.node.attributes:
        raise error(errno.ENODATA)
    setxattr(k, p, path, name, b"")
    node = place.dentry.node
    node.attributes = {key: value for key, value in node.attributes.items() if key != name}


def _node(p: Process, path: str | int) -> Place:
    if isinstance(path, int):
        place = p.file(path).place
        if place is None:
            raise error(errno.EOPNOTSUPP)
        return place
    return p.find(path)

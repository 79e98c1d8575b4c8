"""Calls that open a file, and what may be opened: paths, rights, Landlock, what a folder gains."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from executor.sim.calls.table import call
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import Dentry, Node, error
from executor.sim.kernel.process import MAKE, READ, WRITE, WRITE_FILE, OpenFile, Pipe, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

OWN_TERMINAL: Final = os.makedev(5, 0)
"""/dev/tty: a task has none."""
WITH_NAMELESS: Final = frozenset({"devtmpfs", "ext4", "tmpfs"})
"""File systems that know files without a name; an overlay learned it after Linux 6.1."""
BLOCK: Final = 4096
"""Bytes that a folder takes on the scratch disk."""


@call("open", "openat")
def open_(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> int:
    """open and openat."""
    opened = opening(k, p, path, flags, mode, folder)
    return p.install(opened, close_on_exec=bool(flags & os.O_CLOEXEC))


def opening(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> OpenFile:
    """An open file for `path`, made where asked for."""
    if flags & os.O_TMPFILE == os.O_TMPFILE and not flags & os.O_PATH:
        return _nameless(k, p, path, flags, mode, folder)
    place = None
    created = False
    if flags & os.O_CREAT and not flags & os.O_PATH:
        place, created = _created(k, p, path, flags, mode, folder)
    if place is None:
        place = p.find(path, folder, follow=not flags & os.O_NOFOLLOW)
    node = place.dentry.node
    if node.kind == stat.S_IFLNK and not flags & os.O_PATH:
        raise error(errno.ELOOP)
    if flags & os.O_DIRECTORY and not node.is_dir:
        raise error(errno.ENOTDIR)
    if flags & os.O_PATH:
        return OpenFile(place, node, flags)
    if not created:
        _may_open(k, p, place, flags)
    if flags & os.O_TRUNC and node.kind == stat.S_IFREG and not node.read:
        node.resize(0)
    if node.opened:
        node.opened(p, flags)
    made = OpenFile(place, node, flags)
    if node.kind == stat.S_IFIFO:
        return _fifo(made)
    return made


def _nameless(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> OpenFile:
    """O_TMPFILE: a file in no folder. Its inode is counted to the end: no file is told of its last close."""
    if not flags & (os.O_WRONLY | os.O_RDWR):
        raise error(errno.EINVAL)
    where = p.find(path, folder, follow=not flags & os.O_NOFOLLOW)
    into = where.dentry.node
    if not into.is_dir:
        raise error(errno.ENOTDIR)
    if where.mount.read_only:
        raise error(errno.EROFS)
    if not p.permits(into, WRITE | 1):
        raise error(errno.EACCES)
    if into.system.kind not in WITH_NAMELESS:
        raise error(errno.EOPNOTSUPP)
    node = _inode(k, p, into, stat.S_IFREG | mode & 0o7777 & ~p.umask)
    node.links = 0
    place = Place(where.mount, Dentry(f"#{node.number} (deleted)", where.dentry, node))
    p.check_write(place, WRITE_FILE)
    if into.quota is not None:
        into.quota.take_inode()
    return OpenFile(place, node, flags & ~(os.O_TMPFILE & ~os.O_DIRECTORY))


def _fifo(made: OpenFile) -> OpenFile:
    node = made.node
    node.pipe = node.pipe or Pipe()
    made.kind, made.extra = "pipe", node.pipe
    node.pipe.readers += made.readable
    node.pipe.writers += made.writable
    return made


def _may_open(k: Kernel, p: Process, place: Place, flags: int) -> None:
    node = place.dentry.node
    kind = flags & os.O_ACCMODE
    writing = kind in {os.O_WRONLY, os.O_RDWR} or bool(flags & os.O_TRUNC)
    if node.is_dir and (writing or flags & os.O_CREAT):
        raise error(errno.EISDIR)
    if node.kind == stat.S_IFSOCK or (node.kind == stat.S_IFCHR and node.rdev == OWN_TERMINAL):
        raise error(errno.ENXIO)
    wanted = (READ if kind in {os.O_RDONLY, os.O_RDWR} else 0) | (WRITE if writing else 0)
    p.check(place, wanted)
    if node.kind == stat.S_IFREG and writing and p.credentials.fsuid != node.uid:
        _protected(p, place, flags)
    if writing:
        p.check_write(place, WRITE_FILE)
        if node.flags & 0x20 and not flags & os.O_APPEND:  # append only
            raise error(errno.EPERM)


def _protected(p: Process, place: Place, flags: int) -> None:
    """fs.protected_regular and _fifos: no O_CREAT on somebody else's file in a sticky folder."""
    parent = place.dentry.parent
    if flags & os.O_CREAT and parent is not None and parent.node.mode & stat.S_ISVTX and parent.node.mode & 0o022:
        raise error(errno.EACCES)


def _created(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> tuple[Place | None, bool]:
    """The file `path` names, made when it is missing; None when it is there and is to be opened as it is."""
    if path.endswith("/"):
        raise error(errno.EISDIR)
    where, name = p.find_parent(path, folder)
    if name in {".", ".."}:
        raise error(errno.EISDIR)
    node = where.dentry.node
    if not node.is_dir:
        raise error(errno.ENOTDIR)
    p.check_search(where)
    there = step(p, where, name)
    if there is not None:
        if flags & os.O_EXCL:
            raise error(errno.EEXIST)
        if there.dentry.node.kind == stat.S_IFLNK and not flags & os.O_NOFOLLOW and not there.dentry.node.jump:
            target = there.dentry.node.target
            base = target if target.startswith("/") else f"{p.path_of(where).rstrip('/')}/{target}"
            return _created(k, p, base, flags, mode, None)
        return None, False
    made = make(k, p, where, name, stat.S_IFREG | mode & 0o7777 & ~p.umask)
    return made, True


def step(p: Process, where: Place, name: str) -> Place | None:
    """What stands in a folder under a name, mounts followed; None when nothing does."""
    from executor.sim.files.mounts import Walk  # noqa: PLC0415 - one small use

    return Walk(p).step(where, name)


def make(k: Kernel, p: Process, where: Place, name: str, mode: int) -> Place:
    """A new node in a folder, with all that the kernel checks, in its order: mount, Landlock or rights, quota."""
    folder = where.dentry.node
    regular = stat.S_ISREG(mode)
    if where.mount.read_only:
        raise error(errno.EROFS)
    if not regular:
        p.check_landlock(where, MAKE[stat.S_IFMT(mode)])
    if folder.flags & 0x10:
        raise error(errno.EPERM)
    if folder.permitted:
        folder.permitted(p, WRITE)
    elif not p.permits(folder, WRITE | 1):
        raise error(errno.EACCES)
    if regular:
        p.check_landlock(where, MAKE[stat.S_IFREG])
    if folder.find is not None and folder.special != "cgroup":
        raise error(errno.EACCES if folder.system.kind != "proc" else errno.ENOENT)
    if folder.quota is not None:
        folder.quota.take_inode()
        if stat.S_ISDIR(mode) and folder.system.kind == "ext4":
            folder.quota.take(BLOCK)
    node = _inode(k, p, folder, mode)
    if node.is_dir:
        folder.links += 1
        if folder.special == "cgroup":
            k.world.fill_cgroup(node)
    return Place(where.mount, where.dentry.add(name, node))


def _inode(k: Kernel, p: Process, folder: Node, mode: int) -> Node:
    """A new inode as one that is made in a folder is: whose it is, and what it takes from there."""
    node = Node(folder.system, mode, p.credentials.fsuid, p.credentials.gid[1])
    node.quota = folder.quota
    node.flags = folder.flags & 0x20000000
    node.project = folder.project
    if folder.mode & stat.S_ISGID:
        node.gid = folder.gid
    now = k.clock.now_ns()
    node.times = [now, now, now]
    return node

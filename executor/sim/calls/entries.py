"""Calls on what stands in a folder: mkdir, mknod, unlink, rename, link, readlink, listdir."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from executor.sim.calls.opening import BLOCK, make, step
from executor.sim.calls.table import call, raw
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import Dentry, Node, error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import MAKE, READ, REFER, REMOVE_DIR, REMOVE_FILE, WRITE, OpenFile, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("mkdir", "mkdirat", lambda *_: ())
def mkdir(k: Kernel, p: Process, path: str, mode: int, folder: int | None) -> None:
    """mkdir."""
    where, name = _new(p, path.rstrip("/") or "/", folder)
    make(k, p, where, name, stat.S_IFDIR | mode & 0o1777 & ~p.umask)


def _new(p: Process, path: str, folder: int | None) -> tuple[Place, str]:
    """Where something new goes; raises EEXIST."""
    if path == "/":
        raise error(errno.EEXIST)
    where, name = p.find_parent(path, folder)
    if not where.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    p.check_search(where)
    if name in {".", ".."} or step(p, where, name) is not None:
        raise error(errno.EEXIST)
    return where, name


@call("mknod", "mknodat", lambda _path, mode, *_: (0, 0, mode))
def mknod(k: Kernel, p: Process, path: str, mode: int, device: int, folder: int | None) -> None:
    """mknod and mkfifo."""
    kind = stat.S_IFMT(mode) or stat.S_IFREG
    if kind == stat.S_IFDIR:
        raise error(errno.EPERM)
    where, name = _new(p, path, folder)
    if kind in {stat.S_IFCHR, stat.S_IFBLK} and not p.has("MKNOD"):
        raise error(errno.EROFS if where.mount.read_only else errno.EPERM)
    place = make(k, p, where, name, kind | mode & 0o7777 & ~p.umask)
    place.dentry.node.rdev = device


@raw("mknod")
def raw_mknod(k: Kernel, p: Process, a: list[Any]) -> None:
    """mknod by number."""
    mknod(k, p, a[0].text, a[1], a[2], None)


@raw("mknodat")
def raw_mknodat(k: Kernel, p: Process, a: list[Any]) -> None:
    """mknodat by number."""
    mknod(k, p, a[1].text, a[2], a[3], None if a[0] == -100 else a[0])


def _removable(p: Process, path: str, folder: int | None, right: int) -> tuple[Place, str, Place]:
    """The folder, the name and what is there, once it may be taken out."""
    where, name = p.find_parent(path.rstrip("/") or "/", folder)
    if name in {".", ".."}:
        raise error(errno.EINVAL if name == "." else errno.ENOTEMPTY)
    p.check_search(where)
    there = step(p, where, name)
    if where.mount.read_only:
        raise error(errno.ENOENT if there is None else errno.EROFS)
    if there is None:
        raise error(errno.ENOENT)
    p.check_landlock(where, right)
    parent, node = where.dentry.node, there.dentry.node
    if not p.permits(parent, WRITE | 1):
        raise error(errno.EACCES)
    sticky = parent.mode & stat.S_ISVTX and p.credentials.fsuid not in {node.uid, parent.uid}
    if (sticky and not p.has("FOWNER")) or node.flags & 0x30:
        raise error(errno.EPERM)
    if there.mount is not where.mount:
        raise error(errno.EBUSY)
    return where, name, there


@call("rmdir", "unlinkat")
def rmdir(k: Kernel, p: Process, path: str, folder: int | None) -> None:
    """rmdir."""
    where, name, there = _removable(p, path, folder, REMOVE_DIR)
    if not there.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    if there.dentry.node.children and there.dentry.node.special != "cgroup":
        raise error(errno.ENOTEMPTY)
    where.dentry.node.links -= 1
    _gone(where, name, there.dentry.node)


@call("unlink", "unlinkat")
def unlink(k: Kernel, p: Process, path: str, folder: int | None) -> None:
    """unlink."""
    if path.endswith("/"):
        raise error(errno.ENOTDIR)
    where, name, there = _removable(p, path, folder, REMOVE_FILE)
    if there.dentry.node.is_dir:
        raise error(errno.EISDIR)
    there.dentry.node.links -= 1
    _gone(where, name, there.dentry.node)


def _gone(where: Place, name: str, node: Node) -> None:
    del where.dentry.node.children[name]
    if (node.links <= 0 or node.is_dir) and node.quota is not None:
        node.quota.inodes -= 1
        if node.is_dir and node.system.kind == "ext4":
            node.quota.bytes -= BLOCK
        if node.kind == stat.S_IFREG:
            node.quota.bytes -= -(-len(node.data) // 4096) * 4096


@call("rename", "renameat2")
def rename(k: Kernel, p: Process, old: str, new: str, old_folder: int | None, new_folder: int | None) -> None:
    """rename."""
    source, name = p.find_parent(old.rstrip("/") or "/", old_folder)
    target, leaf = p.find_parent(new.rstrip("/") or "/", new_folder)
    if source.mount is not target.mount:
        raise error(errno.EXDEV)
    if name in {".", ".."} or leaf in {".", ".."}:
        raise error(errno.EBUSY)
    p.check_search(source)
    p.check_search(target)
    if source.mount.read_only:
        raise error(errno.EROFS)
    there = step(p, source, name)
    if there is None:
        raise error(errno.ENOENT)
    node = there.dentry.node
    over = step(p, target, leaf)
    if there.dentry in _above(target):
        raise error(errno.EINVAL)
    if over is not None and over.dentry in _above(source):
        raise error(errno.ENOTEMPTY)
    if not node.is_dir and (old.endswith("/") or new.endswith("/")):
        raise error(errno.ENOTDIR)
    if over is not None and over.dentry.node is node:
        return  # two names of one file: nothing is done, says POSIX
    moved = source.dentry.node is not target.dentry.node
    p.check_landlock(source, REMOVE_DIR if node.is_dir else REMOVE_FILE)
    p.check_landlock(target, MAKE[node.kind])
    if moved:
        p.check_landlock(source, REFER)
        p.check_landlock(target, REFER)
    for parent in (source.dentry.node, target.dentry.node):
        if not p.permits(parent, WRITE | 1):
            raise error(errno.EACCES)
    if node.flags & 0x30:
        raise error(errno.EPERM)
    if over is not None:
        _replace(over.dentry.node, node)
        _gone(target, leaf, over.dentry.node)
    del source.dentry.node.children[name]
    there.dentry.name, there.dentry.parent = leaf, target.dentry
    target.dentry.node.children[leaf] = there.dentry


def _above(where: Place) -> list[Dentry]:
    """A folder and all that it stands in."""
    found = [where.dentry]
    while (parent := found[-1].parent) is not None and parent is not found[-1]:
        found.append(parent)
    return found


@raw("renameat2")
def renameat2(k: Kernel, p: Process, a: list[Any]) -> None:
    """rename by number; with RENAME_EXCHANGE (2) two names are swapped in one step."""
    old_folder, new_folder = (None if one & 0xFFFFFFFF == 0xFFFFFF9C else one for one in (a[0], a[2]))
    if a[4] == 0:
        rename(k, p, a[1].text, a[3].text, old_folder, new_folder)
        return
    if a[4] != 2:
        raise UnmodelledError(f"renameat2 with flags {a[4]}")
    (source, name), (target, leaf) = p.find_parent(a[1].text, old_folder), p.find_parent(a[3].text, new_folder)
    if source.mount is not target.mount:
        raise error(errno.EXDEV)
    if source.mount.read_only:
        raise error(errno.EROFS)
    one, two = step(p, source, name), step(p, target, leaf)
    if one is None or two is None:
        raise error(errno.ENOENT)
    for where, there, other in ((source, one, two), (target, two, one)):
        p.check_search(where)
        p.check_landlock(where, REMOVE_DIR if there.dentry.node.is_dir else REMOVE_FILE)
        p.check_landlock(where, MAKE[other.dentry.node.kind])
        if source.dentry.node is not target.dentry.node:
            p.check_landlock(where, REFER)
        if not p.permits(where.dentry.node, WRITE | 1):
            raise error(errno.EACCES)
        if there.dentry.node.flags & 0x30:
            raise error(errno.EPERM)
    one.dentry.node.covered = two.dentry.node.covered = one.dentry.node.covered or two.dentry.node.covered
    one.dentry.node, two.dentry.node = two.dentry.node, one.dentry.node


def _replace(over: Node, node: Node) -> None:
    if over.is_dir and not node.is_dir:
        raise error(errno.EISDIR)
    if node.is_dir and not over.is_dir:
        raise error(errno.ENOTDIR)
    if over.is_dir and over.children:
        raise error(errno.ENOTEMPTY)


@call("link", "linkat")
def link(k: Kernel, p: Process, old: str, new: str, old_folder: int | None, new_folder: int | None) -> None:
    """link."""
    source = p.find(old, old_folder, follow=False)
    where, name = _new(p, new, new_folder)
    if where.mount.read_only:
        raise error(errno.EROFS)
    if source.mount is not where.mount:
        raise error(errno.EXDEV)
    node = source.dentry.node
    if node.is_dir:
        raise error(errno.EPERM)
    if k.world.setting("fs/protected_hardlinks") == "1" and p.credentials.fsuid != node.uid and not p.has("FOWNER"):
        safe = node.kind == stat.S_IFREG and not node.mode & stat.S_ISUID and p.permits(node, READ | WRITE)
        if not safe:
            raise error(errno.EPERM)
    p.check_landlock(where, MAKE[node.kind])
    if source.dentry.parent is not where.dentry:
        p.check_landlock(where, REFER)
    if not p.permits(where.dentry.node, WRITE | 1):
        raise error(errno.EACCES)
    node.links += 1
    where.dentry.add(name, node)


@call("symlink", "symlinkat")
def symlink(k: Kernel, p: Process, target: str, path: str, folder: int | None) -> None:
    """symlink."""
    if not target:
        raise error(errno.ENOENT)
    where, name = _new(p, path, folder)
    make(k, p, where, name, stat.S_IFLNK | 0o777).dentry.node.target = target


@call("readlink", "readlinkat")
def readlink(k: Kernel, p: Process, path: str, folder: int | None) -> str:
    """readlink."""
    node = p.find(path, folder, follow=False).dentry.node
    if node.kind != stat.S_IFLNK:
        raise error(errno.EINVAL)
    return node.read(p).decode() if node.read else node.target


@call("listdir", "getdents64")
def listdir(k: Kernel, p: Process, path: str | int) -> list[list[Any]]:
    """Name, type and inode of every entry."""
    if isinstance(path, int):
        opened = p.file(path)
        if opened.place is None:
            raise error(errno.ENOTDIR)
        place = opened.place
        return _entries(p, place)
    place = p.find(path)
    if not place.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    p.check(place, READ)
    # It is open meanwhile: who has no descriptor left cannot look, and who looks at his own sees this one.
    number = p.install(OpenFile(place, place.dentry.node, os.O_RDONLY | os.O_DIRECTORY))
    try:
        return _entries(p, place)
    finally:
        p.drop(number)


def _entries(p: Process, place: Place) -> list[list[Any]]:
    node = place.dentry.node
    if not node.is_dir:
        raise error(errno.ENOTDIR)
    names = dict.fromkeys([*(node.names(p) if node.names else ()), *node.children])
    found = []
    for name in names:
        entry = node.children.get(name) or (node.find(p, name) if node.find else None)
        if entry is not None:
            found.append([name, entry.node.kind, entry.node.number])
    return found

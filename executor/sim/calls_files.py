"""Calls on files, folders and descriptors."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls import Memory, Raw, call, raw
from executor.sim.mounts import Place
from executor.sim.nodes import Dentry, FileSystem, Node, error
from executor.sim.process import (
    MAKE,
    READ,
    REFER,
    REMOVE_DIR,
    REMOVE_FILE,
    WRITE,
    WRITE_FILE,
    OpenFile,
    Pipe,
    Process,
    UnmodelledError,
    WaitError,
)

if TYPE_CHECKING:
    from executor.sim.kernel import Kernel

FSIZE: Final = 1
"""RLIMIT_FSIZE."""
BLOCK: Final = 4096
"""Bytes that a folder takes on the scratch disk."""
NONBLOCK: Final = os.O_NONBLOCK
_memfd: Final = FileSystem("memfd")


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


@call("open", "openat")
def open_(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> int:
    """open and openat."""
    opened = opening(k, p, path, flags, mode, folder)
    return p.install(opened, close_on_exec=bool(flags & os.O_CLOEXEC))


def opening(k: Kernel, p: Process, path: str, flags: int, mode: int, folder: int | None) -> OpenFile:
    """An open file for `path`, made where asked for."""
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
    if node.kind == stat.S_IFSOCK:
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
    there = _step(p, where, name)
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


def _step(p: Process, where: Place, name: str) -> Place | None:
    from executor.sim.mounts import Walk  # noqa: PLC0415 - one small use

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
    node = Node(folder.system, mode, p.credentials.fsuid, p.credentials.gid[1])
    node.quota = folder.quota
    node.flags = folder.flags & 0x20000000
    node.project = folder.project
    if folder.mode & stat.S_ISGID:
        node.gid = folder.gid
    if node.is_dir:
        folder.links += 1
        if folder.special == "cgroup":
            k.world.fill_cgroup(node)
    now = k.clock.now_ns()
    node.times = [now, now, now]
    return Place(where.mount, where.dentry.add(name, node))


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
    if name in {".", ".."} or _step(p, where, name) is not None:
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
    there = _step(p, where, name)
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
    there = _step(p, source, name)
    if there is None:
        raise error(errno.ENOENT)
    node = there.dentry.node
    over = _step(p, target, leaf)
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
    one, two = _step(p, source, name), _step(p, target, leaf)
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
    else:
        place = p.find(path)
        if place.dentry.node.is_dir:
            p.check(place, READ)
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


@call("truncate", "truncate")
def truncate(k: Kernel, p: Process, path: str, length: int) -> None:
    """truncate: the mount is asked before the file's rights."""
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
    if not opened.writable or opened.node.kind != stat.S_IFREG:
        raise error(errno.EINVAL)
    _within(k, p, length)
    opened.node.resize(length)


@call("posix_fallocate", "fallocate")
def fallocate(k: Kernel, p: Process, number: int, offset: int, length: int) -> None:
    """fallocate."""
    opened = p.file(number)
    if not opened.writable:
        raise error(errno.EBADF)
    _within(k, p, offset + length)
    opened.node.resize(max(opened.node.length, offset + length))


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
    base = {0: 0, 1: opened.offset, 2: opened.node.length}.get(whence)
    if base is None or base + offset < 0:
        raise error(errno.EINVAL)
    opened.offset = base + offset
    return opened.offset


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


@call("fsync", "fsync")
@call("fdatasync", "fdatasync")
def fsync(k: Kernel, p: Process, number: int) -> None:
    """Nothing is buffered here."""
    p.file(number)


@call("sync", "sync")
def sync(k: Kernel, p: Process) -> None:
    """Nothing is buffered here."""


@call("getcwd", "getcwd")
def getcwd(k: Kernel, p: Process) -> str:
    """The working directory."""
    return p.path_of(p.cwd)


@call("chdir", "chdir")
def chdir(k: Kernel, p: Process, path: str) -> None:
    """chdir."""
    enter(p, p.find(path))


@call("fchdir", "fchdir")
def fchdir(k: Kernel, p: Process, number: int) -> None:
    """fchdir."""
    opened = p.file(number)
    if opened.place is None:
        raise error(errno.ENOTDIR)
    enter(p, opened.place)


def enter(p: Process, place: Place) -> None:
    """Make `place` the working directory."""
    if not place.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    p.check_search(place)
    p.cwd = place


@call("umask", "umask")
def umask(k: Kernel, p: Process, mask: int) -> int:
    """umask."""
    before, p.umask = p.umask, mask & 0o777
    return before


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
    place.dentry.node.attributes[name] = value


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
    del place.dentry.node.attributes[name]


def _node(p: Process, path: str | int) -> Place:
    if isinstance(path, int):
        place = p.file(path).place
        if place is None:
            raise error(errno.EOPNOTSUPP)
        return place
    return p.find(path)


@call("getrandom", "getrandom")
def getrandom(k: Kernel, p: Process, size: int) -> bytes:
    """Bytes from a generator that starts the same each time."""
    return k.random(size)


def noise(seed: int, counter: int, size: int) -> bytes:
    """`size` bytes that look random and are the same for the same seed and counter."""
    found = b""
    while len(found) < size:
        found += hashlib.sha256(f"{seed}:{counter}:{len(found)}".encode()).digest()
    return found[:size]


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
def flock(k: Kernel, p: Process, number: int, _operation: int) -> None:
    """Nobody else is there to lock out."""
    p.file(number)

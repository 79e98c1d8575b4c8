"""What file systems are made of: inodes, names, and the few file systems a guest of Cordon has."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from executor.sim.kernel.process import Process

MAGIC: Final = {
    "squashfs": 0x73717368,
    "ext4": 0xEF53,
    "tmpfs": 0x01021994,
    "proc": 0x9FA0,
    "sysfs": 0x62656572,
    "cgroup2": 0x63677270,
    "securityfs": 0x73636673,
    "overlay": 0x794C7630,
    "iso9660": 0x9660,
    "devtmpfs": 0x01021994,
    "cgroup": 0x27E0EB,
    "binfmt_misc": 0x42494E4D,
    "memfd": 0x01021994,
    "pipefs": 0x50495045,
    "sockfs": 0x534F434B,
    "anon": 0x09041934,
    "nsfs": 0x6E736673,
}
MAX_FILE: Final = 16 << 40
"""Bytes of the largest file of ext4 with blocks of 4 KiB."""
SPARSE: Final = 64 << 20
"""Bytes that appear behind a file's end at once and are kept as a number: nobody wrote them, and no block is taken."""
_inode: Final = itertools.count(10)
_device: Final = itertools.count(40)


def error(number: int) -> OSError:
    """The kernel's answer `number`."""
    return OSError(number, os.strerror(number))


class FileSystem:
    """One mounted or mountable file system."""

    def __init__(self, kind: str, *, read_only: bool = False, quota: Quota | None = None) -> None:
        self.kind: Final = kind
        self.magic: Final = MAGIC[kind]
        self.read_only = read_only
        self.quota = quota
        self.device: Final = next(_device)
        self.label = "none"
        self.root = Dentry("", None, Node(self, stat.S_IFDIR | 0o755))


class Quota:
    """Bytes and inodes that count together; `hard` 0 is no limit, `full` what whoever goes over it is told."""

    def __init__(self, hard_bytes: int = 0, hard_inodes: int = 0, full: int = errno.EDQUOT) -> None:
        self.full = full
        self.hard_bytes = hard_bytes
        self.hard_inodes = hard_inodes
        self.bytes = 0
        self.inodes = 0

    def take(self, count: int) -> None:
        """Use `count` more bytes, or raise `full`."""
        if count > 0 and self.hard_bytes and self.bytes + count > self.hard_bytes:
            raise error(self.full)
        self.bytes += count

    def take_inode(self) -> None:
        """Use one more inode, or raise `full`."""
        if self.hard_inodes and self.inodes + 1 > self.hard_inodes:
            raise error(self.full)
        self.inodes += 1


class Node:
    """An inode. What is special about a file is in `special`, `read`, `write`, `opened`, `find` and `names`.

    What most of them have not is on the class: a machine has hundreds, and each run has a machine.
    """

    covered = False
    """Whether anything was ever mounted on it: a path leads through many nodes, and there are many mounts to ask."""
    hole = 0
    """Bytes behind `data` that nobody wrote, except what is in `far`."""
    far: Mapping[int, bytes] = MappingProxyType({})
    attributes: Mapping[str, bytes] = MappingProxyType({})
    """Both are replaced, not changed."""
    target = ""
    rdev = 0
    flags = 0
    project = 0
    quota: Quota | None = None
    special = ""
    pipe: Any = None
    locks: dict[Any, bool] | None = None
    """Open file -> whether it shares its flock."""
    read: Callable[[Process], bytes] | None = None
    write: Callable[[Process, bytes], None] | None = None
    opened: Callable[[Process, int], None] | None = None
    """Asked when it is opened, with the flags; raises the error."""
    permitted: Callable[[Process, int], None] | None = None
    """In the place of the mode bits: raises the error."""
    find: Callable[[Process, str], Dentry | None] | None = None
    names: Callable[[Process], Iterable[str]] | None = None
    jump: Callable[[Process], tuple[Any, Dentry]] | None = None
    """A magic link of /proc: where it leads, without a look at any path."""

    def __init__(self, system: FileSystem, mode: int, uid: int = 0, gid: int = 0) -> None:
        self.system: Final = system
        self.number: Final = next(_inode)
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.links = 2 if stat.S_ISDIR(mode) else 1
        self.data = bytearray()
        self.times = [0, 0, 0]
        self.children: dict[str, Dentry] = {}

    @property
    def kind(self) -> int:
        """The type bits of the mode."""
        return stat.S_IFMT(self.mode)

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def length(self) -> int:
        """Bytes, with those that nobody wrote."""
        return len(self.data) + self.hole

    def slice(self, offset: int, size: int) -> bytes:
        """What reading gives."""
        if offset + size <= len(self.data) or not self.hole:
            return bytes(self.data[offset : offset + size])
        end = min(offset + size, self.length)
        found = bytearray(self.data[offset:end].ljust(max(0, end - offset), b"\0"))
        for at, data in self.far.items():
            if offset <= at < end:
                found[at - offset : at - offset + len(data)] = data[: end - at]
        return bytes(found)

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite: the room for it is there."""
        if offset > len(self.data):
            self.far = {**self.far, offset: data}
            return
        grown = max(0, offset + len(data) - len(self.data))
        self.data[offset : offset + len(data)] = data
        self.hole = max(0, self.hole - grown)

    def resize(self, size: int) -> None:
        """Set the length; raises the error where it would be too much."""
        if size > MAX_FILE:
            raise error(errno.EFBIG)
        if self.far:
            self.far = {at: data for at, data in self.far.items() if at < size}
        if size - len(self.data) > SPARSE:
            self.hole = size - len(self.data)
            return
        self.hole = 0
        before, after = -(-len(self.data) // 4096) * 4096, -(-size // 4096) * 4096
        if self.quota:
            self.quota.take(after - before)
        if size < len(self.data):
            del self.data[size:]
        else:
            self.data.extend(bytes(size - len(self.data)))


class Dentry:
    """A name in a folder."""

    __slots__ = ("name", "node", "parent")

    def __init__(self, name: str, parent: Dentry | None, node: Node) -> None:
        self.name = name
        self.parent = parent
        self.node = node

    def add(self, name: str, node: Node) -> Dentry:
        """Put `node` into this folder as `name`."""
        made = Dentry(name, self, node)
        self.node.children[name] = made
        return made


def folder(parent: Dentry, name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Dentry:
    """A new folder; the one that is there, if any."""
    if name in parent.node.children:
        return parent.node.children[name]
    return parent.add(name, Node(parent.node.system, stat.S_IFDIR | mode, uid, gid))


def file(parent: Dentry, name: str, data: bytes = b"", mode: int = 0o644, uid: int = 0, gid: int = 0) -> Node:
    """A new regular file."""
    node = Node(parent.node.system, stat.S_IFREG | mode, uid, gid)
    node.data += data
    parent.add(name, node)
    return node


def device(parent: Dentry, name: str, major: int, minor: int, mode: int, *, block: bool = False) -> Node:
    """A new device node."""
    node = Node(parent.node.system, (stat.S_IFBLK if block else stat.S_IFCHR) | mode)
    node.rdev = os.makedev(major, minor)
    parent.add(name, node)
    return node


def link(parent: Dentry, name: str, target: str) -> Node:
    """A new symbolic link."""
    node = Node(parent.node.system, stat.S_IFLNK | 0o777)
    node.target = target
    parent.add(name, node)
    return node


def deep(root: Dentry, path: str) -> Dentry:
    """The folder at `path` below `root`, made with its parents where missing."""
    here = root
    for part in path.strip("/").split("/"):
        if part:
            here = folder(here, part)
    return here

"""A guest's processes: who they are, what they have open, and what they may do."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from executor.guest.sandbox_plan import ALL_CAPABILITIES
from executor.sim.files.mounts import NODEV, MountTable, Place, Walk, full_path
from executor.sim.files.nodes import Node, error
from executor.sim.kernel.filter import Filter

if TYPE_CHECKING:
    from executor.sim.puppeteer import Puppet

CAPS: Final[Mapping[str, int]] = {name.removeprefix("CAP_"): 1 << bit for bit, name in enumerate(ALL_CAPABILITIES)}
"""The list of sandbox_plan is in the kernel's order (linux/capability.h)."""
EVERY: Final = (1 << len(ALL_CAPABILITIES)) - 1
READ, WRITE, SEARCH = 4, 2, 1

EXECUTE: Final = 1 << 0
WRITE_FILE: Final = 1 << 1
REMOVE_DIR: Final = 1 << 4
REMOVE_FILE: Final = 1 << 5
MAKE: Final[Mapping[int, int]] = {
    stat.S_IFCHR: 1 << 6,
    stat.S_IFDIR: 1 << 7,
    stat.S_IFREG: 1 << 8,
    stat.S_IFSOCK: 1 << 9,
    stat.S_IFIFO: 1 << 10,
    stat.S_IFBLK: 1 << 11,
    stat.S_IFLNK: 1 << 12,
}
REFER: Final = 1 << 13
WRITE_TREE: Final = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | REFER | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12
WRITE_HANDLED: Final = WRITE_TREE | 1 << 6 | 1 << 11
"""Access rights of linux/landlock.h as fixtures/gold_image/launch.c handles them."""


@dataclass(frozen=True, slots=True)
class Landlock:
    """One ruleset a process is under for good: handled rights, and the rights granted below each inode."""

    handled: int
    grants: Mapping[int, int]
    """Inode (by identity) -> rights."""

    def allows(self, place: Place, wanted: int) -> bool:
        """Whether every handled right of `wanted` is granted at `place` or above it."""
        missing = wanted & self.handled
        mount = place.mount
        dentry = place.dentry
        while missing:
            missing &= ~self.grants.get(id(dentry.node), 0)
            above = None if dentry.node is mount.root.node else dentry.parent
            if above is not None:
                dentry = above
            elif mount.parent is not None and mount.at is not None:
                dentry, mount = mount.at, mount.parent
            else:
                break
        return not missing


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a process is."""

    uid: tuple[int, int, int] = (0, 0, 0)
    gid: tuple[int, int, int] = (0, 0, 0)
    fsuid: int = 0
    groups: tuple[int, ...] = ()
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    bounding: int = 0
    ambient: int = 0
    no_new_privs: bool = False
    securebits: int = 0

    def has(self, capability: str) -> bool:
        """Whether the capability is in the effective set."""
        return bool(self.effective & CAPS[capability])

    def executed(self) -> Credentials:
        """After execve of a file without set-user-id bits or file capabilities."""
        root = 0 in {self.uid[0], self.uid[1]}
        granted = self.bounding | self.inheritable if root else self.ambient
        ambient = 0 if root else self.ambient
        return replace(
            self, permitted=granted, effective=granted if root or ambient else 0, ambient=ambient, fsuid=self.uid[1]
        )


@dataclass(eq=False, slots=True)
class OpenFile:
    """An open file description."""

    place: Place | None
    node: Node
    flags: int
    offset: int = 0
    extra: Any = None
    """A socket, an end of a pipe, an event counter ... of what is no file."""
    kind: str = "file"
    count: int = 0
    """Descriptors that lead here."""

    @property
    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE in {os.O_RDONLY, os.O_RDWR} and not self.flags & os.O_PATH

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE in {os.O_WRONLY, os.O_RDWR} and not self.flags & os.O_PATH


@dataclass(eq=False, slots=True)
class Pipe:
    """A pipe or one direction of a socket pair."""

    buffer: bytearray = field(default_factory=bytearray)
    readers: int = 0
    writers: int = 0
    size: int = 65536


@dataclass(eq=False, slots=True)
class Namespaces:
    """Numbers of the namespaces a process is in; equal numbers, the same namespace."""

    mnt: int = 0
    pid: int = 0
    net: int = 0
    ipc: int = 0
    uts: int = 0
    user: int = 0
    cgroup: int = 0
    time: int = 0


@dataclass(eq=False, slots=True)
class Process:
    """One process of the guest."""

    pid: int
    parent: Process | None
    credentials: Credentials
    mounts: MountTable
    root: Place
    cwd: Place
    program: str = ""
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    executable: str = ""
    group: int = 0
    session: int = 0
    umask: int = 0o022
    files: dict[int, tuple[OpenFile, bool]] = field(default_factory=dict)
    """Descriptor -> what it leads to, and whether execve closes it."""
    limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    filter: Filter | None = None
    landlock: tuple[Landlock, ...] = ()
    namespaces: Namespaces = field(default_factory=Namespaces)
    puppet: Puppet | None = None
    status: int | None = None
    """Its wait status, once it has ended."""
    caught: set[int] = field(default_factory=set)
    ignored: set[int] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)
    masked: set[int] = field(default_factory=set)
    queued: list[int] = field(default_factory=list)
    """Masked signals that have come."""
    stopped: bool = False
    computing_ns: int | None = None
    """The processor time its puppet had used, and been charged for, when it began to compute; None between calls."""
    moved: bool = False
    """Whether it left the control group it was started in, or its parent did."""
    policy: int = 0
    """Scheduling policy, as sched_setscheduler numbers them."""
    children: list[Process] = field(default_factory=list)
    dumpable: bool = True
    confined: bool = False
    """Whether it is one of a task's, and not the guest's own."""
    nice: int = 0
    wake_ns: int = 0
    alarm_ns: int = 0
    cpu_ns: int = 0
    oom_score: int = 0
    personality: int = 0
    locked: int = 0
    memory: int = 0
    cgroup: str = "/"
    death_signal: int = 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.status is None

    def has(self, capability: str) -> bool:
        """Whether it holds a capability effectively."""
        return self.credentials.has(capability)

    def need(self, capability: str, number: int = errno.EPERM) -> None:
        """Raise unless it holds `capability`."""
        if not self.has(capability):
            raise error(number)

    def limit(self, number: int) -> int:
        """A soft limit; effectively none where none was set."""
        return self.limits.get(number, (1 << 63, 1 << 63))[0]

    # Looking at the file system -------------------------------------------------------------------------------------

    def find(self, path: str, folder: int | None = None, *, follow: bool = True) -> Place:
        """What `path` leads to, from the working directory or an open folder."""
        return Walk(self).find(path, self.start(path, folder), follow=follow)[0]

    def find_parent(self, path: str, folder: int | None = None) -> tuple[Place, str]:
        """The folder in which `path` has its last name."""
        return Walk(self).find(path, self.start(path, folder), parent=True)

    def start(self, path: str, folder: int | None) -> Place:
        """Where a relative path begins."""
        if path.startswith("/") or folder in {None, -100}:
            return self.cwd
        opened = self.file(folder or 0)
        if opened.place is None:
            raise error(errno.ENOTDIR)
        return opened.place

    def file(self, number: int) -> OpenFile:
        """The open file behind a descriptor; raises EBADF."""
        found = self.files.get(number)
        if found is None:
            raise error(errno.EBADF)
        return found[0]

    def bits(self, node: Node) -> int:
        """The permission bits of `node` that count for this process."""
        who = self.credentials
        if who.fsuid == node.uid:
            return node.mode >> 6 & 7
        if node.gid == who.gid[1] or node.gid in who.groups:
            return node.mode >> 3 & 7
        return node.mode & 7

    def permits(self, node: Node, wanted: int) -> bool:
        """Whether mode bits or capabilities let this process do `wanted` (4 read, 2 write, 1 search or execute)."""
        if self.bits(node) & wanted == wanted:
            return True
        if self.has("DAC_OVERRIDE") and (node.is_dir or not wanted & SEARCH or node.mode & 0o111):
            return True
        reading = wanted & WRITE == 0 and (node.is_dir or not wanted & SEARCH)
        return reading and self.has("DAC_READ_SEARCH")

    def check_search(self, place: Place) -> None:
        """Raise unless this process may pass through a folder."""
        if not self.permits(place.dentry.node, SEARCH):
            raise error(errno.EACCES)

    def check(self, place: Place, wanted: int) -> None:
        """Raise unless this process may read, write or execute what is at `place` (not: whether it is writable)."""
        node = place.dentry.node
        special = node.kind in {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
        if wanted & WRITE:
            if place.mount.system.read_only and not special:
                raise error(errno.EROFS)
            if node.flags & 0x10:  # immutable
                raise error(errno.EPERM)
        if node.permitted is not None:
            node.permitted(self, wanted)
        elif not self.permits(node, wanted):
            raise error(errno.EACCES)
        if place.mount.flags & NODEV and node.kind in {stat.S_IFCHR, stat.S_IFBLK}:
            raise error(errno.EACCES)

    def check_write(self, place: Place, access: int) -> None:
        """Raise unless the mount can be written and Landlock lets this process."""
        special = place.dentry.node.kind in {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
        if place.mount.read_only and not (special and access == WRITE_FILE):
            raise error(errno.EROFS)
        self.check_landlock(place, access)

    def check_landlock(self, place: Place, access: int) -> None:
        """Raise EACCES unless every ruleset grants `access` at `place`."""
        if not all(rules.allows(place, access) for rules in self.landlock):
            raise error(errno.EACCES)

    def path_of(self, place: Place) -> str:
        """The path of `place` as this process sees it."""
        return full_path(place, self.mounts, self.root)

    # Descriptors ----------------------------------------------------------------------------------------------------

    def install(self, opened: OpenFile, *, close_on_exec: bool = True, lowest: int = 0) -> int:
        """The lowest free descriptor for `opened`; raises EMFILE."""
        number = lowest
        while number in self.files:
            number += 1
        if number >= self.limit(7):  # RLIMIT_NOFILE
            raise error(errno.EMFILE)
        self.files[number] = (opened, close_on_exec)
        opened.count += 1
        return number

    def drop(self, number: int) -> None:
        """Close a descriptor; raises EBADF."""
        opened = self.file(number)
        del self.files[number]
        opened.count -= 1
        if opened.count == 0:
            released(opened)


def released(opened: OpenFile) -> None:
    """The last descriptor of an open file is gone."""
    if opened.kind == "pipe":
        pipe: Pipe = opened.extra
        pipe.readers -= opened.readable
        pipe.writers -= opened.writable
    elif opened.kind == "socket" and opened.extra is not None:
        opened.extra.close()

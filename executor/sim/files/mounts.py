"""Mounts and the walk along a path: links, `..`, mount points, and who may pass through."""

from __future__ import annotations

import errno
import itertools
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from executor.sim.files.nodes import Dentry, FileSystem, error

if TYPE_CHECKING:
    from executor.sim.kernel.process import Process

RDONLY: Final = 1
NOSUID: Final = 2
NODEV: Final = 4
NOEXEC: Final = 8
MAX_LINKS: Final = 40
LINK: Final = stat.S_IFLNK
NAME_MAX: Final = 255
PATH_MAX: Final = 4096
NOBODY: Final[Any] = None
"""In the place of a process where nobody's rights are asked."""
_number: Final = itertools.count(20)


@dataclass(eq=False, slots=True)
class Mount:
    """A tree attached somewhere."""

    system: FileSystem
    root: Dentry
    flags: int = 0
    parent: Mount | None = None
    at: Dentry | None = None
    locked: bool = False
    shared: bool = False
    table: MountTable | None = None
    """Whose it is: a magic link of /proc leads into other mount namespaces."""
    number: int = field(default_factory=lambda: next(_number))

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it."""
        return bool(self.flags & RDONLY) or self.system.read_only

    def put_on(self, place: Place) -> None:
        """Let it cover `place`."""
        self.parent, self.at = place.mount, place.dentry
        place.dentry.node.covered = True


class Place(NamedTuple):
    """A name reached through a mount. Many are made for each path, and a named tuple is made fastest."""

    mount: Mount
    dentry: Dentry


class MountTable:
    """The mounts of one mount namespace."""

    def __init__(self, root: Mount) -> None:
        self.root = root
        self.all: list[Mount] = [root]
        root.table = self

    def attach(self, made: Mount, at: Place) -> Mount:
        """Mount `made` at a place."""
        made.put_on(at)
        made.table = self
        self.all.append(made)
        return made

    def detach(self, mount: Mount) -> None:
        """Take a mount and everything on it away."""
        for child in [one for one in self.all if one.parent is mount]:
            self.detach(child)
        self.all.remove(mount)

    def over(self, place: Place) -> Place:
        """What is seen at `place`: the root of the topmost mount on it."""
        while place.dentry.node.covered:
            for mount in reversed((place.mount.table or self).all):
                if mount.at is not None and mount.parent is place.mount and mount.at.node is place.dentry.node:
                    place = Place(mount, mount.root)
                    break
            else:
                break
        return place

    def is_point(self, place: Place) -> bool:
        """Whether `place` is the root of a mount (`umount` can be asked of it)."""
        return place.dentry.node is place.mount.root.node

    def copy(self) -> MountTable:
        """For a new mount namespace: the same trees, mounts of its own."""
        made: dict[int, Mount] = {}
        for mount in self.all:
            twin = Mount(mount.system, mount.root, mount.flags, None, mount.at, mount.locked, mount.shared)
            twin.parent = made.get(id(mount.parent)) if mount.parent else None
            made[id(mount)] = twin
        table = MountTable(made[id(self.root)])
        table.all = list(made.values())
        for mount in table.all:
            mount.table = table
        return table


@dataclass(slots=True)
class Walk:
    """One look-up on behalf of a process."""

    process: Process
    links: int = 0

    def find(  # noqa: C901 - the kernel's own rules, in its order
        self, path: str, start: Place, *, follow: bool = True, parent: bool = False
    ) -> tuple[Place, str]:
        """The place `path` leads to; with `parent` the folder and the last name in it, which may not be there.

        Raises the error the kernel answers with.
        """
        if not path:
            raise error(errno.ENOENT)
        if longer(path, PATH_MAX - 1):
            raise error(errno.ENAMETOOLONG)
        table = self.process.mounts
        here = table.over(self.process.root) if path.startswith("/") else start
        parts = [part for part in path.split("/") if part]
        slash = path.endswith("/") and bool(parts)
        if parent and not parts:
            return here, "."
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            if longer(part, NAME_MAX):
                raise error(errno.ENAMETOOLONG)
            if not here.dentry.node.is_dir:
                raise error(errno.ENOTDIR)
            self.process.check_search(here)
            if last and parent:
                return here, part
            step = self.step(here, part)
            if step is None:
                raise error(errno.ENOENT)
            if step.dentry.node.kind == LINK and (not last or follow or slash):
                step = self.resolved(step, here)
            here = step
        if slash and not here.dentry.node.is_dir:
            raise error(errno.ENOTDIR)
        return here, ""

    def step(self, here: Place, part: str) -> Place | None:
        """One name further; None when it is not there. Links are not followed."""
        table = self.process.mounts
        if part == ".":
            return here
        if part == "..":
            root = table.over(self.process.root)
            while here.dentry.node is not root.dentry.node or here.mount is not root.mount:
                if here.dentry.parent is not None and here.dentry.node is not here.mount.root.node:
                    return table.over(Place(here.mount, here.dentry.parent))
                if here.mount.parent is None or here.mount.at is None:
                    return here
                here = Place(here.mount.parent, here.mount.at)
            return here
        node = here.dentry.node
        found = node.find(self.process, part) if node.find else None
        if found is None:
            found = node.children.get(part)
        if found is None:
            return None
        if found.parent is None:
            found.parent = here.dentry
        seen = Place(here.mount, found)
        return table.over(seen) if found.node.covered else seen

    def resolved(self, place: Place, here: Place) -> Place:
        """Where the link `place`, found in `here`, leads; anything else as it is."""
        while place.dentry.node.kind == LINK:
            self.links += 1
            if self.links > MAX_LINKS:
                raise error(errno.ELOOP)
            node = place.dentry.node
            if node.jump is not None:
                mount, dentry = node.jump(self.process)
                return Place(mount, dentry)
            target = node.read(self.process).decode() if node.read else node.target
            place, _ = self.find(target, here)
        return place


def below(table: MountTable, here: Place, name: str) -> Place:
    """What stands in a folder under a name, without anybody's rights; raises ENOENT."""
    node = here.dentry.node
    found = (node.find(NOBODY, name) if node.find else None) or node.children.get(name)
    if found is None:
        raise error(errno.ENOENT)
    return table.over(Place(here.mount, found))


def longer(text: str, most: int) -> bool:
    """Whether `text` has more than `most` bytes; a character has four at most, so most texts need no counting."""
    return len(text) * 4 > most and len(text.encode(errors="surrogateescape")) > most


def full_path(place: Place, table: MountTable, root: Place) -> str:
    """The path of `place` as seen from `root`."""
    parts: list[str] = []
    mount, dentry = place.mount, place.dentry
    top = table.over(root)
    for _ in range(PATH_MAX):
        if dentry.node is top.dentry.node and mount is top.mount:
            break
        above = None if dentry.node is mount.root.node else dentry.parent
        if above is not None:
            parts.append(dentry.name)
            dentry = above
        elif mount.parent is not None and mount.at is not None:
            dentry, mount = mount.at, mount.parent
        else:
            break
    return "/" + "/".join(reversed(parts))

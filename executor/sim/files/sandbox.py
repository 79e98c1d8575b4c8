"""A task's mounts and Landlock rules, made from the configuration the agent's own code makes for the container runtime.

A control that executor/guest/sandbox_plan.py drops is a control this sandbox does not have.
"""

from __future__ import annotations

import errno
import itertools
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from executor.sim.files import procfs, rootfs
from executor.sim.files.mounts import NODEV, NOEXEC, NOSUID, RDONLY, Mount, MountTable, Place, below
from executor.sim.files.nodes import FileSystem, Quota, deep, link
from executor.sim.files.specials import COMMON, character_device
from executor.sim.kernel.process import EXECUTE, WRITE_FILE, WRITE_HANDLED, WRITE_TREE, Landlock, Process

if TYPE_CHECKING:
    from executor.sim.files.world import World

FLAGS: Final = {"ro": RDONLY, "nosuid": NOSUID, "nodev": NODEV, "noexec": NOEXEC}
"""What a mount's options are for the kernel."""


def mounts_of(world: World, config: Mapping[str, Any], members: Callable[[], Iterable[Process]]) -> MountTable:
    """The mounts of the container `config` describes."""
    linux = config["linux"]
    read_only = bool(config["root"]["readonly"])
    if read_only:
        table = MountTable(Mount(world.image, world.image.root, RDONLY | NOSUID | NODEV))
    else:
        upper = FileSystem("overlay")
        rootfs.build(upper)
        table = MountTable(Mount(upper, upper.root))
    for entry in config["mounts"]:
        _mount(world, table, entry, members)
    _mask(world, table, linux.get("maskedPaths", ()))
    for path in linux.get("readonlyPaths", ()):
        try:
            place = world.at(table, path)
        except OSError:
            continue
        if not table.is_point(place) or place.dentry.node.is_dir:
            made = table.attach(Mount(place.mount.system, place.dentry, place.mount.flags | RDONLY), place)
            made.locked = True
    return table


def _mount(world: World, table: MountTable, entry: Mapping[str, Any], members: Callable[[], Iterable[Process]]) -> None:
    options = entry["options"]
    flags = sum(FLAGS.get(one, 0) for one in options)
    target = entry["destination"]
    try:
        place = world.at(table, target)
    except OSError:
        deep(table.root.root, target)
        place = world.at(table, target)
    if entry["type"] == "proc":
        system = procfs.ProcFs(world, members, whole=False).system
        table.attach(Mount(system, system.root, flags), place)
    elif entry["type"] == "tmpfs":
        table.attach(Mount(made := _tmpfs(world, target, options), made.root, flags), place)
    else:
        _bind(world, table, entry["source"], place, flags, deep_too="rbind" in options)


def _bind(world: World, table: MountTable, source: str, place: Place, flags: int, *, deep_too: bool) -> None:
    found = world.at(world.guest, source)
    made = table.attach(Mount(found.mount.system, found.dentry, flags), place)
    if deep_too:
        for below in world.guest.all:
            if below.parent is found.mount and below.at is not None and below is not found.mount:
                table.attach(Mount(below.system, below.root, below.flags), Place(made, below.at))


def _tmpfs(world: World, target: str, options: Sequence[str]) -> FileSystem:
    system = FileSystem("tmpfs")
    settings = dict(one.split("=", 1) for one in options if "=" in one)
    system.root.node.mode = stat.S_IFDIR | int(settings.get("mode", "1777"), 8)
    if target == "/dev":
        for name, major, minor in COMMON:
            character_device(system.root, name, major, minor, 0o666)
        for name, where in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
            link(system.root, name, f"/proc/self/{where}")
        link(system.root, "core", "/proc/kcore")
        link(system.root, "ptmx", "pts/ptmx")
    elif size := settings.get("size", "").removesuffix("m"):
        quota = Quota(int(size) << 20, int(settings.get("nr_inodes", "0")), errno.ENOSPC)
        system.root.node.quota = quota
        system.quota = quota
        world.temporary.append(quota)
    return system


def _mask(world: World, table: MountTable, paths: Iterable[str]) -> None:
    """Cover files with /dev/null and folders with nothing; a path that is not there needs no mask."""
    null = world.devtmpfs.root.node.children["null"]
    folders: dict[str, Place] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        try:
            if parent not in folders:
                folders[parent] = world.at(table, parent)
            place = below(table, folders[parent], name)
        except OSError:
            continue
        if place.dentry.node.is_dir:
            empty = FileSystem("tmpfs", read_only=True)
            empty.root.node.mode = stat.S_IFDIR | 0o1777
            table.attach(Mount(empty, empty.root, RDONLY, locked=True), place)
        else:
            table.attach(Mount(world.devtmpfs, null, RDONLY, locked=True), place)


def landlock(
    world: World, table: MountTable, arguments: Sequence[str], groups: Mapping[int, str]
) -> tuple[Landlock, ...]:
    """The rules the launcher puts itself under, from its arguments (fixtures/gold_image/launch.c)."""
    handled, grants = 0, dict[int, int]()
    words = list(arguments[1:])
    handled = (EXECUTE if "-e" in words else 0) | (WRITE_HANDLED if "-f" in words else 0)
    if not handled:
        return ()
    if table.root.system is world.image:
        lists = rootfs.image_programs(tuple(groups.items()))
    else:
        lists = rootfs.executable(table.root.root, dict(groups))
    for option, value in itertools.pairwise(words):
        if option == "-x" and handled & EXECUTE:
            name = value.rpartition("/")[2].replace("_", ":", 1)
            for node in lists["system" if name == "system" else name]:
                grants[id(node)] = grants.get(id(node), 0) | EXECUTE
        elif option in {"-X", "-w"}:
            wanted = EXECUTE if option == "-X" else WRITE_TREE
            try:
                place = world.at(table, value)
            except OSError:
                continue
            node = place.dentry.node
            access = wanted if node.is_dir else wanted & (EXECUTE | WRITE_FILE)
            if wanted & handled:
                grants[id(node)] = grants.get(id(node), 0) | access
    return (Landlock(handled, grants),)

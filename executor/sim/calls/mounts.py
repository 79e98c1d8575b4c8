"""System calls on mounts and roots, made by number. All of them are for CAP_SYS_ADMIN."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import raw, text_of
from executor.sim.files import machine_facts, sysfs
from executor.sim.files.mounts import Mount, Place
from executor.sim.files.nodes import FileSystem, error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 1, 32, 4096, 8192, 16384
MS_PROPAGATION: Final = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20
MS_SHARED: Final = 1 << 20
KEPT: Final = 15
"""Read-only, nosuid, nodev, noexec: the flags of a mount itself."""


def system_of(k: Kernel, p: Process, kind: str, source: str) -> FileSystem:
    """The file system `mount` is asked for."""
    if kind == "tmpfs":
        return FileSystem("tmpfs")
    if kind in {"squashfs", "iso9660", "ext4"}:
        device = p.find(source).dentry.node
        made = k.world.disks.get(device.rdev)
        if made is None or made.kind != kind:
            raise error(errno.EINVAL)
        return made
    maker: Callable[[], FileSystem] | None = {
        "proc": lambda: k.world.proc(p),
        "sysfs": lambda: k.world.sysfs,
        "devtmpfs": lambda: k.world.devtmpfs,
        "cgroup2": lambda: k.world.cgroups,
        "securityfs": lambda: k.world.securityfs,
        "cgroup": sysfs.old_groups,
    }.get(kind)
    if kind == "binfmt_misc" and "binfmt_misc.ko" in k.world.modules:
        maker = machine_facts.binary_formats
    if maker is None:
        raise error(errno.ENODEV)
    return maker()


@raw("mount")
def mount(k: Kernel, p: Process, a: list[Any]) -> None:
    """mount in its five meanings."""
    place = p.find(text_of(a[1]))
    p.need("SYS_ADMIN")
    flags = a[3]
    if flags & MS_REMOUNT:
        _must_be_point(p, place)
        if flags & MS_BIND:
            place.mount.flags = flags & KEPT
        else:
            place.mount.system.read_only = bool(flags & MS_RDONLY)
    elif flags & MS_BIND:
        source = p.find(text_of(a[0]))
        if source.dentry.node.is_dir != place.dentry.node.is_dir:
            raise error(errno.ENOTDIR)
        p.mounts.attach(Mount(source.mount.system, source.dentry, source.mount.flags), place)
    elif flags & MS_PROPAGATION:
        _must_be_point(p, place)
        place.mount.shared = bool(flags & MS_SHARED)
    elif flags & MS_MOVE:
        _move(p, p.find(text_of(a[0])), place)
    else:
        system = system_of(k, p, text_of(a[2]), text_of(a[0]))
        if not place.dentry.node.is_dir:
            raise error(errno.ENOTDIR)
        p.mounts.attach(Mount(system, system.root, flags & KEPT), place)


def _must_be_point(p: Process, place: Place) -> None:
    if not p.mounts.is_point(place):
        raise error(errno.EINVAL)


def _move(p: Process, source: Place, target: Place) -> None:
    _must_be_point(p, source)
    if source.mount.parent is None or source.mount.parent.shared:
        raise error(errno.EINVAL)
    mount: Mount | None = target.mount
    while mount is not None:
        if mount is source.mount:
            raise error(errno.ELOOP)
        mount = mount.parent
    source.mount.put_on(target)
    p.mounts.all.remove(source.mount)
    p.mounts.all.append(source.mount)


@raw("umount2")
def umount(k: Kernel, p: Process, a: list[Any]) -> None:
    """umount."""
    p.need("SYS_ADMIN")
    place = p.find(text_of(a[0]))
    _must_be_point(p, place)
    if place.mount is p.mounts.root or place.mount.locked:
        raise error(errno.EINVAL)
    p.mounts.detach(place.mount)


@raw("pivot_root")
def pivot_root(k: Kernel, p: Process, a: list[Any]) -> None:
    """pivot_root."""
    p.need("SYS_ADMIN")
    new, old = p.find(text_of(a[0])), p.find(text_of(a[1]))
    root = p.mounts.over(p.root)
    if new.mount is root.mount or old.mount is root.mount:
        raise error(errno.EBUSY)
    if not p.mounts.is_point(new) or new.mount.shared:
        raise error(errno.EINVAL)
    p.root = new


@raw("fsopen")
def fsopen(k: Kernel, p: Process, a: list[Any]) -> int:
    """fsopen."""
    p.need("SYS_ADMIN")
    opened = k.world.anonymous("fscontext")
    opened.extra = system_of(k, p, text_of(a[0]), "")
    return p.install(opened)


@raw("fsconfig")
def fsconfig(k: Kernel, p: Process, a: list[Any]) -> None:
    """fsconfig."""
    p.file(a[0])


@raw("fsmount", "fspick")
def fsmount(k: Kernel, p: Process, a: list[Any]) -> int:
    """fsmount, fspick."""
    p.need("SYS_ADMIN")
    return p.install(k.world.anonymous("mount"))


@raw("open_tree")
def open_tree(k: Kernel, p: Process, a: list[Any]) -> int:
    """open_tree with a clone."""
    if a[2] & 1:
        p.need("SYS_ADMIN")
    opened = k.world.anonymous("mount")
    opened.extra = p.find(text_of(a[1]), a[0])
    return p.install(opened)


@raw("move_mount")
def move_mount(k: Kernel, p: Process, a: list[Any]) -> None:
    """move_mount of a detached tree."""
    p.need("SYS_ADMIN")
    opened = p.file(a[0])
    target = p.find(text_of(a[3]), a[2])
    if opened.kind != "mount" or opened.extra is None:
        raise error(errno.EINVAL)
    source: Place = opened.extra
    p.mounts.attach(Mount(source.mount.system, source.dentry, source.mount.flags), target)


@raw("mount_setattr")
def mount_setattr(k: Kernel, p: Process, a: list[Any]) -> None:
    """mount_setattr."""
    _must_be_point(p, p.find(text_of(a[1]), a[0]))
    if any(a[3].data):
        p.need("SYS_ADMIN")

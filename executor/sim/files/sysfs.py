"""/sys, its control groups and its lockdown switch."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

from executor.sim.files.nodes import Dentry, FileSystem, Node, deep, error, folder
from executor.sim.files.virtual import virtual
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.files.world import World

FILES: Final = {
    "class/mem/null/uevent": (0o644, "MAJOR=1\n"),
    "bus/pci/rescan": (0o200, ""),
    "bus/pci/drivers/virtio-pci/unbind": (0o200, ""),
    "bus/pci/drivers/virtio-pci/bind": (0o200, ""),
    "bus/pci/devices/0000:00:01.0/device": (0o444, "0x1042\n"),
    "bus/pci/devices/0000:00:01.0/class": (0o444, "0x010000\n"),
    "block/vda/queue/read_ahead_kb": (0o644, "128\n"),
    "module/kernel/parameters/panic_on_warn": (0o644, "0\n"),
    "module/virtio_blk/sections/.text": (0o400, "0xffffffffc0000000\n"),
    "power/state": (0o644, "freeze mem disk\n"),
    "firmware/acpi/tables/DSDT": (0o400, "DSDT"),
    "firmware/dmi/tables/DMI": (0o400, "DMI"),
    "kernel/vmcoreinfo": (0o444, "3fff000 1024\n"),
    "kernel/mm/transparent_hugepage/enabled": (0o644, "madvise\n"),
    "class/dmi/id/sys_vendor": (0o444, "QEMU\n"),
    "class/dmi/id/product_uuid": (0o400, "c0bd0000\n"),
    "class/net/lo/address": (0o444, "00:00:00:00:00:00\n"),
    "devices/system/cpu/online": (0o444, "0\n"),
}
CARD_FILES: Final = {
    "bus/pci/devices/0000:00:02.0/device": (0o444, "0x1041\n"),
    "bus/pci/devices/0000:00:02.0/class": (0o444, "0x020000\n"),
}
"""Of a machine with a network card."""
GROUP_FILES: Final = (
    ("cgroup.procs", 0o644), ("cgroup.subtree_control", 0o644), ("cgroup.controllers", 0o444), ("cgroup.kill", 0o200),
    ("memory.max", 0o644), ("memory.current", 0o444), ("pids.max", 0o644), ("cpu.max", 0o644), ("cgroup.freeze", 0o644),
)  # fmt: skip


def build(world: World) -> FileSystem:
    """The tree of sysfs."""
    system = FileSystem("sysfs")
    segment = world.segment
    card = {**CARD_FILES, "class/net/eth0/address": (0o444, f"{segment.card.mac}\n")} if segment else {}
    for path, (mode, text) in {**FILES, **card}.items():
        parent, _, name = path.rpartition("/")
        node = virtual(deep(system.root, parent), name, lambda _p, _text=text: _text.encode(), mode)  # type: ignore[misc]
        node.data += text.encode()
    deep(system.root, "bus/pci/drivers/virtio-pci").node.children["unbind"].node.write = _no_device
    deep(system.root, "fs/cgroup")
    deep(system.root, "kernel/security")
    return system


def _no_device(_process: Process, _data: bytes) -> None:
    raise error(errno.ENODEV)


LOCKDOWN: Final = ("none", "integrity", "confidentiality")
"""Levels, in the only direction they change."""


def security_tree(world: World) -> FileSystem:
    """securityfs with the switch that goes one way."""
    system = FileSystem("securityfs")

    def lock(_process: Process, data: bytes) -> None:
        wanted = data.decode(errors="replace").strip()
        if wanted not in LOCKDOWN:
            raise error(errno.EINVAL)
        if LOCKDOWN.index(wanted) <= LOCKDOWN.index(world.locked_down):
            raise error(errno.EPERM)
        world.locked_down = wanted

    def shown(_process: Process) -> bytes:
        return " ".join(f"[{one}]" if one == world.locked_down else one for one in LOCKDOWN).encode()

    virtual(system.root, "lockdown", shown, 0o644).write = lock
    return system


def old_groups() -> FileSystem:
    """Control groups of the first version, as a named hierarchy without controllers."""
    system = FileSystem("cgroup")
    agent = virtual(system.root, "release_agent", lambda _p: bytes(agent.data), 0o644)

    def written(_process: Process, data: bytes) -> None:
        agent.data[:] = data

    agent.write = written
    return system


def cgroup_tree(world: World) -> FileSystem:
    """cgroup v2 with the agent's groups."""
    system = FileSystem("cgroup2")
    system.root.node.special = "cgroup"
    fill_group(world, system.root)
    fill_group(world, folder(system.root, "cordon"))
    fill_group(world, folder(system.root.node.children["cordon"], "t1001"))
    return system


def fill_group(world: World, group: Dentry) -> None:
    """The control files of a group."""
    group.node.special = "cgroup"
    for name, mode in GROUP_FILES:
        node = Node(group.node.system, stat.S_IFREG | mode)
        node.read = lambda _p, _name=name: _shown(world, group, _name)
        node.write = lambda p, data, _name=name: _written(world, group, _name, data, p)
        group.add(name, node)


def _path(group: Dentry) -> str:
    parts: list[str] = []
    here: Dentry | None = group
    while here is not None and here.name:
        parts.append(here.name)
        here = here.parent
    return "/" + "/".join(reversed(parts))


def _shown(world: World, group: Dentry, name: str) -> bytes:
    if name == "cgroup.procs":
        return b"".join(f"{one.pid}\n".encode() for one in world.members() if one.cgroup == _path(group))
    return {"cgroup.controllers": b"cpu memory pids\n", "cgroup.subtree_control": b"cpu memory pids\n"}.get(
        name, b"max\n"
    )


def _written(world: World, group: Dentry, name: str, data: bytes, writer: Process) -> None:
    if name == "cgroup.procs":
        for one in world.members():
            if one.pid == (int(data) or writer.pid):
                one.cgroup, one.moved = _path(group), True
                return
        raise error(errno.ESRCH)

"""Calls that ask for namespaces, or enter one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import Raw, call, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

NAMESPACES: Final = {
    0x20000: "mnt", 0x2000000: "cgroup", 0x4000000: "uts", 0x8000000: "ipc", 0x10000000: "user", 0x20000000: "pid",
    0x40000000: "net", 0x80: "time",
}  # fmt: skip


def new_namespaces(k: Kernel, p: Process, flags: int, *, child: bool) -> None:
    """What clone, unshare and clone3 ask for a namespace."""
    if flags & 0x10000000 and k.world.setting("user/max_user_namespaces") == "0":
        raise error(errno.ENOSPC)
    if flags & ~0x10000000:
        p.need("SYS_ADMIN")
    if child:
        return
    changed = {}
    for bit, name in NAMESPACES.items():
        if flags & bit:
            k.world.namespace_count += 1
            changed[name] = k.world.namespace_count
    for name, number in changed.items():
        setattr(p.namespaces, name, number)
    if flags & 0x20000:
        p.mounts = p.mounts.copy()


@call("unshare", "unshare", lambda flags: (flags,))
def unshare(k: Kernel, p: Process, flags: int) -> None:
    """unshare."""
    new_namespaces(k, p, flags, child=False)


@raw("unshare")
def raw_unshare(k: Kernel, p: Process, a: list[Any]) -> None:
    """unshare by number."""
    p.namespaces = replace_namespaces(p)
    new_namespaces(k, p, a[0], child=False)


def replace_namespaces(p: Process) -> Any:
    """Its own record of namespaces, which it shared with its parent."""
    return type(p.namespaces)(**{name: getattr(p.namespaces, name) for name in NAMESPACES.values()})


@raw("clone3")
def clone3(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """clone with its flags in memory."""
    new_namespaces(k, p, int.from_bytes(a[0].data[:8], "little") & 0x7E020080, child=True)
    return Raw(forked=True)


@raw("setns")
def setns(k: Kernel, p: Process, a: list[Any]) -> None:
    """setns by a namespace's file or a process's descriptor."""
    opened = p.file(a[0])
    if opened.kind != "pidfd" and opened.node.system.kind != "nsfs":
        raise error(errno.EINVAL)
    p.need("SYS_ADMIN")

"""Calls that reach files by other ways than a path: file handles, fanotify, quotas, accounting."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import Memory, raw, text_of
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import error
from executor.sim.kernel.process import OpenFile, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@raw("fanotify_init")
def fanotify_init(k: Kernel, p: Process, a: list[Any]) -> int:
    """fanotify of files' contents."""
    p.need("SYS_ADMIN")
    return p.install(k.world.anonymous("fanotify"))


@raw("open_by_handle_at")
def open_by_handle_at(k: Kernel, p: Process, a: list[Any]) -> int:
    """A file by its inode, whatever path and mount lead there."""
    p.need("DAC_READ_SEARCH")
    opened = p.file(a[0])
    if opened.place is None:
        raise error(errno.EBADF)
    if int.from_bytes(a[1].data[8:12], "little") != 2:
        raise error(errno.ESTALE)
    root = opened.place.mount.system.root
    return p.install(OpenFile(Place(opened.place.mount, root), root.node, os.O_RDONLY))


@raw("name_to_handle_at")
def name_to_handle_at(k: Kernel, p: Process, a: list[Any]) -> None:
    """A file's handle."""
    p.find(text_of(a[1]), a[0])


@raw("quotactl")
def quotactl(k: Kernel, p: Process, a: list[Any]) -> None:
    """Sync is everybody's; to set a quota is for CAP_SYS_ADMIN."""
    if (a[0] & 0xFFFFFFFF) >> 8 not in {0x800001, 0x800007}:
        p.need("SYS_ADMIN")


@raw("acct")
def acct(k: Kernel, p: Process, a: list[Any]) -> None:
    """Process accounting."""
    p.need("SYS_PACCT")
    if isinstance(a[0], Memory):
        p.find(text_of(a[0]))

"""Calls on where a process stands: its folder, its root, its umask."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import call, raw
from executor.sim.files.mounts import Place
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


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


@call("chroot", "chroot")
def chroot(k: Kernel, p: Process, path: str) -> None:
    """chroot."""
    place = p.find(path)
    if not place.dentry.node.is_dir:
        raise error(errno.ENOTDIR)
    p.check_search(place)
    p.need("SYS_CHROOT")
    p.root = place


@raw("chroot")
def raw_chroot(k: Kernel, p: Process, a: list[Any]) -> None:
    """chroot by number."""
    chroot(k, p, a[0].text)

"""Calls on sessions and process groups."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from executor.sim.calls.table import call
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("setsid", "setsid")
def setsid(k: Kernel, p: Process) -> None:
    """A session and group of its own."""
    if p.group == p.pid:
        raise error(errno.EPERM)
    p.group = p.session = p.pid


@call("setpgid", "setpgid")
def setpgid(k: Kernel, p: Process, pid: int, group: int) -> None:
    """setpgid."""
    found = p if pid in {0, p.pid} else next((one for one in p.children if one.pid == pid), None)
    if found is None:
        raise error(errno.ESRCH)
    found.group = group or found.pid


@call("setpgrp", "setpgid")
def setpgrp(k: Kernel, p: Process) -> None:
    """setpgrp."""
    p.group = p.pid


@call("getpgid", "getpgid")
def getpgid(k: Kernel, p: Process, pid: int) -> int:
    """getpgid."""
    return named(k, p, pid).group


@call("getpgrp", "getpgrp")
def getpgrp(k: Kernel, p: Process) -> int:
    """getpgrp."""
    return p.group


@call("getsid", "getsid")
def getsid(k: Kernel, p: Process, pid: int) -> int:
    """getsid."""
    return named(k, p, pid).session


def named(k: Kernel, p: Process, pid: int) -> Process:
    """The process of this id, 0 being the asker; raises ESRCH."""
    found = p if pid == 0 else k.processes.get(pid)
    if found is None:
        raise error(errno.ESRCH)
    return found

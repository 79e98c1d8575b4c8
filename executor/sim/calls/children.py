"""Calls that begin, end and await processes: fork, exit, wait."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import Raw, call, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import EndedError, WaitError, exit_status
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("fork", "clone", lambda *_: (17,))
def fork(k: Kernel, p: Process) -> int:
    """fork: the puppet splits once it is told that it may."""
    if k.group.pids_limit and k.counted() >= k.group.pids_limit:
        k.group.forks_refused += 1
        raise error(errno.EAGAIN)
    return k.split(p)


@call("exit", "exit_group")
def exit_(k: Kernel, p: Process, code: int) -> None:
    """The end."""
    k.end(p, exit_status(code))
    raise EndedError


@call("die")
def die(k: Kernel, p: Process, number: int) -> None:
    """Ended by a signal of its own doing."""
    k.end(p, number)
    raise EndedError


@call("waitpid", "wait4")
def waitpid(k: Kernel, p: Process, pid: int, options: int) -> list[int]:
    """wait, waitpid, wait3, wait4."""
    children = [
        one for one in p.children
        if pid in {-1, one.pid} or (pid == 0 and one.group == p.group) or (pid < -1 and one.group == -pid)
    ]  # fmt: skip
    if not children:
        raise error(errno.ECHILD)
    for child in children:
        if child.status is not None:
            found = [child.pid, child.status]
            k.forget(child)
            return found
    if options & os.WNOHANG:
        return [0, 0]
    raise WaitError


@call("waitid", "waitid")
def waitid(k: Kernel, p: Process, kind: int, number: int, options: int) -> list[int] | None:
    """waitid for a child, by id or descriptor."""
    if kind == os.P_PIDFD:
        number = p.file(number).extra.pid
    pid = -1 if kind == os.P_ALL else number
    children = [one for one in p.children if pid in {-1, one.pid}]
    if not children:
        raise error(errno.ECHILD)
    for child in children:
        if child.status is not None:
            status = child.status
            if not options & os.WNOWAIT:
                k.forget(child)
            code = os.CLD_EXITED if os.WIFEXITED(status) else os.CLD_KILLED
            return [child.pid, 1000, 17, os.WEXITSTATUS(status) if os.WIFEXITED(status) else os.WTERMSIG(status), code]
    if options & os.WNOHANG:
        return None
    raise WaitError


@raw("clone", "fork", "vfork")
def clone(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """clone as fork; new namespaces are for CAP_SYS_ADMIN."""
    from executor.sim.calls.namespaces import new_namespaces  # noqa: PLC0415 - its neighbour

    if a[0]:
        new_namespaces(k, p, a[0] & 0x7E020080, child=True)
    return Raw(forked=True)

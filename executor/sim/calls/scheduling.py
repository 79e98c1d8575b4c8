"""Calls on a process's share of the processor: priorities, classes, affinity."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from executor.sim.calls.groups import named
from executor.sim.calls.table import call, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("cpus", "sched_getaffinity")
def cpus(k: Kernel, p: Process) -> int:
    """Processors of the machine."""
    return 1


@call("getpriority", "getpriority")
def getpriority(k: Kernel, p: Process, _which: int, who: int) -> int:
    """getpriority."""
    return named(k, p, who).nice


@call("setpriority", "setpriority")
def setpriority(k: Kernel, p: Process, _which: int, who: int, value: int) -> None:
    """setpriority: better only by CAP_SYS_NICE."""
    found = named(k, p, who)
    if value < found.nice:
        p.need("SYS_NICE", errno.EACCES)
    them = found.credentials
    if p.credentials.uid[1] not in {them.uid[0], them.uid[1]}:
        p.need("SYS_NICE")
    found.nice = max(-20, min(19, value))


@raw("setpriority")
def raw_setpriority(k: Kernel, p: Process, a: list[Any]) -> None:
    """setpriority by number."""
    setpriority(k, p, a[0], a[1], a[2] - (1 << 64) if a[2] >= 1 << 63 else a[2])


@call("nice", "setpriority")
def nice(k: Kernel, p: Process, step: int) -> int:
    """nice."""
    if step < 0:
        p.need("SYS_NICE")
    p.nice = max(-20, min(19, p.nice + step))
    return p.nice


@call("sched_setscheduler", "sched_setscheduler")
def sched_setscheduler(k: Kernel, p: Process, pid: int, policy: int, priority: int) -> None:
    """Real time is for CAP_SYS_NICE."""
    found = named(k, p, pid)
    if policy & 7 in {1, 2, 6}:
        p.need("SYS_NICE")
    found.policy = policy & 7


@raw("sched_setattr")
def sched_setattr(k: Kernel, p: Process, a: list[Any]) -> None:
    """The same with a deadline."""
    if int.from_bytes(a[1].data[4:8], "little") in {1, 2, 6}:
        p.need("SYS_NICE")


@call("sched_getscheduler", "sched_getscheduler")
def sched_getscheduler(k: Kernel, p: Process, pid: int) -> int:
    """What was set."""
    return named(k, p, pid).policy


@call("sched_get_priority_max", "sched_get_priority_max")
def sched_get_priority_max(k: Kernel, p: Process, policy: int) -> int:
    """99 for real time."""
    return 99 if policy in {1, 2} else 0


@call("sched_get_priority_min", "sched_get_priority_min")
def sched_get_priority_min(k: Kernel, p: Process, policy: int) -> int:
    """1 for real time."""
    return 1 if policy in {1, 2} else 0


@call("sched_yield", "sched_yield")
def sched_yield(k: Kernel, p: Process) -> None:
    """Everybody else first: the queue sees to that."""


@call("sched_setaffinity", "sched_setaffinity")
def sched_setaffinity(k: Kernel, p: Process, pid: int, wanted: list[int]) -> None:
    """There is one processor."""
    if 0 not in wanted:
        raise error(errno.EINVAL)


@raw("ioprio_set")
def ioprio_set(k: Kernel, p: Process, a: list[Any]) -> None:
    """Real-time disk priority is for CAP_SYS_NICE."""
    if a[2] >> 13 == 1:
        p.need("SYS_NICE")

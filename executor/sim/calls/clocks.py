"""Calls on time: sleep, alarms, clocks that may be read and not set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import call, raw
from executor.sim.kernel.ends import WaitError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("sleep", "clock_nanosleep")
def sleep(k: Kernel, p: Process, duration_ns: int) -> None:
    """Until the clock has gone on by `duration_ns`."""
    now = k.clock.monotonic_ns()
    p.wake_ns = p.wake_ns or now + duration_ns
    if now < p.wake_ns:
        raise WaitError(p.wake_ns)
    p.wake_ns = 0


@call("alarm", "setitimer")
def alarm(k: Kernel, p: Process, duration_ns: int) -> int:
    """A SIGALRM later."""
    now = k.clock.monotonic_ns()
    left = max(0, p.alarm_ns - now) if p.alarm_ns else 0
    p.alarm_ns = now + duration_ns if duration_ns else 0
    return left


@call("clock", "")
def clock(k: Kernel, p: Process, which: int) -> int:
    """A clock's time; reading it is no system call."""
    if which in {2, 3}:
        return p.cpu_ns
    if which in {0, 5, 11, 8}:
        return k.clock.now_ns()
    return k.clock.monotonic_ns() - k.world.booted_ns


@call("times", "times")
def times(k: Kernel, p: Process) -> list[float]:
    """Processor times."""
    used = p.cpu_ns / 1e9
    return [used, 0.0, 0.0, 0.0, (k.clock.monotonic_ns() - k.world.booted_ns) / 1e9]


@call("getrusage", "getrusage")
def getrusage(k: Kernel, p: Process, _who: int) -> list[float]:
    """What it has used."""
    return [p.cpu_ns / 1e9, 0.0, 9000, *([0] * 13)]


@raw("settimeofday", "clock_settime", "adjtimex", "clock_adjtime")
def set_clock(k: Kernel, p: Process, a: list[Any]) -> None:
    """Clocks are set by CAP_SYS_TIME; the model's own goes on as it does."""
    p.need("SYS_TIME")


@call("clock_settime", "clock_settime")
def clock_settime(k: Kernel, p: Process, _which: int, _value: int) -> None:
    """clock_settime."""
    p.need("SYS_TIME")


@raw("timer_create")
def timer_create(k: Kernel, p: Process, a: list[Any]) -> None:
    """Timers that wake the machine are for CAP_WAKE_ALARM."""
    if a[0] in {8, 9}:
        p.need("WAKE_ALARM")


@raw("timerfd_create")
def timerfd_create(k: Kernel, p: Process, a: list[Any]) -> int:
    """timerfd_create."""
    if a[0] in {8, 9}:
        p.need("WAKE_ALARM")
    return p.install(k.world.anonymous("timerfd"))

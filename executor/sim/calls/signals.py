"""Calls on signals and on processes by descriptor."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import Memory, call, raw
from executor.sim.calls.waiting import waiting
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import EndedError, WaitError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

SIGPENDING: Final = 11
REAL_TIME: Final = 32
"""The first signal that is queued as often as it is sent."""


def _may_signal(p: Process, other: Process) -> bool:
    who, them = p.credentials, other.credentials
    return p.has("KILL") or bool({who.uid[0], who.uid[1]} & {them.uid[0], them.uid[2]})


@call("kill", "kill")
def kill(k: Kernel, p: Process, pid: int, number: int) -> None:
    """kill."""
    if pid > 0:
        targets = [one for one in k.processes.values() if one.pid == pid]
    elif pid == 0:
        targets = k.spread(number, group=p.group)
    elif pid == -1:
        targets = [one for one in k.processes.values() if one.pid != 1 and one is not p]
    else:
        targets = k.spread(number, group=-pid)
    _send(k, p, targets, number)


def _send(k: Kernel, p: Process, targets: list[Process], number: int) -> None:
    if not 0 <= number <= 64:
        raise error(errno.EINVAL)
    if not targets:
        raise error(errno.ESRCH)
    allowed = [one for one in targets if _may_signal(p, one)]
    if not allowed:
        raise error(errno.EPERM)
    for one in sorted(allowed, key=lambda other: other is p):
        k.signal(one, number)
    if not p.alive:
        raise EndedError


@call("killpg", "kill")
def killpg(k: Kernel, p: Process, group: int, number: int) -> None:
    """killpg."""
    _send(k, p, k.spread(number, group=group or p.group), number)


@raw("tgkill")
def tgkill(k: Kernel, p: Process, a: list[Any]) -> None:
    """A signal to one thread: processes of one thread here."""
    _send(k, p, [one for one in k.processes.values() if one.pid == a[0] == a[1]], a[2])


@raw("tkill")
def tkill(k: Kernel, p: Process, a: list[Any]) -> None:
    """The same without its group."""
    _send(k, p, [one for one in k.processes.values() if one.pid == a[0]], a[1])


@raw("rt_sigqueueinfo")
def rt_sigqueueinfo(k: Kernel, p: Process, a: list[Any]) -> None:
    """A signal with a payload: queued ones count against RLIMIT_SIGPENDING."""
    targets = [one for one in k.processes.values() if one.pid == a[0]]
    code = int.from_bytes(a[2].data[8:12], "little", signed=True) if isinstance(a[2], Memory) else 0
    if code >= 0 and targets and targets[0] is not p:
        raise error(errno.EPERM)
    if targets and a[1] >= REAL_TIME and len(targets[0].queued) >= p.limit(SIGPENDING):
        raise error(errno.EAGAIN)
    _send(k, p, targets, a[1])


@call("sigmask", "rt_sigprocmask")
def sigmask(k: Kernel, p: Process, how: int, numbers: list[int]) -> list[int]:
    """Block, unblock or set; what it was."""
    before = sorted(p.masked)
    wanted = set(numbers) - {9, 19}
    p.masked = p.masked | wanted if how == 0 else p.masked - wanted if how == 1 else wanted
    freed = [one for one in p.queued if one not in p.masked]
    p.queued = [one for one in p.queued if one in p.masked]
    for number in freed:
        k.signal(p, number)
    if not p.alive:
        raise EndedError
    return before


@call("sigtimedwait", "rt_sigtimedwait")
def sigtimedwait(k: Kernel, p: Process, numbers: list[int], wait_ns: float) -> int:
    """The next of some masked signals."""
    for number in p.queued:
        if number in numbers:
            p.queued.remove(number)
            p.wake_ns = 0
            return number
    raise waiting(k, p, wait_ns, errno.EAGAIN, errno.EAGAIN)


@call("sigpending", "rt_sigpending")
def sigpending(k: Kernel, p: Process) -> list[int]:
    """Masked ones that have come."""
    return sorted(set(p.queued))


@raw("kill")
def raw_kill(k: Kernel, p: Process, a: list[Any]) -> None:
    """kill by number."""
    kill(k, p, a[0], a[1])


@call("pidfd_open", "pidfd_open")
def pidfd_open(k: Kernel, p: Process, pid: int, *_flags: int) -> int:
    """A descriptor of a process."""
    found = k.processes.get(pid)
    if found is None:
        raise error(errno.ESRCH)
    opened = k.world.anonymous("pidfd")
    opened.extra = found
    return p.install(opened)


@raw("pidfd_open")
def raw_pidfd_open(k: Kernel, p: Process, a: list[Any]) -> int:
    """pidfd_open by number."""
    return pidfd_open(k, p, a[0])


@raw("pidfd_send_signal")
def raw_pidfd_send_signal(k: Kernel, p: Process, a: list[Any]) -> None:
    """pidfd_send_signal by number."""
    pidfd_send_signal(k, p, a[0], a[1])


@call("pidfd_send_signal", "pidfd_send_signal")
def pidfd_send_signal(k: Kernel, p: Process, number: int, sent: int) -> None:
    """kill by descriptor."""
    opened = p.file(number)
    if opened.kind != "pidfd":
        raise error(errno.EBADF)
    if not opened.extra.alive:
        raise error(errno.ESRCH)
    _send(k, p, [opened.extra], sent)


@call("sigaction", "rt_sigaction")
def sigaction(k: Kernel, p: Process, number: int, what: int) -> None:
    """0 default, 1 ignored, 2 caught."""
    if number in {9, 19}:
        raise error(errno.EINVAL)
    p.caught.discard(number)
    p.ignored.discard(number)
    if what == 1:
        p.ignored.add(number)
    elif what == 2:
        p.caught.add(number)


@call("pause", "pause")
@raw("pause")
def pause(k: Kernel, p: Process, *_arguments: Any) -> None:
    """Until a signal."""
    raise WaitError

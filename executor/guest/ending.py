"""Judges why a command ended, from facts a task cannot forge. Pure."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from typing import Final, Literal

Cause = Literal["EXITED", "SIGNALED", "SECCOMP", "OOM", "WALLCLOCK", "DISK", "OUTPUT", "REQUESTED"]

SIGSYS: Final = int(signal.SIGSYS)
SIGKILL: Final = int(signal.SIGKILL)
_AUDIT: Final = re.compile(
    r"audit: type=1326 audit\([0-9.]+:[0-9]+\): auid=[0-9]+ uid=([0-9]+) gid=[0-9]+ ses=[0-9]+ (?:subj=\S+ )?pid=([0-9]+) "
    r"comm=(?:\"[^\"]*\"|[0-9A-F]+) exe=(?:\"[^\"]*\"|[0-9A-F]+|\(null\)) sig=([0-9]+) arch=([0-9a-f]+) syscall=([0-9]+) "
)


@dataclass(frozen=True, slots=True)
class SeccompKill:
    """One kill by a seccomp filter, as the kernel's audit record tells it."""

    pid: int
    syscall: int
    arch: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when nothing of the task runs any more."""

    wait_status: int | None
    """As waitpid gives it; None when the command's parent did not live to tell (the whole group was killed)."""
    stopped_for: Cause | None = None
    """Why the agent itself killed the task, if it did."""
    oom_kills: int = 0
    seccomp: tuple[SeccompKill, ...] = ()
    disk_over: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended; `signal` and `syscall` where the cause has them."""

    cause: Cause
    exit_code: int = 0
    signal: int = 0
    syscall: int = -1


def judge(facts: Facts) -> Ending:
    """The cause, by what weighs most: who was killed by whom is settled before what the task says with its exit code."""
    if facts.stopped_for is not None:
        return Ending(facts.stopped_for, signal=SIGKILL)
    if facts.wait_status is not None and os.WIFSIGNALED(facts.wait_status):
        number = os.WTERMSIG(facts.wait_status)
        if number == SIGSYS and facts.seccomp:
            return Ending("SECCOMP", signal=SIGSYS, syscall=facts.seccomp[0].syscall)
    if facts.seccomp:
        # A descendant was killed; whatever its parent made of it is not the cause.
        code = os.WEXITSTATUS(facts.wait_status) if facts.wait_status is not None and os.WIFEXITED(facts.wait_status) else 0
        return Ending("SECCOMP", exit_code=code, signal=SIGSYS, syscall=facts.seccomp[0].syscall)
    if facts.oom_kills:
        return Ending("OOM", signal=SIGKILL)
    if facts.disk_over:
        return Ending("DISK", signal=SIGKILL)
    if facts.wait_status is None:
        return Ending("SIGNALED", signal=SIGKILL)
    if os.WIFSIGNALED(facts.wait_status):
        return Ending("SIGNALED", signal=os.WTERMSIG(facts.wait_status))
    return Ending("EXITED", exit_code=os.WEXITSTATUS(facts.wait_status))


def parse_audit(line: str) -> SeccompKill | None:
    """The seccomp kill in a kernel log line; None when the line is something else (also: an allowed, logged call)."""
    found = _AUDIT.search(line)
    if found is None or int(found[3]) != SIGSYS:
        return None
    return SeccompKill(pid=int(found[2]), syscall=int(found[5]), arch=int(found[4], 16))

"""Judges why a command ended, from facts a task cannot forge. Pure."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from typing import Final, Literal

Cause = Literal["EXITED", "SIGNALED", "SECCOMP", "OOM", "WALLCLOCK", "DISK", "OUTPUT", "REQUESTED", "PIDS"]

SIGSYS: Final = int(signal.SIGSYS)
SIGKILL: Final = int(signal.SIGKILL)
_AUDIT: Final = re.compile(
    r"audit: type=1326 audit\([0-9.]+:[0-9]+\): auid=[0-9]+ uid=[0-9]+ gid=[0-9]+ ses=[0-9]+ (?:subj=\S+ )?"
    r"pid=([0-9]+) comm=(?:\"[^\"]*\"|[0-9A-F]+) exe=(?:\"[^\"]*\"|[0-9A-F]+|\(null\)) "
    r"sig=([0-9]+) arch=([0-9a-f]+) syscall=([0-9]+) "
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
    forks_refused: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended; `signal` and `syscall` where the cause has them."""

    cause: Cause
    exit_code: int = 0
    signal: int = 0
    syscall: int = -1


def judge(facts: Facts) -> Ending:
    """The cause, by what weighs most: who killed whom is settled before what the task says with its exit code."""
    status = facts.wait_status
    exited = status is not None and os.WIFEXITED(status)
    if facts.stopped_for is not None:
        found = Ending(facts.stopped_for, signal=SIGKILL)
    elif facts.seccomp:
        # The command itself or a descendant; what a parent makes of its child's death is not the cause.
        code = os.WEXITSTATUS(status) if status is not None and exited else 0
        found = Ending("SECCOMP", exit_code=code, signal=SIGSYS, syscall=facts.seccomp[0].syscall)
    elif facts.oom_kills:
        found = Ending("OOM", signal=SIGKILL)
    elif facts.disk_over:
        found = Ending("DISK", signal=SIGKILL)
    elif facts.forks_refused:
        found = Ending("PIDS", signal=SIGKILL)
    elif status is None:
        found = Ending("SIGNALED", signal=SIGKILL)
    elif exited:
        found = Ending("EXITED", exit_code=os.WEXITSTATUS(status))
    else:
        found = Ending("SIGNALED", signal=os.WTERMSIG(status))
    return found


def parse_audit(line: str) -> SeccompKill | None:
    """The seccomp kill in a kernel log line; None when the line is something else."""
    found = _AUDIT.search(line)
    if found is None or int(found[2]) != SIGSYS:
        return None
    return SeccompKill(pid=int(found[1]), syscall=int(found[4]), arch=int(found[3], 16))

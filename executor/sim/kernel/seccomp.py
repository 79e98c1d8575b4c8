"""What becomes of a call that the seccomp filter does not let through."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from executor.guest.ending import SeccompKill
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import EndedError
from executor.sim.kernel.filter import ALLOW, KILL, by_name

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel
    from executor.sim.kernel.process import Process

SIGSYS: Final = int(signal.SIGSYS)
X86_64, I386 = 0xC000003E, 0x40000003
"""AUDIT_ARCH_* of linux/audit.h."""


def pass_filter(k: Kernel, p: Process, name: str, arguments: Sequence[int]) -> None:
    """Ask the process's seccomp filter; raises the error it gives, or kills."""
    if p.filter is None:
        return
    answer = p.filter.answer(name, arguments)
    if answer == KILL:
        kill(k, p, by_name().get(name, -1), X86_64)
    if answer != ALLOW:
        raise error(answer)


def kill(k: Kernel, p: Process, number: int, architecture: int) -> NoReturn:
    """The filter ends the process; the audit record tells of the call."""
    k.kills.append(SeccompKill(p.pid, number, architecture))
    k.end(p, SIGSYS)
    raise EndedError

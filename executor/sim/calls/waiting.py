"""Waiting with a time-out, as every call does it that may wait: until the clock shows the moment it began to count."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from executor.sim.files.nodes import error
from executor.sim.kernel.ends import WaitError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


def waiting(k: Kernel, p: Process, wait_ns: float, at_once: int, late: int = errno.ETIMEDOUT) -> OSError | WaitError:
    """What to raise: wait on (below 0: for ever), `at_once` where nobody waits, or `late` once the time is over."""
    if wait_ns == 0:
        return error(at_once)
    now = k.clock.monotonic_ns()
    if wait_ns > 0:
        p.wake_ns = p.wake_ns or now + round(wait_ns)
        if now >= p.wake_ns:
            p.wake_ns = 0
            return error(late)
    return WaitError(p.wake_ns or None)

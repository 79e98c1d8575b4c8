"""The dead man's switch (DESIGN 5.7): a machine that is kept longer than its task may take is destroyed under it.

The kill switch borrows its hand (`cut`) for tasks that run no command at the time.

One thread for all machines, apart from those that run tasks: whatever such a thread hangs in, its machine goes, the
channel closes with it, and the thread finds out. Time comes from the clock; the thread only waits in real time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from executor.clock import Clock
from executor.errors import CordonError
from executor.machine import Machine

HANDLING_NS: Final = 60_000_000_000
"""Preparing a machine or handing its files back, each: 2 s are usual under tcg, three orders may take 20 s each."""
LOOK_S: Final = 0.25


@dataclass(slots=True, eq=False)
class Hold:
    """One machine that is assigned."""

    machine: Machine
    deadline_ns: int
    cut: bool = False
    """Whether somebody wanted it taken away before its time was over."""
    gone: bool = False
    """Whether it is destroyed, or about to be."""

    @property
    def fired(self) -> bool:
        """Whether it was destroyed for being kept too long."""
        return self.gone and not self.cut


class DeadMan:
    """Watches every machine that is assigned. `close` ends its thread; closing twice is silent."""

    def __init__(self, clock: Clock) -> None:
        """Start watching."""
        self._clock = clock
        self._changed = threading.Condition()
        self._holds: list[Hold] = []
        self._closed = False
        self.fired = 0
        """Machines destroyed so far."""
        self._thread = threading.Thread(target=self._watch, name="dead-man", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def holding(self, machine: Machine, allowed_ns: int) -> Iterator[Hold]:
        """While inside, `machine` may be kept for `allowed_ns`; `extend` starts the time afresh."""
        hold = Hold(machine, self._clock.monotonic_ns() + allowed_ns)
        with self._changed:
            self._holds.append(hold)
            self._changed.notify_all()
        try:
            yield hold
        finally:
            with self._changed:
                self._holds.remove(hold)

    def extend(self, hold: Hold, allowed_ns: int) -> None:
        """From now on `allowed_ns` more."""
        with self._changed:
            hold.deadline_ns = self._clock.monotonic_ns() + allowed_ns

    def cut(self, hold: Hold) -> None:
        """Destroy its machine now, whatever its task's thread hangs in. Returns at once."""
        with self._changed:
            hold.cut = not hold.fired
            self._changed.notify_all()

    def next_ns(self) -> int | None:
        """When the next machine is due, for virtual time, which must not jump past it; None while none is held."""
        with self._changed:
            return min((hold.deadline_ns for hold in self._holds if not (hold.gone or hold.cut)), default=None)

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._holds:
                    self._changed.wait()
                if not self._closed and not self._due():
                    self._changed.wait(LOOK_S)
                if self._closed:
                    return
                due = self._due()
                for hold in due:
                    hold.gone = True
                    self.fired += hold.fired
            for hold in due:
                with contextlib.suppress(CordonError):  # its own thread finds out, and tries again
                    hold.machine.destroy()

    def _due(self) -> list[Hold]:
        now = self._clock.monotonic_ns()
        return [hold for hold in self._holds if (hold.cut or now >= hold.deadline_ns) and not hold.gone]

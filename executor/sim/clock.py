"""Virtual time: it stands still while anybody works and jumps to the next thing due when everybody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

IDLE_S: Final = 10.0
"""Real seconds a waiting actor looks again after, should a wake-up be lost to a thread that died."""


class SimClock:
    """A `Clock` several threads share: each runs its machine as an actor. Wall and monotonic time are the same line.

    While any actor works, time moves only by what the work is charged (`spend`). When all wait, it jumps to the
    earliest moment one of them waits for: the next-event rule of discrete-event simulation.
    """

    def __init__(self, start_ns: int | None = None) -> None:
        """Begin at `start_ns` since the epoch, now when not given: leases and keys are compared with real ones."""
        self._now = time.time_ns() if start_ns is None else start_ns
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._busy = 0
        self._waiting: dict[int, int] = {}
        self._outside: Callable[[], int | None] = lambda: None

    def watched_by(self, next_ns: Callable[[], int | None]) -> None:
        """Somebody in real time acts at `next_ns()` of this clock: who waits stops there and lets it act."""
        self._outside = next_ns

    def outside_ns(self) -> int | None:
        """When somebody outside is due to act; None: nobody."""
        return self._outside()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._now

    def monotonic_ns(self) -> int:
        """The same line."""
        return self._now

    @contextmanager
    def actor(self) -> Iterator[None]:
        """Inside, the calling thread is an actor: time waits for it."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._jump()

    def spend(self, ns: int) -> None:
        """The caller's work took `ns`."""
        with self._lock:
            self._now += ns
            if self._waiting:
                self._jump()

    def wait_until(self, moment_ns: int) -> None:
        """Until the clock shows `moment_ns`. Called by an actor."""
        with self._changed:
            me = threading.get_ident()
            self._waiting[me] = moment_ns
            self._busy -= 1
            self._jump()
            try:
                while self._now < moment_ns:
                    self._changed.wait(IDLE_S)
                    self._jump()
            finally:
                self._busy += 1
                del self._waiting[me]

    def _jump(self) -> None:
        """Go on to the earliest moment waited for, when nobody works; wake whoever is due."""
        if not self._waiting:
            return
        earliest = min(self._waiting.values())
        if self._busy <= 0 and earliest > self._now:
            self._now = earliest
        if earliest <= self._now:
            self._changed.notify_all()

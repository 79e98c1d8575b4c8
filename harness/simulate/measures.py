"""What is counted while a load runs. Every arrival ends in exactly one of `ENDS`, or is left when the run ends."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from executor.intent import Priority

ENDS: Final = ("completed", "timed_out", "aborted", "denied", "flushed", "turned_away", "refused")
"""completed - timed_out: ran into its limit - aborted: its host was lost - denied: by the policy - flushed: waited when
everything was stopped - turned_away: was being judged then - refused: 503 at the door."""
POINTS: Final = 2000
"""Of the timeline kept; when there are more, every second one goes."""


def _floats() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Nap:
    """A requester's times without means: from the first refusal for lack of ATP to the next grant."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    since_s: float | None = None

    def falls_asleep(self, now: float) -> None:
        """Refused for lack of ATP."""
        if self.since_s is None:
            self.since_s = now
            self.count += 1

    def wakes(self, now: float) -> None:
        """Granted, or the run is over."""
        if self.since_s is not None:
            took = now - self.since_s
            self.total_s += took
            self.longest_s = max(self.longest_s, took)
            self.since_s = None


@dataclass(slots=True)
class Party:
    """One requester's figures."""

    ends: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    waits: array[float] = field(default_factory=_floats)
    nap: Nap = field(default_factory=Nap)


@dataclass(slots=True)
class Scram:
    """One stop as it went."""

    at_s: float
    flushed: int = 0
    paused: int = 0
    turned_away: int = 0
    refused: int = 0
    resumed_s: float | None = None
    drained_s: float | None = None
    """When the queue was empty for the first time after it."""


@dataclass(slots=True)
class Measures:
    """Everything that is counted."""

    arrived: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """503 by code."""
    denied: Counter[str] = field(default_factory=Counter)
    """By code."""
    waits: dict[Priority, array[float]] = field(default_factory=lambda: {priority: _floats() for priority in Priority})
    """Seconds in the queue, of tasks whose turn came; of those still there at the end, what they had waited by then."""
    turnarounds: dict[Priority, array[float]] = field(
        default_factory=lambda: {priority: _floats() for priority in Priority}
    )
    """Seconds from arrival to the end, of tasks that ran."""
    parties: dict[str, Party] = field(default_factory=dict)
    sources: dict[str, tuple[int, Counter[str]]] = field(default_factory=dict)
    """Source -> arrivals, and their ends."""
    hits: int = 0
    misses: int = 0
    cloned: int = 0
    shed: int = 0
    queued_s: float = 0.0
    """Seconds that all tasks together spent in the queue."""
    busy_s: float = 0.0
    """Seconds that all workers together were at a task."""
    worker_s: float = 0.0
    """Seconds that all workers together were there."""
    longest_queue: int = 0
    scrams: list[Scram] = field(default_factory=list)
    lost_hosts: int = 0
    timeline: list[tuple[float, int, int]] = field(default_factory=list)
    """(second, tasks waiting, workers busy), at arrivals."""
    left: int = 0
    """Waiting, being judged or running when the run ended."""
    simulated_s: float = 0.0
    events: int = 0
    stride: int = 1

    def point(self, now: float, waiting: int, busy: int) -> None:
        """Add to the timeline."""
        self.timeline.append((now, waiting, busy))
        if len(self.timeline) >= POINTS:
            self.timeline = self.timeline[::2]
            self.stride *= 2

    def party(self, requester: str) -> Party:
        """The figures of `requester`."""
        return self.parties.setdefault(requester, Party())

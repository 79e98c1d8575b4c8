"""What a simulated run is made of: tasks, hosts, and the sources at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

from executor.intent import Priority
from harness.simulate.durations import Sampler, stream
from harness.simulate.load import Source
from harness.simulate.measures import Party
from harness.simulate.policy_table import Answers


class Call(simpy.Event):
    """One call of `step` with itself, `delay` seconds from now: simpy's Timeout, but made with what is to be called."""

    def __init__(self, env: simpy.Environment, delay: float, step: Any, value: object) -> None:
        """`value` is what it is about."""
        self.env = env
        self.callbacks = [step]
        self._value = value
        self._ok = True
        self.what = value
        env.schedule(self, delay=delay)


class Task:
    """One submission on its way."""

    __slots__ = ("arrived", "begun", "denial", "due", "ends", "host", "party", "priority", "service", "source", "token")

    def __init__(self, source: Submitter, arrived: float, priority: Priority, service: float) -> None:
        self.source = source
        self.party = source.party
        self.arrived = arrived
        self.priority = priority
        self.service = service
        self.begun = 0.0
        self.denial = ""
        self.ends = 0.0
        """When its run ends, by itself or by its limit."""
        self.due = 0.0
        """When its limit ends it."""
        self.token = 0
        """Events carry the token they were made with; one with another token is out of date."""
        self.host: Host


@dataclass(slots=True, eq=False)
class Host:
    """One host's workers and machines."""

    free: int
    warm: int = 0
    alive: int = 0
    """Machines that wait, run or are being made."""
    cloning: int = 0
    up: bool = True
    downs: list[list[float]] = field(default_factory=list)
    """From when to when it was lost."""
    life: int = 0
    """How often it was lost: what was begun in an earlier life is gone."""
    judging: dict[Task, None] = field(default_factory=dict)
    running: dict[Task, None] = field(default_factory=dict)
    """In the order in which they began: a set's order would differ from run to run."""

    def lose(self, now: float) -> None:
        """It is gone, with everything on it."""
        self.up, self.life = False, self.life + 1
        self.downs.append([now, float("inf")])
        self.free = self.warm = self.alive = self.cloning = 0
        self.judging.clear()
        self.running.clear()

    def back(self, now: float, workers: int) -> None:
        """It is there again, empty."""
        self.up, self.free = True, workers
        self.downs[-1][1] = now

    def up_s(self, until: float) -> float:
        """Seconds that it was there before `until`."""
        return until - sum(max(0.0, min(end, until) - begin) for begin, end in self.downs)


class Submitter:
    """A source at work: its arrivals, and what each of its tasks is like."""

    def __init__(self, source: Source, seed: int, party: Party, answers: Answers | None) -> None:
        self.source = source
        self.requester = source.requester
        self.timeout_s = source.timeout_s
        self.party = party
        self.ends: Counter[str] = Counter()
        self.arrived = 0
        self.answers = answers
        self.times: Iterator[float] = source.arrivals.times_of(stream(seed, source.name, "arrivals"))
        self.service: Sampler = source.service_s.sampler(stream(seed, source.name, "service"))
        self._random: Random = stream(seed, source.name, "priorities")
        self._priorities = [priority for priority, _ in source.priorities]
        total, self._bounds = sum(weight for _, weight in source.priorities), []
        reached = 0.0
        for _, weight in source.priorities:
            reached += weight / total
            self._bounds.append(reached)

    def priority(self) -> Priority:
        """That of the next task."""
        if len(self._priorities) == 1:
            return self._priorities[0]
        drawn = self._random.random()
        for priority, bound in zip(self._priorities, self._bounds, strict=True):
            if drawn < bound:
                return priority
        return self._priorities[-1]

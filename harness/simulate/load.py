"""A load as frozen values: who submits, what serves it, what goes wrong, what has to hold. Units are in the names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from executor.budget import REFILL_PER_HOUR, START_ATP
from executor.intent import Priority
from executor.queue.queue import CAPACITY, SHARE
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import NOTHING, Duration

SCHEMA: Final = "cordon.load/1"
MACHINE_MB: Final = 512
UNLIMITED_MB: Final = 1 << 40
"""Stands for memory that is never short."""

What = Literal["scram", "hosts_lost", "reviewers_down", "opa_slow"]
Knob = Literal["pool", "workers", "hosts", "queue"]
KNOBS: Final[tuple[Knob, ...]] = ("pool", "workers", "hosts", "queue")


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves the load; figures are for one host."""

    workers: int
    pool: int
    hosts: int = 1
    queue: int = CAPACITY
    queue_share: int = SHARE
    """Percent of it that one requester may take, where there are several."""
    memory_mb: int = UNLIMITED_MB
    machine_mb: int = MACHINE_MB
    vms_max: int = 0
    """0: no limit."""
    clone_s: Duration = NOTHING
    acquire_s: Duration = NOTHING
    refill_s: Duration | None = None
    """None: as `clone_s`."""
    coupled: bool = False
    """Whether `workers` was left out: then there are as many as the pool has machines."""


@dataclass(frozen=True, slots=True)
class Stages:
    """What a task takes of its worker before it gets a machine."""

    review_s: Duration = NOTHING
    decision_s: Duration = NOTHING
    lease_s: Duration = NOTHING


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Each requester's ATP."""

    start_atp: int = START_ATP
    refill_per_hour: int = REFILL_PER_HOUR
    nap_floor: int | None = None
    """None: the policy's."""
    policies: Path | None = None
    """None: the project's."""


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who submits tasks of one kind."""

    name: str
    arrivals: Arrivals
    service_s: Duration
    requester: str = "cbo"
    timeout_s: float = float("inf")
    priorities: tuple[tuple[Priority, float], ...] = ((Priority.NORMAL, 1.0),)
    capabilities: tuple[str, ...] = ("base:execute",)
    commands: int = 1


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that goes wrong."""

    what: What
    at_s: float
    for_s: float = float("inf")
    hosts: int = 1
    answers_after_s: float = 0.0
    factor: float = 1.0

    @property
    def until_s(self) -> float:
        """When it is over."""
        return self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class Target:
    """What has to hold: a figure that stays at or below `limit`."""

    name: str
    """For people: `wait_p95_s of HIGH`."""
    figure: str
    limit: float


@dataclass(frozen=True, slots=True)
class Load:
    """One load file."""

    id: str
    title: str
    serving: Serving
    sources: tuple[Source, ...]
    seed: int = 1
    tasks: int = 0
    """0: no end by number."""
    duration_s: float = float("inf")
    warmup_s: float = 0.0
    stages: Stages = field(default_factory=Stages)
    budget: BudgetPlan | None = None
    incidents: tuple[Incident, ...] = ()
    targets: tuple[Target, ...] = ()
    sweep: tuple[tuple[Knob, tuple[int, ...]], ...] = ()

    def turned(self, knob: Knob, value: int) -> Load:
        """The same load with one figure of what serves it changed; a coupled number of workers follows the pool."""
        serving = self.serving
        match knob:
            case "pool":
                serving = replace(serving, pool=value, workers=max(1, value) if serving.coupled else serving.workers)
            case "workers":
                serving = replace(serving, workers=value, coupled=False)
            case "hosts":
                serving = replace(serving, hosts=value)
            case "queue":
                serving = replace(serving, queue=value)
        return replace(self, serving=serving)

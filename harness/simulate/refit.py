"""A recorded run as a load: the same arrivals and priorities, each stage as it was seen to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from executor.intent import Priority
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import NOTHING, Duration, Form
from harness.simulate.load import Load, Serving, Source, Stages
from harness.simulate.recorded import Passage, Recorded
from harness.simulate.run import simulate

SEEDS: Final = 100
"""Runs over which a prediction is averaged: each draws other durations from those seen."""


def as_load(recorded: Recorded, *, workers: int, pool: int, form: Form = "empirical", seed: int = 1) -> Load:
    """The load that `recorded` was, for as many workers and machines.

    `form`: `empirical` draws durations from those seen; `in_order` gives each task its own, as long as tasks are taken
    in the order in which they came.
    """
    lanes: dict[Priority, list[Passage]] = {}
    for passage in recorded.passages:
        lanes.setdefault(Priority[passage.priority], []).append(passage)
    seen = {name: Duration(form, values) if values else NOTHING for name, values in recorded.stages.items()}
    sources = tuple(
        Source(
            priority.name,
            Arrivals("trace", times=tuple(passage.arrived_s for passage in lane)),
            Duration(form, _runs(lane)) if form == "in_order" and len(lanes) > 1 else seen["run"],
            priorities=((priority, 1.0),),
        )
        for priority, lane in sorted(lanes.items())
    )
    return Load(
        "recorded",
        "A recorded run",
        Serving(workers, pool, clone_s=seen["clone"], acquire_s=seen["acquire"], refill_s=seen["refill"]),
        sources,
        seed=seed,
        stages=Stages(seen["review"], seen["decision"], seen["lease"]),
    )


def predicted_waits(load: Load, seeds: int = SEEDS) -> tuple[float, ...]:
    """The mean wait of `load` under each of `seeds` seeds."""
    runs = (simulate(replace(load, seed=load.seed + number))[0] for number in range(seeds))
    return tuple(float(found["wait_s"]["all"]["mean"]) for found in runs)


def mean(values: Sequence[float]) -> float:
    """Their mean; `values` is not empty."""
    return math.fsum(values) / len(values)


def _runs(lane: Sequence[Passage]) -> tuple[float, ...]:
    return tuple(passage.stages.get("run", 0.0) for passage in lane)

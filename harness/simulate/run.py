"""One run of a load: the policy is asked where something is its to judge, then the model runs."""

from __future__ import annotations

from typing import Any, Final

from harness.simulate import policy_table
from harness.simulate.figures import figures, lookup
from harness.simulate.load import Load, Targets
from harness.simulate.measures import Measures
from harness.simulate.model import Model, Progress

_FIGURES: Final = {
    "wait_mean_s": "wait_s.all.mean",
    "wait_p95_s": "wait_s.all.p95",
    "wait_p99_s": "wait_s.all.p99",
    "refused_share": "refused_share",
    "denied_share": "denied_share",
    "miss_share": "pool.miss_share",
}
"""Target -> the figure that has to stay at or below it."""


def simulate(load: Load, progress: Progress = lambda *_: None) -> tuple[dict[str, Any], Measures]:
    """The figures of `load`, and what they were made of. Raises `OutsideError` when OPA is needed and missing.

    `progress` is told now and then how many tasks have come, and the simulated second.
    """
    answers = policy_table.ask(load) if policy_table.judged(load) else ()
    measures = Model(load, answers, progress).run()
    return figures(load, measures), measures


def missed(found: dict[str, Any], targets: Targets) -> list[str]:
    """Every target that does not hold, in words."""
    wanted = {name: getattr(targets, name) for name in _FIGURES}
    seen = {name: lookup(found, path) for name, path in _FIGURES.items()}
    return [
        f"{name}: {seen[name]:.4g} is over {limit:.4g}"
        for name, limit in wanted.items()
        if limit is not None and seen[name] > limit
    ]

"""One run of a load: the policy is asked where something is its to judge, then the model runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.simulate import policy_table
from harness.simulate.figures import figures, lookup
from harness.simulate.load import Load, Target
from harness.simulate.measures import Measures
from harness.simulate.model import Model, Progress


def simulate(load: Load, progress: Progress = lambda *_: None) -> tuple[dict[str, Any], Measures]:
    """The figures of `load`, and what they were made of. Raises `OutsideError` when OPA is needed and missing.

    `progress` is told now and then how many tasks have come, and the simulated second.
    """
    answers = policy_table.ask(load) if policy_table.judged(load) else ()
    measures = Model(load, answers, progress).run()
    return figures(load, measures), measures


def missed(found: dict[str, Any], targets: Iterable[Target]) -> list[str]:
    """Every target that does not hold, in words; none does where tasks came and not one was completed."""
    wanted = tuple(targets)
    if wanted and found["tasks"]["arrived"] and not found["tasks"]["completed"]:
        return ["not one task was completed: waits of nothing meet no target"]
    return [why for target in wanted if (why := _why_missed(found, target))]


def _why_missed(found: dict[str, Any], target: Target) -> str:
    """Why `target` does not hold; empty when it does. A wait of nobody meets none: whoever never waits is measured."""
    whose, _, part = target.figure.rpartition(".")
    if whose.startswith("wait_s.") and not lookup(found, f"{whose}.n"):
        return f"{target.name}: nobody's {part} was measured"
    value = lookup(found, target.figure)
    return f"{target.name}: {value:.4g} is over {target.limit:.4g}" if value > target.limit else ""

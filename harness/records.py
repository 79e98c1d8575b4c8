"""What is left of a judged scenario for the summary and the report: plain data that travels between xdist processes."""

from __future__ import annotations

from typing import Any

from harness import trail
from harness.judge import Judgement, is_host_weakened
from harness.runs import Run
from harness.scenario import Drill, Scenario

Record = dict[str, Any]
"""JSON-like; see `of`."""


def of(
    scenario: Scenario,
    runs: tuple[Run, ...],
    judgement: Judgement,
    *,
    listed: str,
    seconds: float,
    facts: dict[str, Any],
    writes: int,
) -> Record:
    """The record of one scenario.

    `listed`: the reason for which UNMEASURED is accepted here, or empty; `facts`: versions and digests of the executor;
    `writes`: watched files on the host that changed.
    """
    untried = {finding.role for finding in judgement.findings if finding.kind == "unmeasured"}
    made = [_run(run, untried=run.plan.role in untried) for run in runs if run.outcome is not None]
    return about(scenario, judgement, made, listed=listed, seconds=seconds, facts=facts, writes=writes)


def about(
    drill: Drill,
    judgement: Judgement,
    runs: list[Record],
    *,
    listed: str,
    seconds: float,
    facts: dict[str, Any],
    writes: int,
) -> Record:
    """The record of any drill, its `runs` in the form that `_run` gives them; the rest is as in `of`."""
    breakout = drill.breakout
    return {
        "id": drill.id,
        "title": drill.title,
        "plan": drill.plan,
        "ruling": judgement.ruling,
        "good": judgement.good,
        "findings": [str(finding) for finding in judgement.findings],
        "listed": listed,
        "attempt": {"class": breakout.class_, "mechanism": breakout.mechanism} if breakout else None,
        "seconds": seconds,
        "facts": facts,
        "writes_outside": writes,
        "runs": runs,
    }


def _run(run: Run, *, untried: bool) -> Record:
    outcome = run.outcome
    if outcome is None:
        return {}
    judged = not untried and not is_host_weakened(run)
    missing, unexpected = trail.counts(run.plan.expect.trail, outcome) if judged else (0, 0)
    return {
        "role": run.plan.role,
        "judged": judged,
        "engine": outcome.engine,
        "effect": outcome.effect,
        "verdict": outcome.verdict,
        "policy_digest": outcome.decision.get("policy_digest", ""),
        "events": [dict(event) for event in outcome.events] if judged else [],
        "missing": missing,
        "unexpected": unexpected,
        "stages": [[stage.name, stage.duration_ns, stage.side] for stage in outcome.stages],
    }

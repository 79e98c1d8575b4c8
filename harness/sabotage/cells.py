"""Cells of the sabotage matrix that a run of the drills holds already (docs/adr/0018). Pure.

A positive control that takes away exactly one control more than its attempt is the same bytes with only that control
gone: a sabotage run that has been made. Judged as if it were the attempt, by the same judge against the attempt's own
expectation, it must turn red; nothing is assumed because it is a positive control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypedDict

from harness.collection import procedure_runs
from harness.collection.procedure_runs import Observed
from harness.document import batch
from harness.document.drill import AnyDrill
from harness.document.procedure import Procedure
from harness.document.scenario import Scenario
from harness.judgement.judge import Finding, findings_of
from harness.judgement.runs import Role, Run

RED: Final = frozenset({"ESCAPED", "DIVERGENT", "FAILED"})
"""Rulings of an attempt that fails for what was seen of it, and not because it could not be tried."""


class Cell(TypedDict):
    """What one drill came to with one control gone; as records hold it."""

    control: str
    ruling: str
    finding: str


def ruled(drill: AnyDrill, findings: Sequence[Finding]) -> str:
    """The ruling of an attempt on its own: red when anything about it is wrong. Its controls are not asked for."""
    kinds = {finding.kind for finding in findings}
    if "unmeasured" in kinds:
        return "UNMEASURED"
    if "alarm" in kinds:
        return "ESCAPED"
    if kinds:
        return "DIVERGENT" if drill.breakout or kinds - {"expectation", "trail"} else "FAILED"
    return "BLOCKED" if drill.breakout else "PASSED"


def of_scenario(scenario: Scenario, runs: Sequence[Run]) -> Cell | None:
    """The cell in the runs of a scenario, made from its own part of them; None when there is none."""
    by_role: Mapping[Role, Run] = {run.plan.role: run for run in runs}
    attempt, positive = by_role.get("attempt"), by_role.get("positive")
    if attempt is None or positive is None or positive.outcome is None:
        return None
    gone = positive.plan.request.weaken - attempt.plan.request.weaken
    if len(gone) != 1:
        return None
    expect = batch.expected(scenario.expect, positive.whole) if positive.whole else attempt.plan.expect
    as_attempt = replace(positive, plan=replace(positive.plan, role="attempt", expect=expect))
    return _cell(scenario, gone, findings_of(scenario, as_attempt))


def of_procedure(procedure: Procedure, runs: Sequence[Observed]) -> Cell | None:
    """The cell in the calls of a procedure; None when there is none, or the controls differ in more than one thing."""
    by_role: Mapping[Role, Observed] = {run.role: run for run in runs}
    attempt, positive = by_role.get("attempt"), by_role.get("positive")
    if attempt is None or positive is None or positive.facts is None:
        return None
    gone = positive.call.weaken - attempt.call.weaken
    if len(gone) != 1 or positive.call.arguments != attempt.call.arguments:
        return None
    as_attempt = replace(positive, role="attempt", call=replace(attempt.call, weaken=positive.call.weaken))
    return _cell(procedure, gone, procedure_runs.findings_of(procedure, as_attempt))


def _cell(drill: AnyDrill, gone: frozenset[str], findings: Sequence[Finding]) -> Cell:
    (control,) = gone
    return Cell(control=control, ruling=ruled(drill, findings), finding=str(findings[0]) if findings else "")

"""Cells that come with a run: a positive control counts only when it was judged as the attempt, and turned red."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from fixtures import outcomes as make
from harness.collection import procedure_runs
from harness.collection.procedure_runs import Observed
from harness.document.procedure import Procedure
from harness.document.scenario import Scenario, parse_text
from harness.drills import sweep
from harness.errors import ReportError
from harness.judgement.coverage import Covered
from harness.judgement.judge import judge
from harness.judgement.runs import Run, plans
from harness.report import records
from harness.sabotage import cells, collected
from harness.sabotage.matrix import controls

ATTEMPT: Final = """\
schema: cordon.scenario/1
id: attempt
title: Attempt
plan: seccomp
description: Tries.
intent: {requester: drill, commands: [{argv: [kill-me]}]}
expect: {verdict: allow, effect: killed, signal: SIGSYS}
breakout: {class: K, mechanism: some-call, refusal: {signal: SIGSYS}}
controls:
  positive: {weaken: [seccomp], expect: {effect: completed, stdout: {contains: GOT IN}}}
  twin: {commands: [{argv: [echo, hi]}], expect: {effect: completed}}
"""
FACTS: Final = {"digests": {"policy": "p", "image": "i", "agent": "a"}}


def scenario(weaken: str = "[seccomp]", also: str = "") -> Scenario:
    """The attempt, with other controls taken away."""
    found = parse_text(ATTEMPT.replace("weaken: [seccomp]", f"weaken: {weaken}") + also, "x.yaml", Path())[0]
    assert isinstance(found, Scenario)
    return found


def runs_of(one: Scenario, *, filter_matters: bool = True) -> tuple[Run, ...]:
    """Its runs, by an executor in which the filter is what stops it, or by one in which something else does."""
    found = []
    for plan in plans(one):
        names = tuple(sorted(plan.request.weaken))
        if plan.role == "twin":
            outcome = make.executed(make.result(stdout=b"hi"), weaken=names)
        elif plan.role == "positive" and filter_matters:
            outcome = make.executed(make.result(stdout=b"GOT IN"), weaken=names)
        else:
            killed = make.result(cause="seccomp", exit_code=-1, signal=31, syscall=101, stdout=b"")
            outcome = make.executed(killed, weaken=names)
        found.append(Run(plan, make.of_intent(outcome, plan.request.intent.intent_id)))
    return tuple(found)


def record_of(one: Scenario, runs: tuple[Run, ...]) -> records.Record:
    """The record a worker would make of it."""
    cell = cells.of_scenario(one, runs)
    return records.of(one, runs, judge(one, runs), listed="", seconds=1.0, facts=FACTS, writes=0, cell=cell)


def test_a_positive_control_without_one_control_is_a_cell_judged_as_the_attempt() -> None:
    """What got through is red by the attempt's own expectation, and the finding says why."""
    one = scenario()
    cell = cells.of_scenario(one, runs_of(one))
    assert cell is not None
    assert (cell["control"], cell["ruling"]) == ("seccomp", "DIVERGENT")
    assert cell["finding"].startswith("attempt: expectation: effect: expected killed, got completed")


def test_a_positive_control_that_is_stopped_all_the_same_is_a_cell_that_notices_nothing() -> None:
    """It is judged, not assumed: another layer holds, and the cell is as good as the attempt."""
    one = scenario()
    cell = cells.of_scenario(one, runs_of(one, filter_matters=False))
    assert cell is not None
    assert cell["ruling"] == "BLOCKED"
    found = collected.of_records([record_of(one, runs_of(one, filter_matters=False))])
    assert not found.rows["seccomp"].caught


@pytest.mark.parametrize(
    ("weaken", "also", "control"),
    [
        ("[seccomp, landlock]", "", None),
        ("[seccomp, landlock]", "without: [landlock]\n", "seccomp"),
        ("[seccomp]", "without: [seccomp]\n", None),
    ],
)
def test_only_what_the_attempt_had_and_its_control_has_not_counts(weaken: str, also: str, control: str | None) -> None:
    """Two controls gone say nothing of either; layers that failed already are gone in both."""
    one = scenario(weaken, also)
    cell = cells.of_scenario(one, runs_of(one))
    assert (cell["control"] if cell else None) == control


PROCEDURE: Final = """\
schema: cordon.procedure/1
id: used-again
title: Used again
plan: G
description: Looks for a canary.
procedure: used-again
expect: {facts: {canary_found: false}}
breakout: {class: L, mechanism: canary, refusal: {absence: canary}}
controls:
  positive: {weaken: [reset], expect: {facts: {canary_found: true}}}
  twin: {arguments: {reuse: false}, expect: {facts: {canary_found: false}}}
"""


@pytest.mark.parametrize(
    ("more", "found", "ruling"),
    [("", True, "DIVERGENT"), ("", False, "BLOCKED"), ("arguments: {reuse: false}, ", True, None)],
)
def test_a_procedures_control_is_a_cell_when_only_the_control_differs(
    more: str, ruling: str | None, *, found: bool
) -> None:
    """The same call with one control gone; a control that is called otherwise shows something else."""
    (procedure,) = parse_text(PROCEDURE.replace("{weaken: [reset]", f"{{{more}weaken: [reset]"), "x.yaml", Path())
    assert isinstance(procedure, Procedure)
    blocked = {"canary_found": False, "refusal": "absence canary"}
    seen = {"canary_found": True, "refusal": ""} if found else blocked
    runs = [
        Observed(role, call, seen if role == "positive" else blocked) for role, call in procedure_runs.calls(procedure)
    ]
    cell = cells.of_procedure(procedure, runs)
    assert (cell["ruling"] if cell else None) == ruling


def test_a_cell_counts_only_where_the_drill_was_good() -> None:
    """Red without the control and red with it proves nothing."""
    one = scenario()
    good = record_of(one, runs_of(one))
    row = collected.of_records([good]).rows["seccomp"]
    assert (row.caught_by, dict(row.rulings)) == (("attempt",), {"attempt": "DIVERGENT"})
    bad = {**good, "good": False, "ruling": "DIVERGENT"}
    found = collected.of_records([bad])
    assert not found.rows["seccomp"].caught
    assert found.good == {"attempt": False}


def test_records_of_other_digests_or_another_engine_are_refused(tmp_path: Path) -> None:
    """A matrix is of one state of sources and images."""
    one = scenario()
    path = tmp_path / records.FILE
    records.write(path, [record_of(one, runs_of(one))], Covered())
    engine = make.executed(make.result()).engine
    assert collected.collect(path, engine, FACTS).rows["seccomp"].caught
    assert collected.caught(path) == {"seccomp"}
    with pytest.raises(ReportError, match="another engine, policy or image"):
        collected.collect(path, "other", FACTS)
    with pytest.raises(ReportError, match="another engine, policy or image"):
        collected.collect(path, engine, {"digests": {"policy": "q", "image": "i", "agent": "a"}})


@pytest.mark.parametrize("extra", [["-n", "2"], ["-n", "2", "--shard", "1/4"], []])
def test_what_the_run_has_shown_is_not_dealt_out_again(extra: Sequence[str]) -> None:
    """Every control of the part is some process's, once; processes have alike many to run."""
    shown = frozenset({"seccomp", "lockdown", "ioguard"})
    parts = sweep.shares(extra, shown)
    given = [name for names in parts for name in names]
    assert len(given) == len(set(given))
    assert set(given) == set(controls()) if "--shard" not in extra else set(given) < set(controls())
    torun = [len([name for name in names if name not in shown]) for names in parts]
    assert max(torun) - min(torun) <= 1

"""A procedure as pytest sees it: called up to three times, judged together, recorded and reported like a scenario."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import allure
from allure_commons.types import AttachmentType

from executor.errors import OutsideError
from harness.collection import procedure_runs
from harness.collection.drill_item import RECORD, DrillItem
from harness.collection.drill_session import DrillSession
from harness.collection.procedure_runs import Observed
from harness.document.procedure import Procedure
from harness.judgement import coverage
from harness.judgement.explain import opening
from harness.judgement.judge import Judgement
from harness.report import allure_record, records
from harness.report.escape import visible
from harness.report.records import Record
from harness.sabotage import cells


class ProcedureItem(DrillItem):
    """One procedure."""

    def __init__(self, *, drill: Procedure, **arguments: Any) -> None:
        super().__init__(drill=drill, **arguments)
        self.procedure = drill

    def tried(self, session: DrillSession, started: float) -> tuple[Judgement, str]:
        """Make the calls and judge them."""
        before = session.watch().writes_outside
        runs = self._runs(session)
        judgement = procedure_runs.judge(self.procedure, runs)
        self.stash[RECORD] = records.about(
            self.procedure,
            judgement,
            [_recorded(run, session.running_engine) for run in runs if run.facts is not None],
            listed=self.listed(session, judgement),
            seconds=time.monotonic() - started,
            facts=session.facts(),
            writes=session.watch().writes_outside - before,
            cell=cells.of_procedure(self.procedure, runs),
        )
        message = "" if judgement.good else "\n".join(_explained(self.procedure, runs, judgement))
        for run in runs if allure_record.wanted() else ():
            with allure.step(allure_record.ROLES[run.role]):
                _attached(run)
        allure_record.tell(self.procedure, {run.role: run.facts for run in runs}, judgement)
        allure_record.judged(judgement, message)
        return judgement, message

    def _runs(self, session: DrillSession) -> tuple[Observed, ...]:
        wanted = procedure_runs.calls(self.procedure)
        reason = self.procedure.unmeasured.get(session.engine, "")
        try:
            if not reason:
                executor = session.executor()
                reason = self.procedure.unmeasured.get(executor.engine, "")
            if not reason:
                return tuple(
                    procedure_runs.perform(
                        self.procedure, role, call, executor, session.watch(), session.kept, session.sabotage
                    )
                    for role, call in wanted
                )
        except OutsideError as error:
            reason = f"{error.code}: {error}"
        role, call = wanted[0]
        return (Observed(role, call, None, unmeasured=reason),)


def _recorded(run: Observed, engine: str) -> Record:
    missing, unexpected = procedure_runs.counts(run) if run.judged else (0, 0)
    return {
        "role": run.role,
        "judged": run.judged,
        "engine": engine,
        "effect": "observed",
        "verdict": "",
        "policy_digest": "",
        "seen": len(run.events) if run.judged else 0,
        "covered": coverage.of_events(run.events if run.judged else ()).to_json(),
        "missing": missing,
        "unexpected": unexpected,
        "stages": [],
    }


def _attached(run: Observed) -> None:
    """What a reviewer finds of one call; guest text is escaped."""
    if run.call.weaken:
        allure.attach(", ".join(sorted(run.call.weaken)), "controls taken away", AttachmentType.TEXT)
    if run.call.arguments:
        allure.attach(visible(json.dumps(dict(run.call.arguments), indent=2)), "arguments", AttachmentType.TEXT)
    if run.facts is None:
        allure.attach(visible(run.unmeasured), "not tried", AttachmentType.TEXT)
    else:
        allure.attach(visible(json.dumps(dict(run.facts), indent=2)), "observed", AttachmentType.TEXT)
    for alarm in run.alarms:
        allure.attach(visible(alarm), "ALARM", AttachmentType.TEXT)
    if run.events:
        allure.attach("\n".join(map(allure_record.event_line, run.events)), "event trail", AttachmentType.TEXT)


def _explained(procedure: Procedure, runs: tuple[Observed, ...], judgement: Judgement) -> Iterator[str]:
    """The failure in words: findings, the YAML lines, and what each call that is concerned observed and caused."""
    yield from opening(procedure, judgement)
    concerned = {finding.role for finding in judgement.findings} or {"attempt"}
    for run in runs:
        if run.role in concerned:
            yield ""
            yield visible(f"{run.role}: {procedure.called.name} {json.dumps(dict(run.call.arguments))}")
            if run.call.weaken:
                yield f"  weakened    {', '.join(sorted(run.call.weaken))}"
            for name, value in sorted((run.facts or {}).items()):
                yield visible(f"  observed    {name} = {json.dumps(value)[:400]}")
            for event in run.events:
                yield f"  {allure_record.event_line(event)}"

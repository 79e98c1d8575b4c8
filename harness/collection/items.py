"""Drills as pytest sees them: a YAML file is a collector, a scenario is one item judged on all of its runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from executor.api import Executor
from executor.errors import OutsideError
from harness.collection.drill_item import RECORD, SESSION, DrillItem, RedError
from harness.collection.drill_session import DrillSession
from harness.collection.procedure_item import ProcedureItem
from harness.conform import recorded
from harness.document.scenario import STUDY, Scenario, parse_file
from harness.errors import Place, Problem, ScenarioError
from harness.judgement.explain import explain
from harness.judgement.judge import Judgement, judge
from harness.judgement.runs import Plan, Run, own_part, perform, plans
from harness.report import allure_record, records
from harness.sabotage import cells

__all__ = ["IDS", "RECORD", "SESSION", "DrillItem", "RedError", "ScenarioFile", "ScenarioItem"]

IDS: Final = pytest.StashKey[dict[str, Place]]()


class ScenarioFile(pytest.File):
    """A YAML file of drills."""

    def collect(self) -> Iterator[DrillItem]:
        """One item for each document; raises `ScenarioError` with every mistake of the file."""
        name = self.nodeid or str(self.path)
        taken = self.config.stash[IDS]
        drills = parse_file(self.path, name=name)
        problems = []
        studies = self._studies(name)
        for any_drill in (*drills, *(item.drill for item in studies)):
            first = taken.setdefault(any_drill.id, any_drill.place)
            if first != any_drill.place:
                problems.append(Problem(any_drill.place, "id", f"{any_drill.id} is taken; first at {first}"))
        if problems:
            raise ScenarioError(problems)
        for drill in drills:
            kind = ScenarioItem if isinstance(drill, Scenario) else ProcedureItem
            yield kind.from_parent(self, name=drill.id, drill=drill)
        yield from studies

    def _studies(self, name: str) -> list[DrillItem]:
        """The studies among its documents."""
        if STUDY.encode() not in self.path.read_bytes():
            return []  # the simulator takes a second to import, which no other file should cost
        from harness.simulate import study, study_item  # noqa: PLC0415 - see above

        found = study.parse_file(self.path, name=name)
        return [study_item.StudyItem.from_parent(self, name=one.id, drill=one) for one in found]

    def repr_failure(  # type: ignore[override] # as pytest.Collector itself narrows it
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Any:
        """Mistakes in the file as they are, without a traceback through the harness."""
        return str(excinfo.value) if isinstance(excinfo.value, ScenarioError) else super().repr_failure(excinfo)


class ScenarioItem(DrillItem):
    """One scenario: a request taken down the path."""

    def __init__(self, *, drill: Scenario, **arguments: Any) -> None:
        super().__init__(drill=drill, **arguments)
        self.scenario = drill
        self._made_runs = True
        """Whether its runs are its own to account for: a batch's belong to the member that ran first."""

    def tried(self, session: DrillSession, started: float) -> tuple[Judgement, str]:
        """Make the runs, or share those of its batch, and judge them."""
        before = session.watch().writes_outside
        runs = self._runs(session)
        writes = session.watch().writes_outside - before
        judgement = judge(self.scenario, runs)
        record = records.of(
            self.scenario,
            runs if self._made_runs else (),
            judgement,
            listed=self.listed(session, judgement),
            seconds=time.monotonic() - started,
            facts=session.facts(),
            writes=writes,
            cell=cells.of_scenario(self.scenario, runs),
        )
        self.stash[RECORD] = {**record, "compared": recorded.of(runs)}
        message = "" if judgement.good else explain(self.scenario, runs, judgement)
        allure_record.attach(self.scenario, runs, judgement, message, shared=not self._made_runs)
        return judgement, message

    def _runs(self, session: DrillSession) -> tuple[Run, ...]:
        wanted = plans(self.scenario, session.sabotage)
        reason = self.scenario.unmeasured.get(session.engine, "")
        try:
            if not reason:
                executor = session.executor()
                reason = self.scenario.unmeasured.get(executor.engine, "")
            if not reason:
                return tuple(own_part(run, self.scenario) for run in self._performed(session, executor, wanted))
        except OutsideError as error:
            reason = f"{error.code}: {error}"
        return (Run(wanted[0], None, reason),)

    def _performed(self, session: DrillSession, executor: Executor, wanted: tuple[Plan, ...]) -> tuple[Run, ...]:
        """The runs made now, or for a member of a batch those its first member made in this process."""
        member = self.scenario.member
        if member is None:
            return tuple(perform(plan, executor, session.watch()) for plan in wanted)
        if member.batch in session.shared_runs:
            self._made_runs = False
        else:
            session.shared_runs[member.batch] = tuple(perform(plan, executor, session.watch()) for plan in wanted)
        return session.shared_runs[member.batch]

"""Scenarios as pytest sees them: a YAML file is a collector, a scenario is one item judged on all of its runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from executor.api import Executor
from executor.errors import OutsideError
from harness import allure_record, records
from harness.drill_session import DrillSession
from harness.errors import Place, Problem, ScenarioError
from harness.explain import explain
from harness.judge import Judgement, judge
from harness.runs import Plan, Run, own_part, perform, plans
from harness.scenario import Scenario, parse_file

SESSION: Final = pytest.StashKey[DrillSession]()
IDS: Final = pytest.StashKey[dict[str, Place]]()
RECORD: Final = pytest.StashKey[records.Record]()


class RedError(AssertionError):
    """A scenario that does not pass; the message is the whole explanation."""


class ScenarioFile(pytest.File):
    """A YAML file of scenarios."""

    def collect(self) -> Iterator[ScenarioItem]:
        """One item for each document; raises `ScenarioError` with every mistake of the file."""
        name = self.nodeid or str(self.path)
        taken = self.config.stash[IDS]
        scenarios = parse_file(self.path, name=name)
        problems = []
        for scenario in scenarios:
            first = taken.setdefault(scenario.id, scenario.place)
            if first != scenario.place:
                problems.append(Problem(scenario.place, "id", f"{scenario.id} is taken; first at {first}"))
        if problems:
            raise ScenarioError(problems)
        for scenario in scenarios:
            yield ScenarioItem.from_parent(self, name=scenario.id, scenario=scenario)

    def repr_failure(  # type: ignore[override] # as pytest.Collector itself narrows it
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> Any:
        """Mistakes in the file as they are, without a traceback through the harness."""
        return str(excinfo.value) if isinstance(excinfo.value, ScenarioError) else super().repr_failure(excinfo)


class ScenarioItem(pytest.Item):
    """One scenario: attempt, positive control and harmless twin, judged together."""

    def __init__(self, *, scenario: Scenario, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.scenario = scenario
        self._made_runs = True
        """Whether its runs are its own to account for: a batch's belong to the member that ran first."""
        for name in marks_of(scenario):
            self.add_marker(name)
        if scenario.breakout:
            self.extra_keyword_matches.add(scenario.breakout.mechanism)

    def setup(self) -> None:
        """Have the executor ready: a scenario's own time does not hold the image's build or the engine's probe."""
        session = self.config.stash[SESSION]
        if session.engine not in self.scenario.unmeasured:
            with suppress(OutsideError):  # told by `runtest`, as the reason why nothing could be measured
                session.executor()

    def runtest(self) -> None:
        """Run and judge; raises `RedError` unless the ruling is a good one."""
        session = self.config.stash[SESSION]
        started = time.monotonic()
        allure_record.describe(self.scenario)
        before = session.watch().writes_outside
        runs = self._runs(session)
        writes = session.watch().writes_outside - before
        judgement = judge(self.scenario, runs)
        listed = self.scenario.unmeasured.get(session.running_engine, "") if judgement.ruling == "UNMEASURED" else ""
        seconds = time.monotonic() - started
        self.stash[RECORD] = records.of(
            self.scenario,
            runs if self._made_runs else (),
            judgement,
            listed=listed,
            seconds=seconds,
            facts=session.facts(),
            writes=writes,
        )
        message = "" if judgement.good else explain(self.scenario, runs, judgement)
        allure_record.attach(runs, judgement, message)
        self.user_properties += [("ruling", judgement.ruling), ("engine", session.running_engine)]
        self._conclude(judgement, listed, message)

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

    @staticmethod
    def _conclude(judgement: Judgement, listed: str, message: str) -> None:
        if judgement.good:
            return
        if listed:
            pytest.skip(f"UNMEASURED here: {listed}")
        raise RedError(message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation as it is; anything else is a bug of ours and keeps its traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, RedError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line counted from 0, and title, for pytest's own messages."""
        return self.path, self.scenario.place.line - 1, f"{self.name} ({self.scenario.title})"


def marks_of(scenario: Scenario) -> tuple[str, ...]:
    """The markers of a scenario: its plan, its tags, and for an attempt `breakout` and its class."""
    attempt = ("breakout", f"class_{scenario.breakout.class_.lower()}") if scenario.breakout else ()
    return (f"plan_{scenario.plan.lower()}", *scenario.tags, *attempt)

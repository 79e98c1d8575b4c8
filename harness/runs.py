"""From a scenario to the runs that judge it: the attempt, the positive control, the harmless twin."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from executor.api import Executor, Request
from executor.errors import OutsideError
from executor.outcome import Outcome
from harness.expect import Expect
from harness.scenario import Scenario, for_twin

Role = Literal["attempt", "positive", "twin"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run to be made and what is expected of it."""

    role: Role
    request: Request
    expect: Expect


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it went: an outcome, or why there is none."""

    plan: Plan
    outcome: Outcome | None
    unmeasured: str = ""
    """Why it could not be tried; empty when there is an outcome."""
    alarms: tuple[str, ...] = ()
    """What the host's canaries saw: any of them is an escape."""


class Watch(Protocol):
    """Host canaries around one run (harness/canaries.py)."""

    def before(self) -> None:
        """Take stock."""

    def after(self, outcome: Outcome | None) -> tuple[str, ...]:
        """What changed that must not, in words; empty when nothing did."""


def plans(scenario: Scenario, sabotage: frozenset[str] = frozenset()) -> tuple[Plan, ...]:
    """The runs of a scenario in order. `sabotage` is taken away in every one of them, beyond what the scenario says."""
    attempt = Request(
        intent=scenario.intent,
        attempt=scenario.attempt,
        approvals=scenario.approvals,
        weaken=sabotage,
        tamper=dict(scenario.tamper),
    )
    found = [Plan("attempt", attempt, scenario.expect)]
    if scenario.positive:
        weakened = replace(attempt, weaken=scenario.positive.weaken | sabotage)
        found.append(Plan("positive", weakened, scenario.positive.expect))
    if scenario.twin:
        harmless = replace(attempt, intent=for_twin(scenario, scenario.twin), attempt=None, tamper={})
        found.append(Plan("twin", harmless, scenario.twin.expect))
    return tuple(replace(plan, request=_named(scenario.id, plan)) for plan in found)


def _named(scenario_id: str, plan: Plan) -> Request:
    """The request under an intent id of its own: ids are unique for ever, scenarios are run again and again."""
    intent_id = f"drill-{scenario_id}-{plan.role}-{uuid.uuid4().hex[:12]}"
    return replace(plan.request, intent=replace(plan.request.intent, intent_id=intent_id))


def perform(plan: Plan, executor: Executor, watch: Watch) -> Run:
    """Take `plan` through the executor with the host watched; an executor that cannot run it makes it UNMEASURED."""
    watch.before()
    outcome: Outcome | None = None
    unmeasured = ""
    try:
        outcome = executor.run(plan.request)
    except OutsideError as error:
        unmeasured = f"{error.code}: {error}"
    return Run(plan, outcome, unmeasured, watch.after(outcome))

"""From a scenario to the runs that judge it: the attempt, the positive control, the harmless twin."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from executor.api import Executor, LeaseLife, Request
from executor.errors import OutsideError
from executor.outcome import Outcome
from harness.document import batch
from harness.document.expect import Expect
from harness.document.scenario import Scenario, for_twin
from harness.judgement.modelled import unmodelled

Role = Literal["attempt", "positive", "twin"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run to be made and what is expected of it."""

    role: Role
    request: Request
    expect: Expect
    overridden: bool = False
    """The scenario has the policy's denial ignored in every run: verdict and record then differ by intent."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it went: an outcome, or why there is none."""

    plan: Plan
    outcome: Outcome | None
    unmeasured: str = ""
    """Why it could not be tried; empty when there is an outcome."""
    alarms: tuple[str, ...] = ()
    """What the host's canaries saw: any of them is an escape."""
    whole: Outcome | None = None
    """For a member of a batch: the outcome of the run it shares, of which `outcome` is its own part."""
    lost: str = ""
    """Why an earlier try at this run came to nothing before a command began; empty when the first was it."""


class Watch(Protocol):
    """Host canaries around one run (harness/watch/canaries.py)."""

    def before(self, weakened: frozenset[str] = frozenset()) -> None:
        """Take stock. `weakened`: what is taken away on purpose, in a run that has to get through."""

    def after(self, *outcomes: Outcome | None, said: str = "") -> tuple[str, ...]:
        """What changed that must not, in words; empty when nothing did. `said`: other text that may hold no secret."""


def plans(scenario: Scenario, sabotage: frozenset[str] = frozenset()) -> tuple[Plan, ...]:
    """The runs of a scenario in order. `sabotage` is taken away in every one of them, beyond what the scenario says."""
    gone = scenario.without | sabotage
    attempt = Request(
        intent=scenario.intent,
        attempt=scenario.attempt,
        approvals=scenario.approvals,
        weaken=gone,
        tamper=dict(scenario.tamper),
        life=scenario.life,
    )
    found = [Plan("attempt", attempt, scenario.expect)]
    if scenario.positive:
        weakened = replace(attempt, weaken=scenario.positive.weaken | gone)
        found.append(Plan("positive", weakened, scenario.positive.expect))
    if scenario.twin:
        harmless = replace(attempt, intent=for_twin(scenario, scenario.twin), attempt=None, tamper={}, life=LeaseLife())
        found.append(Plan("twin", harmless, scenario.twin.expect))
    name = scenario.member.batch if scenario.member else scenario.id
    ignored = "policy" in scenario.without
    return tuple(replace(plan, request=_named(name, plan), overridden=ignored) for plan in found)


def _named(scenario_id: str, plan: Plan) -> Request:
    """The request under an intent id of its own: ids are unique for ever, scenarios are run again and again."""
    intent_id = f"drill-{scenario_id}-{plan.role}-{uuid.uuid4().hex[:12]}"
    return replace(plan.request, intent=replace(plan.request.intent, intent_id=intent_id))


def own_part(run: Run, scenario: Scenario) -> Run:
    """Of a run shared by a batch, what `scenario` is judged by; any other run as it is."""
    if scenario.member is None or run.outcome is None:
        return run
    expects = {"attempt": scenario.expect, "positive": scenario.positive, "twin": scenario.twin}[run.plan.role]
    expect = expects if isinstance(expects, Expect) else expects.expect if expects else run.plan.expect
    plan = replace(run.plan, expect=batch.expected(expect, run.outcome))
    own = batch.narrowed(run.outcome, scenario.member)
    if why := unmodelled(own, whole=own is run.outcome):
        return replace(run, plan=plan, outcome=None, unmeasured=why)
    return replace(run, plan=plan, outcome=own, whole=run.outcome)


def perform(plan: Plan, executor: Executor, watch: Watch) -> Run:
    """Take `plan` through the executor with the host watched; an executor that cannot run it makes it UNMEASURED.

    Tried once more when the machine is lost before a command began: on a crowded host that happens, and says nothing of
    what was to be tried. Both tries are watched, and the loss is told.
    """
    watch.before(plan.request.weaken if plan.role == "positive" else frozenset())
    outcomes: list[Outcome] = []
    lost = ""
    try:
        outcomes.append(executor.run(plan.request))
        if lost := came_to_nothing(plan.expect, outcomes[0]):
            plan = replace(plan, request=renamed(plan.request))
            outcomes.append(executor.run(plan.request))
    except OutsideError as error:
        return Run(plan, None, f"{error.code}: {error}", watch.after(*outcomes), lost=lost)
    outcome, alarms = outcomes[-1], watch.after(*outcomes)
    if not batch.reports(outcome)[0] and (why := unmodelled(outcome)):
        return Run(plan, None, why, alarms, lost=lost)
    return Run(plan, outcome, "", alarms, lost=lost)


def came_to_nothing(expect: Expect, outcome: Outcome) -> str:
    """Why the run is no evidence of anything: it was aborted before a command began. Empty when it is evidence."""
    began = any(event["type"] == "exec_event.STARTED" for event in outcome.events)
    if outcome.effect != "aborted" or expect.effect == "aborted" or began:
        return ""
    return f"{', '.join(outcome.reasons)}: {outcome.message}"


def renamed(request: Request) -> Request:
    """`request` under another intent id, which are unique for ever."""
    return replace(request, intent=replace(request.intent, intent_id=f"{request.intent.intent_id}-again"))

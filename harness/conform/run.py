"""Takes each scenario through two executors and says where they differ. IO at the rim; what counts is in `seen`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from executor.api import Executor
from executor.outcome import Outcome
from harness.conform.corpus import Corpus, Group
from harness.conform.seen import Seen, seen
from harness.document.scenario import Scenario
from harness.judgement.runs import Plan, Run, own_part, perform

State = Literal["EQUAL", "DIVERGENT", "UNMODELLED", "UNMEASURED", "PROCEDURE", "STALE"]
"""UNMODELLED: the simulator says what it has no answer to; UNMEASURED: the real engine cannot try it; PROCEDURE: no
single request, so nothing that two engines could be asked alike (docs/adr/0026); STALE: what is recorded of the real
engine is of another request (docs/adr/0037)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One scenario on both."""

    id: str
    state: State
    why: tuple[str, ...] = ()
    """What differs (the simulator's value first), or why there is nothing to compare."""

    def to_json(self) -> dict[str, Any]:
        """JSON-like."""
        return {"id": self.id, "state": self.state, "why": list(self.why)}


@dataclass
class Report:
    """All of them."""

    engine: str
    compared: list[Compared] = field(default_factory=list)
    generated: list[Compared] = field(default_factory=list)
    left_out: int = 0
    """Generated cases there was no time for."""
    unrecorded: int = 0
    """Scenarios of the files that the record compared with does not hold."""

    def count(self, state: State) -> int:
        """How many scenarios are in `state`."""
        return sum(1 for one in self.compared if one.state == state)

    @property
    def modelled_percent(self) -> float:
        """Of the scenarios that the real engine can try; each attempt of a batch is one, procedures are none."""
        total = len(self.compared) - self.count("UNMEASURED") - self.count("PROCEDURE")
        return 100.0 * (total - self.count("UNMODELLED")) / total if total else 100.0

    @property
    def wrong(self) -> list[Compared]:
        """What fails: what differs, and what the record is too old for."""
        return [*self.divergent, *(one for one in self.compared if one.state == "STALE")]

    @property
    def divergent(self) -> list[Compared]:
        """What differs, generated cases included."""
        return [one for one in (*self.compared, *self.generated) if one.state == "DIVERGENT"]


class Nothing:
    """A watch that does not look at the host: what is compared here is two engines, not an escape."""

    def before(self, weakened: frozenset[str] = frozenset()) -> None:
        """Nothing."""

    def after(self, *outcomes: Outcome | None, said: str = "") -> tuple[str, ...]:  # noqa: ARG002 - a watch's
        """No alarm."""
        return ()


def compare_runs(scenario: str, pairs: Iterable[tuple[Run, Run]]) -> Compared:
    """The state of a scenario from its runs on (simulator, real engine)."""
    return compare_seen(scenario, ((seen(simulated), seen(real)) for simulated, real in pairs))


def compare_seen(scenario: str, pairs: Iterable[tuple[Seen | str, Seen | str]]) -> Compared:
    """The state of a scenario from what its runs came to on (simulator, real engine), or why they came to nothing."""
    found: list[str] = []
    for one, two in pairs:
        if not isinstance(two, Seen):
            return Compared(scenario, "UNMEASURED", (two,))
        if not isinstance(one, Seen):
            return Compared(scenario, "UNMODELLED", (one,))
        found += [f"{one.role}: {text}" for text in one.differences(two)]
    return Compared(scenario, "DIVERGENT" if found else "EQUAL", tuple(found))


def _both(plans: Iterable[Plan], simulator: Executor, real: Executor) -> Iterator[tuple[Run, Run]]:
    watch = Nothing()
    for plan in plans:
        yield perform(plan, simulator, watch), perform(_again(plan), real, watch)


def _again(plan: Plan) -> Plan:
    """The same plan for the other executor: ids are unique within a trail, so they may be the same in two."""
    return plan


def apart(group: Group, engine: str) -> tuple[list[Compared], list[Scenario]]:
    """What of `group` is listed as UNMEASURED for `engine` or the simulator, and what is left to be compared."""
    tried = [one for one in group.scenarios if engine not in one.unmeasured]
    result = [Compared(one.id, "UNMEASURED", (one.unmeasured[engine],)) for one in group.scenarios if one not in tried]
    listed = [one for one in tried if "sim" in one.unmeasured]
    result += [Compared(one.id, "UNMODELLED", (one.unmeasured["sim"],)) for one in listed]
    return result, [one for one in tried if one not in listed]


def compare_group(group: Group, simulator: Executor, real: Executor) -> list[Compared]:
    """Every scenario of `group`. What is listed as UNMEASURED for one of the two is not tried."""
    result, left = apart(group, real.engine)
    if not left:
        return result
    pairs = list(_both(group.plans(), simulator, real))
    for scenario in left:
        own = [(own_part(one, scenario), own_part(two, scenario)) for one, two in pairs]
        result.append(compare_runs(scenario.id, own))
    return result


def conform(
    report: Report, corpus: Corpus, simulator: Executor, real: Executor, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Compare all of `corpus`, into `report`: whoever is interrupted has what was compared until then."""
    for number, group in enumerate(corpus.groups, 1):
        tell(f"{number} of {len(corpus.groups)}: {group.id}; {len(report.divergent)} divergent so far")
        report.compared += compare_group(group, simulator, real)
    report.compared += [
        Compared(drill.id, "PROCEDURE", ("no single request that an engine alone could answer",))
        for drill in corpus.others
    ]


def generated(
    report: Report,
    cases: list[Plan],
    simulator: Executor,
    real: Executor,
    *,
    budget_s: float,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Compare `cases` until the budget (real seconds) is used up; into `report`."""
    until = time.monotonic() + budget_s
    for number, plan in enumerate(cases, 1):
        if time.monotonic() >= until:
            report.left_out = len(cases) - number + 1
            return
        tell(f"generated {number} of {len(cases)}; {len(report.divergent)} divergent so far")
        pairs = list(_both([plan], simulator, real))
        shown = f"generated-{number}"
        found = compare_runs(shown, pairs)
        if found.state == "DIVERGENT":
            found = Compared(shown, found.state, (*found.why, f"request: {described(plan)}"))
        report.generated.append(found)


def described(plan: Plan) -> str:
    """A generated request in one line, enough to try it again."""
    request = plan.request
    parts = [
        f"argv={[list(one.argv) for one in request.intent.commands]}",
        f"capabilities={request.intent.capabilities}",
    ]
    for name, value, usual in (
        ("env", dict(request.intent.env), {}),
        ("phase", request.intent.phase, "staging"),
        ("approvals", request.approvals, ("cp14",)),
        ("weaken", sorted(request.weaken), []),
        ("tamper", request.tamper, {}),
        ("before_use", request.life.before_use, ()),
        ("attempt", request.attempt and [list(one.argv) for one in request.attempt], None),
    ):
        if value != usual:
            parts.append(f"{name}={value}")
    parts.append(f"limits={request.intent.limits}")
    return " ".join(parts)

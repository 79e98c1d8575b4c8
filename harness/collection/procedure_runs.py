"""A procedure called as its document says, with the host watched, and judged by the same rules as scenarios.

Its facts must be exactly the expected ones, its events exactly the expected trail and legal in their order; every
outcome it saw must agree with itself. An attempt gets through when what it observed is all that its positive control
asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from executor import weaken
from executor.api import Executor
from executor.errors import BugError, OutsideError
from executor.svf import machine
from harness.document.procedure import Call, Procedure
from harness.judgement import agreement, facts
from harness.judgement.facts import REFUSAL, Facts
from harness.judgement.judge import Finding, Judgement, rule_breakout, rule_plain, undeclared
from harness.judgement.runs import Role, Watch
from harness.procedures import Stage
from harness.procedures.stage import Kept


@dataclass(frozen=True, slots=True)
class Observed:
    """One call as it went: facts, or why there are none."""

    role: Role
    call: Call
    facts: Facts | None
    events: tuple[Mapping[str, Any], ...] = ()
    unmeasured: str = ""
    alarms: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()
    """Where outcomes it saw disagree with themselves."""
    undeclared: tuple[str, ...] = ()
    """Where a machine does not say what was taken away in it."""

    @property
    def judged(self) -> bool:
        """Whether its record counts: not where a control of the host was taken away, whose record differs by intent."""
        return self.facts is not None and not (
            self.role == "positive" and self.call.weaken & frozenset(weaken.HOST_CONTROLS)
        )

    @property
    def trail(self) -> tuple[Any, ...] | None:
        """The events that are expected of it; None where they are not judged."""
        return self.call.expect.events


def calls(procedure: Procedure) -> tuple[tuple[Role, Call], ...]:
    """The calls of a procedure, in order."""
    named: tuple[tuple[Role, Call | None], ...] = (
        ("attempt", procedure.attempt),
        ("positive", procedure.positive),
        ("twin", procedure.twin),
    )
    return tuple((role, call) for role, call in named if call is not None)


def perform(
    procedure: Procedure, role: Role, call: Call, executor: Executor, watch: Watch, kept: Kept, sabotage: frozenset[str]
) -> Observed:
    """Call it with the host watched; what is broken outside makes it UNMEASURED."""
    stage = Stage(executor, call.weaken | sabotage, kept)
    seen: Facts | None = None
    unmeasured = ""
    watch.before(call.weaken if role == "positive" else frozenset())
    try:
        with stage.open():
            seen = _plain(procedure, procedure.called.call(stage, **call.arguments))
    except OutsideError as error:
        unmeasured = f"{error.code}: {error}"
    outcomes = [outcome for _, outcome in stage.outcomes]
    told = json.dumps([seen, stage.events], default=str)
    return Observed(
        role,
        call,
        seen,
        tuple(stage.events),
        unmeasured,
        watch.after(*outcomes, said=told),
        tuple(text for outcome in outcomes for text in agreement.complaints(outcome)),
        tuple(text for request, outcome in stage.outcomes for text in undeclared(request, outcome)),
    )


def _plain(procedure: Procedure, seen: Facts) -> Facts:
    """The facts as JSON knows them; raises `BugError` for what it does not."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(seen)))
    except (TypeError, ValueError) as error:
        raise BugError(f"procedure {procedure.called.name} observed what is no JSON: {error}") from None
    return plain


def judge(procedure: Procedure, runs: Sequence[Observed]) -> Judgement:
    """The ruling over all calls that were made."""
    findings = tuple(finding for run in runs for finding in findings_of(procedure, run))
    if procedure.breakout is None:
        return Judgement(rule_plain(findings), findings)
    attempt = next(run for run in runs if run.role == "attempt")
    made = frozenset(run.role for run in runs)
    return Judgement(rule_breakout(findings, made, _got_through(procedure, attempt)), findings)


def findings_of(procedure: Procedure, run: Observed) -> list[Finding]:
    """Everything that is wrong with one call."""
    found = [Finding(run.role, "alarm", text) for text in run.alarms]
    if run.facts is None:
        return [*found, Finding(run.role, "unmeasured", run.unmeasured or "no facts and no reason")]
    found += [Finding(run.role, "weaken", text) for text in run.undeclared]
    found += [Finding(run.role, "expectation", text) for text in facts.differences(run.call.expect.facts, run.facts)]
    if run.judged:
        found += [Finding(run.role, "agreement", text) for text in run.complaints]
        found += [Finding(run.role, "order", str(fault)) for fault in machine.check_trace(run.events, complete=True)]
    if run.trail is not None:
        difference = machine.match_trail(run.events, run.trail)
        found += [Finding(run.role, "trail", f"missing {name}") for name in difference.missing]
        found += [Finding(run.role, "trail", f"unexpected {name}") for name in difference.unexpected]
    if run.role == "attempt" and procedure.breakout:
        wanted, seen = str(procedure.breakout.refusal), run.facts.get(REFUSAL)
        if seen != wanted:
            found.append(Finding(run.role, "refusal", f"expected {wanted}, saw {seen or 'none'}"))
    return found


def _got_through(procedure: Procedure, attempt: Observed) -> bool:
    """Whether the attempt looks like the success its positive control defines."""
    if attempt.facts is None or procedure.positive is None:
        return False
    return not any(facts.differences(procedure.positive.expect.facts, attempt.facts))


def counts(run: Observed) -> tuple[int, int]:
    """How many events are missing and how many are unexpected."""
    if run.trail is None:
        return 0, 0
    difference = machine.match_trail(run.events, run.trail)
    return len(difference.missing), len(difference.unexpected)

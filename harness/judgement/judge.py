"""The judge: from the runs of a scenario to one ruling. Pure: it looks at values and touches nothing.

A run is judged three times, in this order: does it agree with itself (agreement.py and the state machine), is
it what the scenario expects (comparison.py), are its events exactly the expected trail. A break-out attempt is
then ruled by all of its runs; the first of these that holds is the ruling:

1. ESCAPED       a host canary is touched, the probe says so, or the attempt looks like the success its control defines
2. UNMEASURED    the attempt could not be tried here
3. DIVERGENT     verdict, effect and events disagree, or the attempt was stopped in another way than expected
4. VACUOUS       the same bytes do not succeed in the weakened VM either: the refusal proves nothing
5. OVER_REFUSED  the harmless twin does not work
6. UNMEASURED    a control could not be tried here
7. BLOCKED       none of these: the only ruling of a break-out attempt that passes

Events that are not the expected trail make a run DIVERGENT only where the effect is the expected one: another effect
leaves another trail, and is a finding of its own.

Other scenarios are PASSED, FAILED (agrees with itself, differs from the expectation), DIVERGENT or UNMEASURED.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from executor import weaken
from executor.api import Request
from executor.outcome import Outcome
from harness.document import batch
from harness.document.scenario import Scenario
from harness.judgement import agreement, comparison, trail
from harness.judgement.probe import refusal_seen, says_escaped
from harness.judgement.runs import Role, Run, came_to_nothing

Ruling = Literal["PASSED", "FAILED", "BLOCKED", "ESCAPED", "OVER_REFUSED", "VACUOUS", "DIVERGENT", "UNMEASURED"]
Kind = Literal["alarm", "unmeasured", "agreement", "order", "expectation", "trail", "refusal", "weaken"]
Sight = Kind | Role | Literal["word"]
"""What the judge can be made blind for: a kind of finding, a role's findings, the probe's word that it got through."""

GOOD: Final[frozenset[Ruling]] = frozenset({"PASSED", "BLOCKED"})
_DISAGREES: Final[frozenset[Kind]] = frozenset({"agreement", "order", "weaken"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one run."""

    role: Role
    kind: Kind
    text: str

    def __str__(self) -> str:
        """One line for the person."""
        return f"{self.role}: {self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The ruling and everything that led to it."""

    ruling: Ruling
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether the scenario passes."""
        return self.ruling in GOOD


def judge(scenario: Scenario, runs: Sequence[Run], *, blind: frozenset[Sight] = frozenset()) -> Judgement:
    """The ruling over `runs`, which are the attempt and the controls the scenario asks for.

    `blind`: kinds of findings, roles, or the probe's own word, that are overlooked. Only sabotage does that, to see
    that each is needed (harness/sabotage).
    """
    found = (finding for run in runs for finding in findings_of(scenario, run))
    findings = tuple(finding for finding in found if not {finding.kind, finding.role} & blind)
    ruling = _breakout(scenario, runs, findings, blind) if scenario.breakout else rule_plain(findings)
    return Judgement(ruling, findings)


def findings_of(scenario: Scenario, run: Run) -> list[Finding]:
    """Everything that is wrong with one run."""
    role, outcome = run.plan.role, run.outcome
    found = [Finding(role, "alarm", text) for text in run.alarms]
    if outcome is None:
        return [*found, Finding(role, "unmeasured", run.unmeasured or "no outcome and no reason")]
    expect = run.plan.expect
    if scenario.member and run.whole:
        lost = [Finding(role, "agreement", text) for text in batch.complaints(run.whole, scenario.member)]
        if lost and outcome is run.whole:
            return [*found, *lost]  # nothing in it is this probe's own
        found += lost
    if why := came_to_nothing(expect, outcome):
        return [*found, Finding(role, "unmeasured", why)]
    if not is_host_weakened(run):
        found += [Finding(role, "agreement", text) for text in agreement.complaints(run.whole or outcome)]
        found += [Finding(role, "order", text) for text in trail.order_faults(outcome)]
    found += [Finding(role, "weaken", text) for text in undeclared(run.plan.request, outcome)]
    found += [Finding(role, "expectation", text) for text in comparison.differences(expect, outcome)]
    if not is_host_weakened(run):
        found += [Finding(role, "trail", text) for text in trail.differences(expect.trail, outcome)]
    if role == "attempt" and scenario.breakout:
        refusal = refusal_seen(scenario.breakout.refusal, outcome)
        found += [Finding(role, "refusal", refusal)] if refusal else []
    return found


def is_host_weakened(run: Run) -> bool:
    """Whether a control of the host is taken away on purpose: its record then differs from its verdict by intent."""
    positive = run.plan.role == "positive" and bool(run.plan.request.weaken & frozenset(weaken.HOST_CONTROLS))
    return positive or run.plan.overridden


def undeclared(request: Request, outcome: Outcome) -> list[str]:
    """A weakened VM says so in the record, a full-strength one says nothing: neither passes for the other."""
    asked = sorted(request.weaken)
    acquired = [event for event in outcome.events if event["type"] == "vm_event.ACQUIRED"]
    said = [sorted(event["data"].get("weakened", ())) for event in acquired]
    return [f"vm_event.ACQUIRED declares {names} as taken away, asked was {asked}" for names in said if names != asked]


def _breakout(scenario: Scenario, runs: Sequence[Run], findings: Sequence[Finding], blind: frozenset[Sight]) -> Ruling:
    attempt = next(run for run in runs if run.plan.role == "attempt")
    return rule_breakout(findings, frozenset(run.plan.role for run in runs), _got_through(scenario, attempt, blind))


def rule_breakout(findings: Sequence[Finding], made: frozenset[Role], got_through: bool) -> Ruling:  # noqa: FBT001 - one of two facts
    """The ruling of a break-out attempt from its findings, the runs that were made, and whether it got through."""

    def found(kinds: frozenset[Kind], *roles: Role) -> bool:
        return any(finding.kind in kinds and finding.role in roles for finding in findings)

    everyone: tuple[Role, ...] = ("attempt", "positive", "twin")
    as_expected = [role for role in everyone if not found(frozenset({"expectation"}), role)]
    missing: frozenset[Kind] = frozenset({"unmeasured"})
    disagrees = found(_DISAGREES, *everyone) or found(frozenset({"trail"}), *as_expected)
    tried = {role for role in made if not found(missing, role)}
    ladder: tuple[tuple[bool, Ruling], ...] = (
        (found(frozenset({"alarm"}), *everyone) or got_through, "ESCAPED"),
        (found(missing, "attempt"), "UNMEASURED"),
        (disagrees or found(frozenset({"refusal", "expectation"}), "attempt"), "DIVERGENT"),
        (found(frozenset({"expectation"}), "positive"), "VACUOUS"),
        (found(frozenset({"expectation"}), "twin"), "OVER_REFUSED"),
        (tried != set(everyone), "UNMEASURED"),
    )
    return next((ruling for holds, ruling in ladder if holds), "BLOCKED")


def _got_through(scenario: Scenario, attempt: Run, blind: frozenset[Sight]) -> bool:
    """Whether the attempt did what it was out for, by the probe's own word or by looking like the positive control."""
    if attempt.outcome is None or "word" in blind:
        return False
    succeeded = scenario.positive is not None and comparison.looks_like(scenario.positive.expect, attempt.outcome)
    return says_escaped(attempt.outcome) or succeeded


def rule_plain(findings: Sequence[Finding]) -> Ruling:
    """The ruling of a drill that is no break-out attempt."""
    kinds = {finding.kind for finding in findings}
    if "alarm" in kinds:
        return "ESCAPED"
    if "unmeasured" in kinds:
        return "UNMEASURED"
    if kinds & _DISAGREES or ("trail" in kinds and "expectation" not in kinds):
        return "DIVERGENT"
    return "FAILED" if kinds else "PASSED"

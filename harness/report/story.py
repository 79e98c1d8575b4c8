"""A drill told to its reviewer in a few lines of Markdown: what was attempted, what stopped it, why to believe that.

Built of names the project defines (rulings, codes, controls, signals), each as code: nothing a guest wrote is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from executor.outcome import Outcome
from harness import schema
from harness.document.expect import Refusal
from harness.document.procedure import Procedure
from harness.document.scenario import Scenario
from harness.judgement.facts import REFUSAL
from harness.judgement.judge import Judgement
from harness.judgement.probe import refusal_seen, reports, signal_name
from harness.judgement.runs import Run
from harness.report.escape import visible


def story(scenario: Scenario, runs: Sequence[Run], judgement: Judgement) -> str:
    """The description of a scenario's page."""
    return "\n\n".join([scenario.description, "\n".join(f"- {line}" for line in _lines(scenario, runs, judgement))])


def of_procedure(procedure: Procedure, facts: Mapping[str, Mapping[str, Any] | None], judgement: Judgement) -> str:
    """The description of a procedure's page; `facts`: what was observed in each call that was made, by its role."""
    return "\n\n".join(
        [procedure.description, "\n".join(f"- {line}" for line in _procedure_lines(procedure, facts, judgement))]
    )


def _procedure_lines(
    procedure: Procedure, facts: Mapping[str, Mapping[str, Any] | None], judgement: Judgement
) -> Iterator[str]:
    yield f"**What was done**: {_code(procedure.called.name)}: {procedure.called.summary}"
    breakout = procedure.breakout
    if breakout:
        meaning = dict(schema.choices("class"))[breakout.class_]
        yield f"**Attempted**: {_code(breakout.mechanism)}, {meaning} (class {breakout.class_})"
        seen = facts.get("attempt")
        told = "nothing was seen" if seen is None else f"seen: {_code(str(seen.get(REFUSAL)) or 'it got through')}"
        yield f"**Must be stopped by**: {_refusal(breakout.refusal)}; {told}"
    calls = {"positive": ("Proof that the check can fail", procedure.positive)}
    calls["twin"] = ("Proof that it does not refuse too much", procedure.twin)
    for role, (title, call) in calls.items():
        if call is None or role not in facts:
            continue
        gone = f"without {_codes(sorted(call.weaken))}" if call.weaken else ""
        given = [f"{name} {json.dumps(value)}" for name, value in call.arguments.items()
                 if procedure.attempt.arguments.get(name) != value]  # fmt: skip
        how = ", ".join(one for one in (gone, f"with {_codes(given)}" if given else "") if one)
        observed = facts[role]
        ended = "was not tried" if observed is None else "was refused" if observed.get(REFUSAL) else "got through"
        yield f"**{title}**: {how + ': ' if how else ''}it {ended}"
    yield f"**Ruling**: {judgement.ruling}" + ("" if judgement.good else f", {len(judgement.findings)} finding(s)")


def _lines(scenario: Scenario, runs: Sequence[Run], judgement: Judgement) -> Iterator[str]:
    by_role = {run.plan.role: run for run in runs}
    attempt = by_role["attempt"]
    if scenario.breakout:
        meaning = dict(schema.choices("class"))[scenario.breakout.class_]
        yield f"**Attempted**: {_code(scenario.breakout.mechanism)}, {meaning} (class {scenario.breakout.class_})"
    if scenario.without:
        yield f"**Already gone**: {_codes(sorted(scenario.without))}, in every run: the next layer has to hold alone"
    if attempt.outcome is None:
        yield f"**Not tried**: {_code(attempt.unmeasured)}"
    else:
        yield f"**Decision**: {_decision(attempt.outcome)}"
        yield f"**What became of it**: {_effect(attempt.outcome, shared=scenario.member is not None)}"
    if scenario.breakout:
        yield f"**Must be stopped by**: {_refusal(scenario.breakout.refusal)}{_seen(scenario, attempt)}"
    if positive := by_role.get("positive"):
        gone = _codes(sorted(positive.plan.request.weaken))
        yield f"**Proof that the check can fail**: without {gone} the same bytes ended as {_ended(positive)}"
    if twin := by_role.get("twin"):
        yield f"**Proof that it does not refuse too much**: the harmless twin ended as {_ended(twin)}"
    yield f"**Ruling**: {judgement.ruling}" + ("" if judgement.good else f", {len(judgement.findings)} finding(s)")


def _decision(outcome: Outcome) -> str:
    codes = [str(reason.get("code")) for reason in outcome.decision.get("reasons", ())]
    risk = outcome.decision.get("risk") or {}
    told = f"{_code(outcome.verdict)}" + (f" for {_codes(codes)}" if codes else "")
    return told + (f"; risk {risk['score']} ({risk.get('band', '')})" if "score" in risk else "")


def _effect(outcome: Outcome, *, shared: bool) -> str:
    told = _code(outcome.effect)
    if outcome.reasons:
        told += f" for {_codes(outcome.reasons)}"
    if outcome.results:
        last = outcome.results[-1]
        ended = f"signal {signal_name(last.signal)}" if last.signal else f"exit code {last.exit_code}"
        told += f"; the last command {_code(last.cause)}, {ended}"
    refusals = [event["type"] for event in outcome.events if str(event["type"]).endswith(_REFUSING)]
    record = "the batch's record says" if shared else "on record as"
    return told + (f"; {record} {_codes(dict.fromkeys(refusals))}" if refusals else "")


_REFUSING = (".DENIED", ".REJECTED", ".KILLED", ".TIMEOUT", ".BREACH", ".VIOLATION", ".ABORTED")


def _refusal(refusal: Refusal) -> str:
    return f"{refusal.kind} {_code(refusal.value)}"


def _seen(scenario: Scenario, attempt: Run) -> str:
    """Whether it was stopped by exactly that; else what was seen instead."""
    if attempt.outcome is None or scenario.breakout is None:
        return ""
    other = refusal_seen(scenario.breakout.refusal, attempt.outcome)
    return ", and exactly that was seen" if other is None else f"; but {_code(other)}"


_WORDS: Final = frozenset({"escaped", "fine", "wrote", "errno", "absent"})
"""Words of the probe protocol: what is quoted of a guest's output here is one of these."""


def _ended(run: Run) -> str:
    if run.outcome is None:
        return f"nothing: {_code(run.unmeasured)}"
    said = [word for word, _ in reports(run.outcome) if word in _WORDS]
    return _code(run.outcome.effect) + (f", and the probe said {_codes(dict.fromkeys(said))}" if said else "")


def _codes(values: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(_code(value) for value in values)


def _code(value: str) -> str:
    """As code, in which Markdown means nothing; a backtick would end it."""
    return f"`{visible(str(value)).replace('`', chr(39))}`"

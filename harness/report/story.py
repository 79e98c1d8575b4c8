"""A drill told to its reviewer in a few lines of Markdown: what was attempted, what stopped it, why to believe that.

Built of names the project defines (rulings, codes, controls, signals), each as code: nothing a guest wrote is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from executor.outcome import Outcome
from harness import schema
from harness.document.scenario import Scenario
from harness.judgement.judge import Judgement
from harness.judgement.probe import signal_name
from harness.judgement.runs import Run
from harness.report.escape import visible


def story(scenario: Scenario, runs: Sequence[Run], judgement: Judgement) -> str:
    """The description of a scenario's page."""
    return "\n\n".join([scenario.description, "\n".join(f"- {line}" for line in _lines(scenario, runs, judgement))])


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
        yield f"**What became of it**: {_effect(attempt.outcome)}"
    if scenario.breakout:
        yield f"**Must be stopped by**: {scenario.breakout.refusal.kind} {_code(scenario.breakout.refusal.value)}"
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


def _effect(outcome: Outcome) -> str:
    told = _code(outcome.effect)
    if outcome.reasons:
        told += f" for {_codes(outcome.reasons)}"
    if outcome.results:
        last = outcome.results[-1]
        ended = f"signal {signal_name(last.signal)}" if last.signal else f"exit code {last.exit_code}"
        told += f"; the last command {_code(last.cause)}, {ended}"
    refusals = [event["type"] for event in outcome.events if str(event["type"]).endswith(_REFUSING)]
    return told + (f"; on record as {_codes(dict.fromkeys(refusals))}" if refusals else "")


_REFUSING = (".DENIED", ".REJECTED", ".KILLED", ".TIMEOUT", ".BREACH", ".VIOLATION", ".ABORTED")


def _ended(run: Run) -> str:
    return _code(run.outcome.effect) if run.outcome else f"nothing: {_code(run.unmeasured)}"


def _codes(values: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(_code(value) for value in values)


def _code(value: str) -> str:
    """As code, in which Markdown means nothing; a backtick would end it."""
    return f"`{visible(str(value)).replace('`', chr(39))}`"

"""A failure in words: the YAML lines, the resolved values, the decision's reasons, the trail, the guest's stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator

from executor.outcome import Outcome
from harness.document.drill import AnyDrill
from harness.document.scenario import Scenario
from harness.judgement.judge import Judgement
from harness.judgement.runs import Run
from harness.report.escape import TAIL, guest_text, visible


def explain(scenario: Scenario, runs: tuple[Run, ...], judgement: Judgement) -> str:
    """The whole failure message; all text from a guest or a policy is escaped."""
    return "\n".join(_lines(scenario, runs, judgement))


def opening(drill: AnyDrill, judgement: Judgement) -> Iterator[str]:
    """How every failure begins, whatever was drilled: the ruling, what was found, the document's lines."""
    yield f"{judgement.ruling}: {drill.id} - {drill.title}"
    for finding in judgement.findings:
        yield f"  {visible(str(finding))}"
    yield ""
    yield f"{drill.place.file}:{drill.place.line}"
    for number, line in enumerate(drill.text.splitlines(), drill.place.line):
        yield f"  {number:>4} | {visible(line)}"


def _lines(scenario: Scenario, runs: tuple[Run, ...], judgement: Judgement) -> Iterator[str]:
    yield from opening(scenario, judgement)
    concerned = {finding.role for finding in judgement.findings} or {"attempt"}
    for run in runs:
        if run.plan.role in concerned:
            yield ""
            yield from _run(run)


def _run(run: Run) -> Iterator[str]:
    request = run.plan.request
    yield f"{run.plan.role}: intent {request.intent.intent_id}"
    for command in request.attempt or request.intent.commands:
        yield visible(f"  runs        {json.dumps(list(command.argv))} in {command.cwd}")
    yield f"  requester   {visible(request.intent.requester)}, phase {request.intent.phase}"
    yield f"  asks for    {visible(', '.join(request.intent.capabilities))}; approved by {', '.join(request.approvals)}"
    if request.weaken:
        yield f"  weakened    {', '.join(sorted(request.weaken))}"
    for alarm in run.alarms:
        yield f"  ALARM       {visible(alarm)}"
    if run.outcome is None:
        yield f"  not tried   {visible(run.unmeasured)}"
        return
    yield from _outcome(run.outcome)


def _outcome(outcome: Outcome) -> Iterator[str]:
    yield f"  verdict     {outcome.verdict}"
    for reason in outcome.decision.get("reasons", ()):
        yield visible(f"    {reason.get('code')}: {reason.get('msg')} Remedy: {reason.get('remedy')}")
    yield f"  reasons     {visible(', '.join(outcome.reasons)) or 'none'}"
    yield f"  effect      {outcome.effect} on engine {outcome.engine}"
    if outcome.message:
        yield f"  message     {visible(outcome.message)}"
    for number, result in enumerate(outcome.results):
        yield (
            f"  command {number}   {result.cause}, exit code {result.exit_code}, signal {result.signal},"
            f" {result.duration_ns / 1e6:.0f} ms"
        )
        for name, raw in (("stdout", result.stdout), ("stderr", result.stderr)):
            for line in guest_text(raw, tail=TAIL).splitlines():
                yield f"    {name} | {line}"
    yield "  events"
    for event in outcome.events:
        yield visible(f"    {event.get('seq', '?'):>5} {event['type']:<24} {event.get('actor', ''):<6} {_data(event)}")


def _data(event: dict[str, object]) -> str:
    text = json.dumps(event.get("data", {}), sort_keys=True, ensure_ascii=True, default=str)
    return text if len(text) <= 160 else f"{text[:157]}..."

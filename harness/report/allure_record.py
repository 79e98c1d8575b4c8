"""What a reviewer finds in the Allure report of one scenario: labels, steps, attachments. Guest text is escaped.

Without `--alluredir` nobody listens, and every call here does nothing: to find a report's words takes as long as to
judge. Text attachments only: Allure shows them as text, and nothing a guest printed becomes markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import allure
from allure_commons import plugin_manager
from allure_commons.types import AttachmentType

from executor.outcome import Outcome
from harness.document.drill import AnyDrill
from harness.document.procedure import Procedure
from harness.document.scenario import Scenario
from harness.judgement.judge import Judgement
from harness.judgement.runs import Role, Run
from harness.report import plot
from harness.report.escape import guest_text, visible
from harness.report.probe_source import source_of
from harness.report.story import of_procedure, story

_DYNAMIC: Final[Any] = allure.dynamic  # the package has no annotations
OUTPUT: Final = 100_000
"""Characters of one stream kept in the report."""
TABLE: Final = "entry number name answer"
"""The first line of what scenarios/seccomp/truth_table.py prints."""
_ROW: Final = re.compile(r"(x86_64|i386|x32|with) (?:([0-9-]+) )?(?:([\w(),|-]+) )?(\w+)", re.ASCII)
"""One of its rows: by which entry (or `with` arguments), number or numbers, name, answer."""
ROLES: Final[dict[Role, str]] = {
    "attempt": "the attempt",
    "positive": "positive control: the same in a weakened VM",
    "twin": "harmless twin",
}
"""What each run is to the reader."""


def wanted() -> bool:
    """Whether a report is being made: whether anybody takes attachments."""
    return bool(plugin_manager.hook.attach_data.get_hookimpls())


def describe(scenario: AnyDrill) -> None:
    """Title, labels and the one parameter that keeps the history of scenarios apart."""
    if not wanted():
        return
    _DYNAMIC.title(scenario.title)
    _DYNAMIC.description(scenario.description)
    _DYNAMIC.parameter("scenario", scenario.id)
    _DYNAMIC.epic("Break-out attempts" if scenario.breakout else "Scenarios")
    _DYNAMIC.feature(f"Plan {scenario.plan}" if len(scenario.plan) == 1 else scenario.plan)
    if scenario.breakout:
        _DYNAMIC.story(f"{scenario.breakout.class_}: {scenario.breakout.mechanism}")
        _DYNAMIC.label("mechanism", scenario.breakout.mechanism)
    allure.attach(visible(scenario.text), "scenario", AttachmentType.YAML)
    if code := source_of(scenario):
        allure.attach(visible(code), "its code", AttachmentType.TEXT)


def attach(
    scenario: Scenario, runs: tuple[Run, ...], judgement: Judgement, explanation: str, *, shared: bool = False
) -> None:
    """The story, one step for each run with its stages inside, then the judge's.

    `shared`: the runs are another scenario's, of the same batch, which has their documents: here is the scenario's own
    part of them.
    """
    if not wanted():
        return
    _DYNAMIC.description(story(scenario, runs, judgement))
    for run in runs:
        with allure.step(ROLES[run.plan.role]):
            if run.lost:
                allure.attach(visible(run.lost), "an earlier try that was lost", AttachmentType.TEXT)
            if run.outcome is None:
                allure.attach(visible(run.unmeasured), "not tried", AttachmentType.TEXT)
            else:
                _outcome(run, run.outcome, shared=shared)
    if shared and scenario.member:
        first = f"the first scenario of the batch {scenario.member.batch} has their decision, lease and events in full"
        allure.attach(visible(f"These runs are shared: {first}."), "shared runs", AttachmentType.TEXT)
    judged(judgement, explanation)


def tell(procedure: Procedure, facts: Mapping[str, Mapping[str, Any] | None], judgement: Judgement) -> None:
    """The story of a procedure; `facts` by role."""
    if not wanted():
        return
    _DYNAMIC.description(of_procedure(procedure, facts, judgement))


def judged(judgement: Judgement, explanation: str) -> None:
    """The judge's step."""
    if not wanted():
        return
    with allure.step(f"judge: {judgement.ruling}"):
        findings = "\n".join(map(str, judgement.findings)) or "verdict, effect and events agree; nothing escaped"
        allure.attach(visible(findings), "findings", AttachmentType.TEXT)
        if explanation:
            allure.attach(explanation, "explanation", AttachmentType.TEXT)


def _outcome(run: Run, outcome: Outcome, *, shared: bool) -> None:
    with allure.step(f"decision: {outcome.verdict}{_reasons(outcome)}"):
        if not shared:
            _json("decision", outcome.decision)
    with allure.step(f"lease: {outcome.lease['lease_id']}" if outcome.lease else "lease: none"):
        if outcome.lease and not shared:
            _json("lease", outcome.lease)
    with allure.step(f"run: {outcome.effect} on {outcome.engine}"):
        if run.plan.request.weaken:
            allure.attach(", ".join(sorted(run.plan.request.weaken)), "controls taken away", AttachmentType.TEXT)
        for number, result in enumerate(outcome.results):
            ended = f"{result.cause}, exit code {result.exit_code}, signal {result.signal}"
            with allure.step(visible(f"command {number}: {json.dumps(list(result.argv))[:200]}: {ended}")):
                allure.attach(guest_text(result.stdout, tail=OUTPUT), "stdout", AttachmentType.TEXT)
                allure.attach(guest_text(result.stderr, tail=OUTPUT), "stderr", AttachmentType.TEXT)
                if table := _table(result.stdout):
                    allure.attach(table, "seccomp truth table", AttachmentType.CSV)
        if (picture := plot.resources(outcome.samples)) and not shared:
            allure.attach(picture, "resources", AttachmentType.SVG)
        for alarm in run.alarms:
            allure.attach(visible(alarm), "ALARM", AttachmentType.TEXT)
    with allure.step(f"record: {len(outcome.events)} events"):
        allure.attach("\n".join(event_line(event) for event in outcome.events), "event trail", AttachmentType.TEXT)
        if shared:
            return
        _json("events", list(outcome.events))
        stages = "\n".join(
            f"{stage.duration_ns / 1e6:10.1f} ms  {stage.side:<5} {stage.name}" for stage in outcome.stages
        )
        allure.attach(stages, "timings", AttachmentType.TEXT)


def _table(stdout: bytes) -> str:
    """The truth table of system calls as CSV, which Allure shows as a table; empty for any other output."""
    text = guest_text(stdout)
    if not text.startswith(TABLE):
        return ""
    # Only rows of its own kind: whoever opens the file in a spreadsheet must not meet a formula of the guest's.
    rows = [TABLE.split(" "), *(found.groups("") for line in text.splitlines() if (found := _ROW.fullmatch(line)))]
    return "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)


def _reasons(outcome: Outcome) -> str:
    """The codes of a decision's reasons, and why it was refused in the end."""
    codes = dict.fromkeys([*(str(one.get("code")) for one in outcome.decision.get("reasons", ())), *outcome.reasons])
    return visible(f" ({', '.join(codes)})") if codes else ""


def _json(name: str, value: Any) -> None:
    allure.attach(json.dumps(value, indent=2, sort_keys=True, default=str), name, AttachmentType.JSON)


def event_line(event: Mapping[str, Any]) -> str:
    """One event on one line."""
    return visible(f"{event.get('seq', ''):>6}  {event.get('ts', ''):<28} {event['type']:<26} {event.get('actor', '')}")

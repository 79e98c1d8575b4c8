"""A batch document parsed into one scenario for each of its attempts (format: harness/schema/breakouts.schema.json)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from executor.intent import Command, Intent
from harness.document import batch
from harness.document.expect import Refusal
from harness.document.scenario import Breakout, Checker, Positive, Scenario, Twin
from harness.document.strict_yaml import Document
from harness.document.validate import problems as schema_problems
from harness.errors import ScenarioError

KIT: Final = Path(__file__).with_name("probe_kit.py")
ENGINES: Final = ("kvm", "tcg", "sim")
_RUN: Final = ("python3", "/workspace/kit.py")


def parse(document: Document, lines: list[str], folder: Path) -> list[Scenario]:
    """The scenarios of a batch; raises `ScenarioError` with every mistake."""
    if found := schema_problems(document):
        raise ScenarioError(found)
    raw: dict[str, Any] = document.value
    tried = [entry for entry in raw["attempts"] if "unmeasured" not in entry]
    names = tuple(entry["mechanism"] for entry in tried)
    checker = Checker(document)
    for number, entry in enumerate(raw["attempts"]):
        checker.refusal(("attempts", number, "refusal", "signal"), entry["refusal"].get("signal"))
    if double := sorted({name for name in names if names.count(name) > 1}):
        checker.add(("attempts",), f"tried twice: {', '.join(double)}")
    intent = _intent(raw, names, checker, folder)
    if checker.found or intent is None:
        raise ScenarioError(checker.found)
    twin = Twin((Command((*_RUN, "twin", *names)),), None, batch.twin_expect())
    engines = {entry["engine"]: entry["reason"] for entry in raw.get("unmeasured", ())}
    scenarios = []
    for number, entry in enumerate(raw["attempts"]):
        ((kind, value),) = entry["refusal"].items()
        refusal = Refusal(kind, value)
        first = document.place_of(("attempts", number))
        last = document.place_of(("attempts", number + 1)) if number + 1 < len(raw["attempts"]) else None
        end = last.line - 1 if last and last.line > first.line else document.last_line
        scenarios.append(
            Scenario(
                id=f"{raw['class'].lower()}-{entry['mechanism']}",
                title=entry["title"],
                plan="escapes",
                description=raw["description"].strip(),
                intent=intent,
                expect=batch.attempt_expect(refusal),
                place=first,
                text="\n".join(lines[first.line - 1 : end]),
                tags=tuple(raw.get("tags", ())),
                breakout=Breakout(raw["class"], entry["mechanism"], refusal),
                positive=Positive(frozenset(raw["weaken"]), batch.positive_expect()),
                twin=twin,
                without=frozenset(raw.get("without", ())),
                notices=frozenset(raw.get("notices", ())),
                unmeasured=dict.fromkeys(ENGINES, entry["unmeasured"])
                if "unmeasured" in entry
                else {**engines, **entry.get("unmeasured_on", {})},
                member=batch.Member(raw["id"], entry["mechanism"], names),
            )
        )
    return scenarios


def _intent(raw: dict[str, Any], names: tuple[str, ...], checker: Checker, folder: Path) -> Intent | None:
    """The batch's intent: the runner, the probes, and one command that tries them all."""
    given = raw["intent"]
    files = [
        {"path": "/workspace/probes.py", "source": raw["probes"]},
        *given.get("files", ()),
    ]
    intent = checker.intent({**given, "files": files, "commands": [{"argv": [*_RUN, "attempt", *names]}]}, folder)
    if intent is None:
        return None
    kit = replace(intent.files[0], path="/workspace/kit.py", content=KIT.read_bytes())
    return replace(intent, files=(kit, *intent.files))

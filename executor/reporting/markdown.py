"""A run's report as Markdown. Every value is a code span or a code block: nothing in it is read as markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from executor.reporting.document import MAX_OUTPUT
from executor.reporting.text import block, code

MAX_DATA: Final = 300
"""Characters of an event's data in the trail; the JSON form has all of it."""


def run_markdown(report: Mapping[str, Any]) -> str:
    """The Markdown form of `document.build`'s values."""
    reasons = report["decision"].get("reasons") or []
    parts = [
        f"# Run {code(report['intent_id'])}",
        table(("", ""), [(name, code(report[key])) for name, key in HEADLINE]),
        f"Reasons: {', '.join(map(code, report['reasons'])) or 'none'}",
        *([block(report["message"], MAX_OUTPUT)] if report["message"] else []),
        "## Decision",
        table(("code", "what", "remedy"), [[code(one.get(key, "")) for key in _REASON] for one in reasons])
        if reasons
        else "Allowed by: " + (", ".join(code(_grant(one)) for one in report["decision"].get("grants") or []) or "-"),
        *_risk(report["decision"].get("risk") or {}),
        "## Lease",
        block(dumped(report["lease"])) if report["lease"] else "No lease was issued.",
        "## Commands",
        *_commands(report["results"]),
        "## Resources",
        _resources(report["samples"]),
        "## Changes",
        table(("path", "change", "expected"), [_change(one) for one in report["changes"]]) or "None recorded.",
        table(("collected file", "bytes", "refused"), [_file(one) for one in report["files"]]),
        "## Trail",
        table(("seq", "time", "event", "actor", "data"), [_event(one) for one in report["trail"]]),
        "## Time",
        table(("stage", "where", "ms"), [_stage(one) for one in report["stages"]]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


HEADLINE: Final = (
    ("verdict", "verdict"),
    ("effect", "effect"),
    ("engine", "engine"),
    ("machine", "vm_id"),
    ("lease", "lease_id"),
)
_REASON: Final = ("code", "msg", "remedy")


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; empty when there is no row. Cells are Markdown already."""
    body = [" | ".join(map(str, row)) for row in rows]
    if not body:
        return ""
    rule = " | ".join("---" for _ in heading)
    return "\n".join(f"| {row} |" for row in (" | ".join(heading), rule, *body))


def dumped(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def milliseconds(nanoseconds: int) -> str:
    """Nanoseconds as milliseconds with two places."""
    return f"{nanoseconds / 1e6:.2f}"


def _grant(grant: Any) -> str:
    return f"{grant.get('kind')} {grant.get('name')} ({grant.get('by')})" if isinstance(grant, Mapping) else str(grant)


def _risk(risk: Mapping[str, Any]) -> list[str]:
    if not risk:
        return []
    factors = ", ".join(code(f"{one.get('name')} {one.get('points')}") for one in risk.get("factors") or [])
    return [f"Risk: {code(risk.get('score'))} {code(risk.get('band'))} {factors}"]


def _commands(results: Sequence[Mapping[str, Any]]) -> list[str]:
    if not results:
        return ["Nothing ran."]
    parts = []
    for number, result in enumerate(results, 1):
        end = f"{result['cause']}, exit code {result['exit_code']}, signal {result['signal']}"
        parts.append(f"{number}. {code(' '.join(result['argv']), MAX_DATA)}: {code(end)}, "
                     f"{milliseconds(result['duration_ns'])} ms")  # fmt: skip
        said = [(name, result[name]) for name in ("stdout", "stderr") if result[name]["bytes"]]
        parts += [f"{name}, {stream['bytes']} bytes:\n\n{block(stream['text'])}" for name, stream in said]
    return parts


def _resources(samples: Sequence[Mapping[str, int]]) -> str:
    names = sorted({name for sample in samples for name in sample} - {"at_ms"})
    rows = [(code(name), max(sample.get(name, 0) for sample in samples), samples[-1].get(name, 0)) for name in names]
    return table(("figure", "highest", "last"), rows) or "No samples: nothing ran long enough."


def _change(change: Mapping[str, Any]) -> tuple[str, str, str]:
    return code(change["path"]), change["kind"], "yes" if change["expected"] else "NO"


def _file(file: Mapping[str, Any]) -> tuple[str, str, str]:
    return code(file["path"]), str(file["bytes"]), code(file["refused"])


def _event(event: Mapping[str, Any]) -> tuple[str, ...]:
    data = json.dumps(event["data"], sort_keys=True, ensure_ascii=False) if event["data"] else ""
    return str(event["seq"]), code(event["ts"]), code(event["type"]), code(event["actor"]), code(data, MAX_DATA)


def _stage(stage: Mapping[str, Any]) -> tuple[str, str, str]:
    return code(stage["name"]), stage["side"], milliseconds(stage["duration_ns"])

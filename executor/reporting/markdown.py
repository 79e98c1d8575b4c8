"""A run's report as Markdown. Every value is a code span or a code block: nothing in it is read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from executor.reporting.document import MAX_OUTPUT, Said, in_words
from executor.reporting.text import block, code, code_all

MAX_DATA: Final = 300
"""Characters of an event's data in the trail; the JSON form has all of it."""


def run_markdown(report: Mapping[str, Any], said: Said | None = None) -> str:
    """The Markdown form of `document.build`'s values; `said`: its JSON in words, where that is at hand."""
    said = said or in_words(report)
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
        block(said.lease) if report["lease"] else "No lease was issued.",
        "## Commands",
        *_commands(report["results"]),
        "## Resources",
        _resources(report["samples"]),
        "## Changes",
        table(("path", "change", "expected"), [_change(one) for one in report["changes"]]) or "None recorded.",
        table(("collected file", "bytes", "refused"), [_file(one) for one in report["files"]]),
        "## Trail",
        table(("seq", "time", "event", "actor", "data"), _trail(report["trail"], said.data)),
        "## Time",
        table(("stage", "where", "ms"), _stages(report["stages"])),
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


def _trail(events: Sequence[Mapping[str, Any]], data: Sequence[str]) -> Iterable[tuple[object, ...]]:
    said = (code_all(one[name] for one in events) for name in ("ts", "type", "actor"))
    return zip((one["seq"] for one in events), *said, code_all(data, MAX_DATA), strict=True)


def _stages(stages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    names = code_all(one["name"] for one in stages)
    return [(name, one["side"], milliseconds(one["duration_ns"])) for name, one in zip(names, stages, strict=True)]

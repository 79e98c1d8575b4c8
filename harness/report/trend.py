"""The trend: a line for each run of the drills, kept between runs, so that a report shows how it went before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from executor.clock import Clock, rfc3339
from harness.report.whole_file import write_text

FILE: Final = "trend.jsonl"
KEPT: Final = 200
"""Lines kept; the page shows the last ones."""


def line_of(summary: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """What is remembered of a run."""
    svf = summary["svf"]
    return {
        "at": rfc3339(clock.now_ns()),
        "engine": summary["engine"],
        "scenarios": summary["scenarios"],
        "attempts": {name: summary["attempts"][name] for name in ("total", "distinct", "blocked", "escaped")},
        "transitions": [svf["transitions_covered"], svf["transitions_total"]],
        "types": [svf["types_covered"], svf["types_total"]],
        "sabotage": [summary["sabotage"]["caught"], summary["sabotage"]["controls"]],
        "duration_s": summary["duration_s"],
        "policy": summary["digests"].get("policy", ""),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The lines in `path`, oldest first; what is no line of ours is passed over: the trend is a help, no evidence."""
    found = []
    if path.exists():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                raw = json.loads(text)
                line = {**raw, "duration_s": float(raw["duration_s"]), "at": str(raw["at"])}
                if (
                    all(len(raw[name]) == 2 for name in ("transitions", "types", "sabotage"))
                    and raw["scenarios"]["total"]
                ):
                    found.append(line)
            except (ValueError, KeyError, TypeError):
                continue
    return found


def write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Keep the last lines, whole or not at all."""
    write_text(path, "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in list(lines)[-KEPT:]))

"""A comparison as it is kept: build/drills/conformance.json, written whole or not at all, read strictly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from harness.conform.run import Compared, Report
from harness.errors import ReportError
from harness.report.whole_file import read_json, write_json

SCHEMA: Final = "cordon.conformance/1"
FILE: Final = Path("build/drills/conformance.json")


def to_json(report: Report) -> dict[str, Any]:
    """The whole report, JSON-like."""
    return {
        "schema": SCHEMA,
        "engine": report.engine,
        "scenarios": {
            "total": len(report.compared),
            "equal": report.count("EQUAL"),
            "divergent": report.count("DIVERGENT"),
            "stale": report.count("STALE"),
            "unmodelled": report.count("UNMODELLED"),
            "unmeasured": report.count("UNMEASURED"),
            "procedures": report.count("PROCEDURE"),
            "unrecorded": report.unrecorded,
            "modelled_percent": round(report.modelled_percent, 2),
        },
        "generated": {
            "compared": len(report.generated),
            "divergent": sum(1 for one in report.generated if one.state == "DIVERGENT"),
            "unmodelled": sum(1 for one in report.generated if one.state == "UNMODELLED"),
            "left_out": report.left_out,
        },
        "compared": [one.to_json() for one in (*report.compared, *report.generated)],
    }


def merged(raws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Parts of one comparison, of recorded scenarios, as one. Raises `ReportError` for different engines."""
    engines = sorted({str(raw["engine"]) for raw in raws})
    if len(engines) != 1:
        raise ReportError(f"comparisons with {', '.join(engines) or 'no engine'} are no one comparison")
    whole = Report(engines[0])
    for raw in raws:
        whole.compared += [Compared(one["id"], one["state"], tuple(one["why"])) for one in raw["compared"]]
    compared = sorted(whole.compared, key=lambda one: one.id)
    if twice := sorted({one.id for one, other in pairwise(compared) if one.id == other.id}):
        raise ReportError(f"compared twice: {', '.join(twice[:5])}")
    whole.compared = compared
    return to_json(whole)


def figures(raw: dict[str, Any], *, bar: int) -> dict[str, Any]:
    """What the summary of the drills says of a comparison: counts, the share, and what is wrong by name.

    `bar`: percent that have to be modelled; 0 for a part of the scenarios.
    """
    counts = {name: value for name, value in raw["scenarios"].items() if name not in {"procedures", "unrecorded"}}
    wrong = {one["id"]: one["why"] for one in raw["compared"] if one["state"] in {"DIVERGENT", "STALE"}}
    return {**counts, "modelled_bar": bar, "wrong": wrong}


def write(path: Path, raw: dict[str, Any]) -> None:
    """Keep a comparison."""
    write_json(path, raw)


def read(path: Path) -> dict[str, Any]:
    """A comparison as `to_json` made it; raises `ReportError` for anything else."""
    return read_json(path, SCHEMA, "a comparison")

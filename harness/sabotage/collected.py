"""Rows of the matrix from the records of a run of the drills: the cells that came with it (cells.py).

A row counts a drill only when it was good with the control in place: then only the control differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ReportError
from harness.report import records
from harness.report.records import Record
from harness.sabotage.cells import RED
from harness.sabotage.matrix import Row, controls


@dataclass(frozen=True, slots=True)
class Collected:
    """What a run of the drills has shown."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    """Control -> what every drill that took away just that one came to."""
    good: Mapping[str, bool] = field(default_factory=dict)
    """Drill -> whether its attempt was as it should be with everything in place."""


def of_records(found: Sequence[Record]) -> Collected:
    """The rows and the good drills of `found`."""
    held: dict[str, list[Record]] = {}
    for record in found:
        if record.get("cell"):
            held.setdefault(record["cell"]["control"], []).append(record)
    rows = {name: _row(name, held[name]) for name in controls() if name in held}
    tried = [record for record in found if record["ruling"] != "UNMEASURED"]
    return Collected(rows, {record["id"]: bool(record["good"]) for record in tried})


def collect(path: Path, engine: str, facts: Mapping[str, Any]) -> Collected:
    """What the records in `path` hold; raises `ReportError` when they are of another engine or of other digests."""
    found, _ = records.read([path])
    engines = {run["engine"] for record in found for run in record["runs"]}
    digests = [record["facts"]["digests"] for record in found if record["facts"].get("digests")]
    if engines - {engine} or any(one != facts.get("digests") for one in digests):
        raise ReportError(f"{path} is of another engine, policy or image: run the drills anew")
    return of_records(found)


def caught(path: Path) -> frozenset[str]:
    """The controls whose absence some drill of the records in `path` noticed. Raises `ReportError`."""
    return frozenset(name for name, row in of_records(records.read([path])[0]).rows.items() if row.caught)


def _row(control: str, held: Sequence[Record]) -> Row:
    kind, what = controls()[control]
    good = [record for record in held if record["good"]]
    red = [record for record in good if record["cell"]["ruling"] in RED]
    finding = f"{red[0]['id']}: {red[0]['cell']['finding']}" if red else "no drill of the run that took it away noticed"
    rulings = {record["id"]: record["cell"]["ruling"] for record in good}
    return Row(control, kind, what, rulings, tuple(record["id"] for record in red), finding, 0.0)

"""What the front page is made of: the files a run of drills leaves in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ReportError
from harness.report import records, trend
from harness.report.faults import faults
from harness.report.records import Record
from harness.sabotage import kept

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the page tells."""

    summary: dict[str, Any]
    records: list[Record]
    sabotage: dict[str, Any] | None
    """The matrix; None when this run made no sweep."""
    trend: list[dict[str, Any]]
    """Earlier runs and this one, oldest first."""
    picture: str
    """The state machines, as SVG of ours."""
    pages: dict[str, str] = field(default_factory=dict)
    """Scenario -> id of its page in Allure's part."""

    @property
    def problems(self) -> list[str]:
        """Why the run is red; empty when it is green."""
        red = [record for record in self.records if not record["good"] and not record["listed"]]
        found = faults(self.summary)
        return [*found, f"{len(red)} scenario(s) did not pass"] if red else found


def read(folder: Path, picture: str) -> Material | None:
    """The material in `folder`; None where no run left a summary. Raises `ReportError` for files that are damaged."""
    path = folder / SUMMARY
    if not path.exists():
        return None
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from None
    known = folder / records.FILE
    swept = folder / kept.FILE.name
    return Material(
        summary,
        records.read([known])[0] if known.exists() else [],
        kept.read(swept) if swept.exists() else None,
        trend.read(folder / trend.FILE),
        picture,
    )

"""The matrix as it is kept: build/drills/sabotage.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.report.whole_file import read_json, write_json

SCHEMA: Final = "cordon.sabotage/1"
FILE: Final = Path("build/drills/sabotage.json")


def write(path: Path, raw: dict[str, Any]) -> None:
    """Keep a matrix."""
    write_json(path, raw)


def read(path: Path) -> dict[str, Any]:
    """A matrix as `to_json` made it; raises `ReportError` for anything else."""
    return read_json(path, SCHEMA, "a sabotage matrix")

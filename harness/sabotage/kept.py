"""The matrix as it is kept: build/drills/sabotage.json, written whole or not at all, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from harness.errors import ReportError

SCHEMA: Final = "cordon.sabotage/1"
FILE: Final = Path("build/drills/sabotage.json")


def write(path: Path, raw: dict[str, Any]) -> None:
    """Write a matrix as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """A matrix as `to_json` made it; raises `ReportError` for anything else."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA:
            raise ReportError(f"{path} is no sabotage matrix of this version")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path} cannot be read as a sabotage matrix: {error}") from None
    return raw

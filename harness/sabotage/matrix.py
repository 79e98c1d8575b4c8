"""The matrix control x scenario: what each scenario came to with each control gone, and whether somebody noticed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from executor import weaken
from harness.errors import ReportError
from harness.sabotage.guards import GUARDS

SCHEMA: Final = "cordon.sabotage/1"
FILE: Final = Path("build/drills/sabotage.json")

Kind = Literal["guest", "host", "harness"]


def controls() -> dict[str, tuple[Kind, str]]:
    """Control -> where it is enforced, and what its absence means; guards of the harness last."""
    found: dict[str, tuple[Kind, str]] = {name: ("guest", what) for name, what in weaken.GUEST_CONTROLS.items()}
    found |= {name: ("host", what) for name, what in weaken.HOST_CONTROLS.items()}
    return found | {name: ("harness", guard.what) for name, guard in GUARDS.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One control."""

    control: str
    kind: Kind
    what: str
    rulings: Mapping[str, str]
    """Scenario -> ruling with the control gone; a good ruling means that it noticed nothing."""
    caught_by: tuple[str, ...]
    """The scenarios that were green with the control and red without it."""
    finding: str
    """What the first of them said; where there is none, why."""
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether anybody noticed."""
        return bool(self.caught_by)


@dataclass(slots=True)
class Matrix:
    """All rows so far, of one state of sources and images."""

    fingerprint: str
    """Of everything a result depends on: rows of another one are not taken over."""
    engine: str
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """Controls whose absence nobody noticed."""
        return [name for name, row in self.rows.items() if not row.caught]

    def figures(self) -> dict[str, int]:
        """`sabotage` of the summary: how many controls there are, and how many of them were missed by somebody."""
        return {"controls": len(controls()), "caught": sum(row.caught for row in self.rows.values())}

    def to_json(self) -> dict[str, Any]:
        """As `sabotage.json` holds it."""
        return {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "engine": self.engine,
            **self.figures(),
            "missed": self.missed,
            "rows": [
                {
                    "control": row.control,
                    "kind": row.kind,
                    "what": row.what,
                    "caught": row.caught,
                    "caught_by": list(row.caught_by),
                    "finding": row.finding,
                    "rulings": dict(row.rulings),
                    "seconds": round(row.seconds, 3),
                }
                for row in self.rows.values()
            ],
        }

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
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


def resumed(path: Path, fingerprint: str, engine: str) -> Matrix:
    """What an earlier, interrupted sweep over the very same sources found; else an empty matrix."""
    matrix = Matrix(fingerprint, engine)
    try:
        raw = read(path)
    except ReportError:
        return matrix
    if (raw["fingerprint"], raw["engine"]) == (fingerprint, engine):
        known = controls()
        matrix.rows = {row.control: row for row in map(_row, raw["rows"]) if row.control in known and row.caught}
    return matrix


def merged(raws: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The first complete matrix of several (each shard's, where each made one), else the one with most caught."""
    return max(raws, key=lambda raw: raw["caught"])


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(
        raw["control"],
        raw["kind"],
        raw["what"],
        raw["rulings"],
        tuple(raw["caught_by"]),
        raw["finding"],
        raw["seconds"],
    )

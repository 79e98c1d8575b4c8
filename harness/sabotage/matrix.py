"""The matrix control x scenario: what each scenario came to with each control gone, and whether somebody noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from executor import weaken
from harness.errors import ReportError
from harness.sabotage.guards import GUARDS
from harness.sabotage.kept import SCHEMA, read, write

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
    wanted: tuple[str, ...]
    """The controls to be tried: all of them, or a shard's part."""
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def missed(self) -> list[str]:
        """Controls whose absence nobody noticed, or that were not tried."""
        return [name for name in self.wanted if name not in self.rows or not self.rows[name].caught]

    def figures(self) -> dict[str, int]:
        """`sabotage` of the summary: how many controls there are, and how many of them were missed by somebody."""
        return {"controls": len(self.wanted), "caught": len(self.wanted) - len(self.missed)}

    def to_json(self) -> dict[str, Any]:
        """As `sabotage.json` holds it."""
        return {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "engine": self.engine,
            **self.figures(),
            "wanted": list(self.wanted),
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
        write(path, self.to_json())


def resumed(path: Path, empty: Matrix) -> Matrix:
    """`empty` with what an earlier, interrupted sweep over the very same sources caught."""
    try:
        raw = read(path)
    except ReportError:
        return empty
    if (raw["fingerprint"], raw["engine"]) != (empty.fingerprint, empty.engine):
        return empty
    known = controls()
    rows = {row.control: row for row in map(_row, raw["rows"]) if row.control in known and row.caught}
    return replace(empty, rows=rows)


def merged(raws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The parts of a sweep as one. Raises `ReportError` for parts of different sources, images or engines."""
    kinds = {(raw["fingerprint"], raw["engine"]) for raw in raws}
    if len(kinds) != 1:
        raise ReportError("the parts of the sabotage sweep are of different sources, images or engines")
    rows = {row["control"]: row for raw in raws for row in raw["rows"]}
    fingerprint, engine = kinds.pop()
    wanted = {name for raw in raws for name in raw["wanted"]}
    return Matrix(
        fingerprint,
        engine,
        tuple(name for name in controls() if name in wanted),
        {name: _row(rows[name]) for name in controls() if name in rows},
    ).to_json()


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

"""Which event types and transitions a run has exercised, over all of its processes: taken from their audit trails.

A trail holds more than the outcomes do: policies loaded, keys made, kill switches, what other tasks left behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.errors import CordonError
from executor.svf import TYPES, machine, read


@dataclass(frozen=True, slots=True)
class Covered:
    """Names of the types and transitions seen; two are joined with `|`."""

    types: frozenset[str] = frozenset()
    transitions: frozenset[str] = frozenset()

    def __or__(self, other: Covered) -> Covered:
        """What either has seen."""
        return Covered(self.types | other.types, self.transitions | other.transitions)

    def to_json(self) -> dict[str, list[str]]:
        """For xdist's channel."""
        return {"types": sorted(self.types), "transitions": sorted(self.transitions)}

    @classmethod
    def from_json(cls, raw: dict[str, list[str]]) -> Covered:
        """What `to_json` wrote."""
        return cls(frozenset(raw["types"]), frozenset(raw["transitions"]))

    def uncovered(self) -> list[str]:
        """Types and transitions that were not seen, in the order of the catalogue and the machines."""
        types = [name for name in TYPES if name not in self.types]
        return types + [str(step) for step in machine.TRANSITIONS if str(step) not in self.transitions]

    def figures(self) -> dict[str, int]:
        """The four figures of the summary."""
        return {
            "types_covered": len(self.types),
            "types_total": len(TYPES),
            "transitions_covered": len(self.transitions),
            "transitions_total": len(machine.TRANSITIONS),
        }


def drawing(covered: Covered) -> str:
    """The state machines as one static SVG, visited and unvisited transitions apart."""
    visited = frozenset(transition for transition in machine.TRANSITIONS if str(transition) in covered.transitions)
    return machine.svg(machine.SuiteCoverage(covered.types, visited))


def attach(covered: Covered, results: Path) -> None:
    """Put the drawing into an Allure results folder, as an attachment of the run as a whole.

    The file's name and shape are those that Allure 3 reads: `*-globals.json` with `attachments`.
    """
    picture = "cordon-state-machines-attachment.svg"
    (results / picture).write_text(drawing(covered), encoding="utf-8")
    entry = {"name": "State machines: visited and unvisited transitions", "source": picture, "type": "image/svg+xml"}
    (results / "cordon-globals.json").write_text(json.dumps({"attachments": [entry], "errors": []}), encoding="utf-8")


def of_events(events: Iterable[Any], *, whole: bool = False) -> Covered:
    """What `events` exercise; `whole`: they begin with the trail itself."""
    seen = machine.suite_coverage(events, whole=whole)
    return Covered(frozenset(seen.types), frozenset(map(str, seen.visited)))


def of_trail(state: Path) -> Covered:
    """What the audit trail in a state folder exercises; nothing when there is no trail or it cannot be read."""
    folder = state / "logs" / "svf_audit"
    try:
        return of_events(read(folder), whole=True) if folder.is_dir() else Covered()
    except CordonError:
        return Covered()  # the trail's own checks report damage; here it only covers nothing

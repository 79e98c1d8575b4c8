"""What changed between two answers to the same question, counted and grouped, with one example for each group."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.replay.bulk import Answer
from harness.replay.records import Row

Direction = Literal["newly-allowed", "newly-denied", "changed"]
"""`changed`: the verdict stays, but reasons, obligations, grants or risk differ."""
DIRECTIONS: Final[tuple[Direction, ...]] = ("newly-allowed", "newly-denied", "changed")
SECTIONS: Final = ("reasons", "obligations", "grants", "risk")
MAX_GROUPS: Final = 2000
"""Groups kept; what is beyond is counted under `OTHER`: codes are few, but actors are the requesters' words."""
OTHER: Final = "(others)"


@dataclass(frozen=True, slots=True)
class Example:
    """One request of a group: the first in the log."""

    where: str
    intent_id: str
    asks: str
    """What was asked for, in a line."""
    input: dict[str, Any]
    before: Answer
    after: Answer


@dataclass(slots=True)
class Group:
    """Requests that changed in the same way: direction, codes and actor are equal."""

    direction: Direction
    codes: tuple[str, ...]
    """newly-allowed: the codes that denied before; newly-denied: those that deny now; changed: `-gone`, `+new`, or the
    sections that differ."""
    actor: str
    example: Example
    count: int = 0


@dataclass(slots=True)
class Tally:
    """The comparison so far."""

    rows: int = 0
    allowed: int = 0
    """Rows the new policies allow."""
    malformed: int = 0
    """Rows the new policies have no well-formed answer for."""
    directions: Counter[Direction] = field(default_factory=Counter)
    groups: dict[tuple[str, tuple[str, ...], str], Group] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)

    def add(self, row: Row, before: Answer, after: Answer) -> None:
        """Compare one pair of answers."""
        self.rows += 1
        self.allowed += after["allow"]
        self.malformed += after.get("verdict") == "malformed"
        if isinstance(digest := before.get("policy_digest"), str) and len(self.digests) < MAX_GROUPS:
            self.digests.add(digest)
        change = compare(before, after)
        if change is None:
            return
        direction, codes = change
        self.directions[direction] += 1
        key = (direction, codes, row.actor)
        if key not in self.groups and len(self.groups) >= MAX_GROUPS:
            key = (direction, (OTHER,), OTHER)
        group = self.groups.get(key)
        if group is None:
            example = Example(row.where, row.intent_id, asks(row.input), row.input, before, after)
            group = self.groups[key] = Group(direction, key[1], key[2], example)
        group.count += 1

    def ordered(self, *directions: Direction) -> list[Group]:
        """Groups of `directions` (all when none is named), newly allowed first, then the largest first."""
        wanted = directions or DIRECTIONS
        chosen = [group for group in self.groups.values() if group.direction in wanted]
        return sorted(chosen, key=lambda g: (DIRECTIONS.index(g.direction), -g.count, g.codes, g.actor))


def compare(before: Answer, after: Answer) -> tuple[Direction, tuple[str, ...]] | None:
    """How the second answer differs from the first; None when it does not. The digest always differs and is left out.

    A section either side does not have (a log with verdicts only, a brief denial) is not compared.
    """
    old, new = codes_of(before), codes_of(after)
    if before["allow"] != after["allow"]:
        return ("newly-allowed", old) if after["allow"] else ("newly-denied", new)
    if old != new and "reasons" in before:
        gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
        return "changed", (*(f"-{code}" for code in gone), *(f"+{code}" for code in come))
    sections = tuple(name for name in SECTIONS if name in before and name in after and not _same(before, after, name))
    return ("changed", sections) if sections else None


def codes_of(answer: Answer) -> tuple[str, ...]:
    """The reason codes, sorted, each once. Codes alone are reasons too: logs may hold them so."""
    reasons = answer.get("reasons")
    found = reasons if isinstance(reasons, list) else []
    return tuple(sorted({str(one.get("code", "?")) if isinstance(one, dict) else str(one) for one in found}))


def _same(before: Answer, after: Answer, name: str) -> bool:
    old, new = before[name], after[name]
    if old == new:
        return True
    if name not in ("reasons", "grants") or not isinstance(old, list) or not isinstance(new, list):
        return False
    return _in_order(old) == _in_order(new)  # sets, which the record may hold in another order


def _in_order(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def asks(document: dict[str, Any]) -> str:
    """What an input asks for, in a line: phase, capabilities, the first program. Takes whatever a log may hold."""
    intent = document.get("intent")
    if not isinstance(intent, dict):
        return "?"
    commands = _items(intent.get("commands"))
    first = commands[0] if commands and isinstance(commands[0], dict) else {}
    words = " ".join(map(str, _items(first.get("argv"))))[:80] or "nothing"
    more = f" and {len(commands) - 1} more" if len(commands) > 1 else ""
    persona = f" as {intent['persona']}" if intent.get("persona") else ""
    capabilities = ", ".join(map(str, _items(intent.get("capabilities")))) or "no capability"
    return f"{intent.get('phase', '?')}{persona}: {words}{more} with {capabilities}"


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

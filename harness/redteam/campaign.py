"""A campaign: rounds on every target in turn until the budget is spent; a journal to go on from; finds as scenarios."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from executor.clock import Clock
from executor.errors import InvalidInputError
from executor.keys.atomic import PUBLIC_MODE, write_atomic
from harness.redteam.rounds import play
from harness.redteam.sandbox import Bounds
from harness.redteam.target import Find, Target, dump

SCHEMA: Final = "cordon.redteam/1"
REGRESSION: Final = Path("scenarios/regression")
_SECOND: Final = 1_000_000_000


@dataclass(slots=True)
class Score:
    """How one target has fared."""

    rounds: int = 0
    """Rounds played with this seed, earlier runs' among them: where the next run goes on."""
    examples: int = 0
    finds: list[Find] = field(default_factory=list)


@dataclass(slots=True)
class Campaign:
    """Rounds on `targets` from one seed. `journal` remembers how far each came; None forgets."""

    targets: Sequence[Target]
    seed: int
    clock: Clock
    journal: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)
    say: Callable[[str], None] = lambda _: None
    scores: dict[str, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up where the journal says; raises `InvalidInputError` for one that is none."""
        before = _read(self.journal, self.seed)
        for target in self.targets:
            far = before.get(target.name, {})
            self.scores[target.name] = Score(far.get("rounds", 0), far.get("examples", 0))

    def run(self, *, seconds: float = 0.0, rounds: int = 0, stopped: Callable[[], bool] = lambda: False) -> None:
        """Play until `seconds` are over, so many rounds of each, or `stopped`; a target with a find is left alone.

        The journal is written after each round: whatever ends this, no round is lost.
        """
        until = self.clock.monotonic_ns() + round(seconds * _SECOND)
        played = 0
        while standing := [target for target in self.targets if not self.scores[target.name].finds]:
            for target in standing:
                if stopped() or (seconds and self.clock.monotonic_ns() >= until):
                    return
                self._play(target)
            played += 1
            if rounds and played >= rounds:
                return

    def _play(self, target: Target) -> None:
        score = self.scores[target.name]
        database = self.journal.parent / "examples" if self.journal else None
        result = play(target, self.seed, score.rounds, bounds=self.bounds, database=database)
        score.rounds += 1
        score.examples += result.examples
        if result.find:
            score.finds.append(result.find)
            self.say(f"{target.name}: {result.find.kind}: {result.find.why}")
        self.say(f"{target.name}: round {score.rounds}, {score.examples} attacks")
        self._write()

    def _write(self) -> None:
        if self.journal is None:
            return
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        far = {name: {"rounds": score.rounds, "examples": score.examples} for name, score in self.scores.items()}
        kept = _read(self.journal, self.seed) | far
        text = json.dumps({"schema": SCHEMA, "seed": self.seed, "targets": kept}, indent=1, sort_keys=True)
        write_atomic(self.journal, f"{text}\n".encode(), PUBLIC_MODE)

    @property
    def finds(self) -> list[Find]:
        """Everything found."""
        return [find for score in self.scores.values() for find in score.finds]


def _read(journal: Path | None, seed: int) -> dict[str, dict[str, int]]:
    """How far each target came with `seed`; nothing for another seed."""
    if journal is None or not journal.exists():
        return {}
    try:
        raw: Any = json.loads(journal.read_text("utf-8"))
        if raw["schema"] != SCHEMA:
            raise InvalidInputError(f"{journal}: schema is {raw['schema']!r}, expected {SCHEMA}")
        found = {
            str(name): {"rounds": int(entry["rounds"]), "examples": int(entry["examples"])}
            for name, entry in raw["targets"].items()
        }
        return found if raw["seed"] == seed else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInputError(f"{journal}: is no journal of the red team; delete it to begin anew") from None


def save(finds: Iterable[Find], folder: Path) -> list[Path]:
    """Write each find as a scenario that replays it: red until what it found is mended, and green ever after."""
    saved = []
    folder.mkdir(parents=True, exist_ok=True)
    for find in finds:
        text = dump(find.attack)
        name = f"redteam-{find.target}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        path = folder / f"{name}.yaml"
        path.write_text(_scenario(name, find, text), encoding="utf-8")
        saved.append(path)
    return saved


def _scenario(name: str, find: Find, attack: str) -> str:
    why = json.dumps(f"The red team found this {find.kind}: {find.why}"[:400])
    return f"""\
# yaml-language-server: $schema=../../harness/schema/procedure.schema.json
schema: cordon.procedure/1
id: {name}
title: {json.dumps(f"The {find.target} holds against a {find.kind} the red team found")}
plan: workflows
description: {why}
procedure: redteam-replay
arguments:
  target: {find.target}
  attack: {json.dumps(attack)}
expect: {{facts: {{held: true, how: ""}}}}
"""

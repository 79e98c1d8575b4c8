"""What an operator proposes (a change), and what is run (a mutant: a change with a place and a stable id)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.mutate.text import Edit, Source


@dataclass(frozen=True, slots=True)
class Change:
    """One operator applied at one place of one file."""

    operator: str
    scope: str
    """The rule or data path that is changed, for people: `cordon.paths.within` or `cordon.network.egress_hosts[0]`."""
    edits: tuple[Edit, ...]
    anchor: str
    """Text around the place that identifies it, whatever else of the file is edited."""
    what: str
    """The change in a few words."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change to run tests against."""

    id: str
    source: Source
    change: Change
    line: int
    last_line: int

    @property
    def place(self) -> str:
        """`file:line`, the file relative to the policy directory."""
        return f"{self.source.path}:{self.line}"

    def text(self) -> str:
        """The whole file as mutated."""
        return self.source.apply(self.change.edits)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "id": self.id,
            "operator": self.change.operator,
            "scope": self.change.scope,
            "file": self.source.path,
            "line": self.line,
            "what": self.change.what,
            "diff": self.source.diff(self.change.edits),
        }


def mutants(source: Source, changes: Iterable[Change]) -> list[Mutant]:
    """`changes` of one file as mutants in file order; of changes that give the same text only the first is kept.

    An id is `scope/operator/8 hex digits`; the digits are of what is changed, into what, and in which surroundings,
    never of a line number, so that an explained survivor stays explained when the file is edited elsewhere.
    """
    ordered = sorted(changes, key=lambda change: (min(change.edits), change.operator, change.edits))
    seen = {source.text}
    counts: Counter[str] = Counter()
    result = []
    for change in ordered:
        text = source.apply(change.edits)
        if text in seen:
            continue
        seen.add(text)
        parts = [source.path, change.operator, change.scope, change.anchor]
        parts += [part for edit in change.edits for part in (source.text[edit.start : edit.end], edit.new)]
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        counts[digest] += 1
        if counts[digest] > 1:  # equal places in equal surroundings are told apart by their order
            digest = hashlib.sha256(f"{digest}{counts[digest]}".encode()).hexdigest()
        start, end = min(edit.start for edit in change.edits), max(edit.end for edit in change.edits)
        # A change that inserts at the end of a line, or removes whole lines, concerns the lines before the break.
        last = end - 1 if end > start and source.text[end - 1 : end] == "\n" else end
        result.append(
            Mutant(
                id=f"{change.scope}/{change.operator}/{digest[:8]}",
                source=source,
                change=change,
                line=source.line(start),
                last_line=source.line(last),
            )
        )
    return result

"""Source text and edits to it: a mutant is its source with a few characters replaced, so that its diff stays small."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace the characters from `start` up to `end` by `new`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a policy directory; `path` is relative to it, with forward slashes."""

    path: str
    text: str
    _starts: list[int] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        self._starts.append(0)
        self._starts.extend(index + 1 for index, char in enumerate(self.text) if char == "\n")

    def offset(self, row: int, column: int) -> int:
        """Position of a row and column as OPA counts them: from 1, in characters."""
        return self._starts[row - 1] + column - 1

    def line(self, offset: int) -> int:
        """The line, from 1, that holds `offset`."""
        return bisect_right(self._starts, offset)

    def line_start(self, offset: int) -> int:
        """Where the line with `offset` begins."""
        return self._starts[self.line(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Where the line with `offset` ends, its line break not included."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end

    def apply(self, edits: Sequence[Edit]) -> str:
        """The text with all `edits` made; they must not overlap."""
        text = self.text
        for edit in sorted(edits, reverse=True):
            text = text[: edit.start] + edit.new + text[edit.end :]
        return text

    def diff(self, edits: Sequence[Edit], *, context: int = 1) -> str:
        """The edits as a unified diff with `context` lines around."""
        lines = difflib.unified_diff(
            self.text.splitlines(keepends=True),
            self.apply(edits).splitlines(keepends=True),
            f"a/{self.path}",
            f"b/{self.path}",
            n=context,
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def without_lines(self, start: int, end: int) -> Edit | None:
        """The edit that drops the whole lines `start` up to `end` stand on; None when something else is on them too."""
        first, last = self.line_start(start), self.line_end(end)
        rest = self.text[end:last].strip()
        if self.text[first:start].strip() or (rest and not rest.startswith("#")):
            return None
        return Edit(first, min(last + 1, len(self.text)), "")

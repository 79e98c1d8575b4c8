"""Errors of the harness: a mistake in a scenario (the author's), a report that cannot be made (a tool's)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from executor.errors import MisuseError, OutsideError


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; line and column count from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """`file:line:column`, which editors and terminals make a link of."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, in which field, what is wrong, and what would be right."""

    place: Place
    field: str
    """Path of the field in the document, for example `expect.stdout.contains`; empty for the document."""
    message: str
    allowed: tuple[str, ...] = ()
    """Values or field names that would fit."""

    def __str__(self) -> str:
        """One line for the person: `file:line:column: field: message (allowed: ...)`."""
        field = f"{self.field}: " if self.field else ""
        allowed = f" (allowed: {', '.join(self.allowed)})" if self.allowed else ""
        return f"{self.place}: {field}{self.message}{allowed}"


class ScenarioError(MisuseError):
    """A scenario file holds mistakes; `problems` has every one that was found."""

    code = "scenario.invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """`problems` in file order; at least one."""
        self.problems = tuple(sorted(problems, key=lambda problem: problem.place))
        super().__init__("\n".join(map(str, self.problems)))


class ReportError(OutsideError):
    """The report could not be made or opened: a tool is missing or failed."""

    code = "report.failed"

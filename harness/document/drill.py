"""What every drill is, whatever it drills: what pytest, the report and the record need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from harness.errors import Place


class Kind(Protocol):
    """The part of a break-out attempt that everything is told by."""

    @property
    def class_(self) -> str:
        """Its class."""

    @property
    def mechanism(self) -> str:
        """Its mechanism."""


class AnyDrill(Protocol):
    """A scenario, a procedure, a study."""

    @property
    def id(self) -> str:
        """Unique and stable."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def plan(self) -> str:
        """Which plan it belongs to."""

    @property
    def description(self) -> str:
        """What it shows."""

    @property
    def place(self) -> Place:
        """Where it is written."""

    @property
    def text(self) -> str:
        """The YAML lines of the document."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Markers."""

    @property
    def breakout(self) -> Kind | None:
        """None: no break-out attempt."""

    @property
    def unmeasured(self) -> Mapping[str, str]:
        """Engine -> why it cannot be tried there."""

"""Which scenarios are tried for a control: found in the scenarios themselves, so that a new one needs no entry here.

A scenario is a candidate when it says so (`notices`), or when its positive control takes the control away: that run
shows that the control matters to it. Those that declare themselves come first, and single requests before procedures,
then those whose positive control takes away least, since there the one control is most of what stops the attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.document.scenario import Drill, Scenario, parse_file
from harness.errors import Problem, ScenarioError


@dataclass(frozen=True, slots=True)
class Case:
    """What is run at once: one drill, or all members of a batch."""

    name: str
    """The scenario's id or the batch's."""
    scenarios: tuple[Drill, ...]

    @property
    def first(self) -> Drill:
        """The one whose runs all members share."""
        return self.scenarios[0]

    @property
    def weakened(self) -> frozenset[str]:
        """What its positive control takes away beyond what is gone in its attempt too."""
        gone = self.first.without if isinstance(self.first, Scenario) else frozenset()
        return self.first.positive.weaken - gone if self.first.positive else frozenset()

    def concerned(self, control: str) -> bool:
        """Whether it should notice that `control` is gone."""
        return control in self.first.notices or control in self.weakened


def load(folder: Path, *, root: Path | None = None) -> list[Drill]:
    """Every scenario below `folder`; raises `ScenarioError` with the mistakes of all files."""
    found: list[Drill] = []
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.y*ml")):
        try:
            found += parse_file(path, name=str(path.relative_to(root)) if root else None)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return found


def group(scenarios: Iterable[Drill], engine: str) -> list[Case]:
    """Cases in the order of their first scenario; what cannot be tried on `engine` is left out."""
    members: dict[str, list[Drill]] = {}
    for drill in scenarios:
        if engine not in drill.unmeasured:
            batch = drill.member.batch if isinstance(drill, Scenario) and drill.member else drill.id
            members.setdefault(batch, []).append(drill)
    return [Case(name, tuple(found)) for name, found in members.items()]


def candidates(control: str, cases: Sequence[Case]) -> list[Case]:
    """The cases to try for `control`, the most promising first."""
    fitting = [case for case in cases if case.concerned(control)]

    def promise(case: Case) -> tuple[bool, bool, int]:
        # A procedure makes several runs where a scenario makes one.
        return control not in case.first.notices, not isinstance(case.first, Scenario), len(case.weakened)

    return sorted(fitting, key=promise)

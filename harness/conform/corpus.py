"""What is compared: the scenarios of files and folders, with batches kept together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from executor.errors import InvalidInputError
from harness.document.scenario import Drill, Scenario, parse_file
from harness.judgement.runs import Plan, plans

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Group:
    """Scenarios that share their runs: a batch's members, or one scenario alone."""

    id: str
    scenarios: tuple[Scenario, ...]

    def plans(self) -> tuple[Plan, ...]:
        """The runs, under fresh ids."""
        return plans(self.scenarios[0])


@dataclass(frozen=True, slots=True)
class Corpus:
    """What the files hold."""

    groups: tuple[Group, ...]
    others: tuple[Drill, ...]
    """Procedures: no single request, so nothing an engine alone could be asked."""


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The scenario files at and below `paths`, sorted; raises `InvalidInputError` for a path that is none."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES)
        elif path.is_file():
            yield path
        else:
            raise InvalidInputError(f"there is no {path}; name scenario files or folders of them")


def load(paths: Sequence[Path]) -> Corpus:
    """Parse everything; raises `ScenarioError` with the mistakes of a file."""
    groups: dict[str, list[Scenario]] = {}
    others: list[Drill] = []
    for path in files(paths):
        for drill in parse_file(path):
            if isinstance(drill, Scenario):
                groups.setdefault(drill.member.batch if drill.member else drill.id, []).append(drill)
            else:
                others.append(drill)
    return Corpus(tuple(Group(name, tuple(members)) for name, members in groups.items()), tuple(others))

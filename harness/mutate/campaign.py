"""One run of mutation testing: choose the mutants, try them on every core, weigh the survivors."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from executor.errors import InvalidInputError
from harness.mutate.allowlist import FILE_NAME, Allowlist, read_allowlist
from harness.mutate.change import Mutant
from harness.mutate.runner import Status, Verdict, Workshop, require_green
from harness.mutate.since import changed_lines
from harness.mutate.tree import OPERATORS, Tree, all_mutants, data_path, read_tree
from harness.policydir import OpaTool

SCHEMA: Final = "cordon.mutate/1"
TOGETHER: Final = 16
"""Mutants of a data file looked at in one process: enough that its start hardly counts, few enough to see progress."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mutants are wanted; empty fields take all."""

    only: tuple[str, ...] = ()
    """Packages (`cordon.paths`) or files and directories relative to the policy directory."""
    operators: tuple[str, ...] = ()
    since: str = ""
    """A git revision: mutants on lines that changed since then."""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    """The result of one run, verdicts in the order of files and lines."""

    verdicts: tuple[Verdict, ...]
    allowlist: Allowlist
    stale: tuple[str, ...]
    unplaced: tuple[str, ...]
    total: int
    """Mutants there are, chosen or not."""
    seconds: float

    def of(self, status: Status) -> list[Verdict]:
        """Verdicts with `status`."""
        return [verdict for verdict in self.verdicts if verdict.status == status]

    @property
    def unexplained(self) -> list[Verdict]:
        """Survivors without a reason."""
        return [verdict for verdict in self.of("survived") if self.allowlist.reason(verdict.mutant.id) is None]

    @property
    def good(self) -> bool:
        """Whether every survivor is explained and every explanation is needed."""
        return not self.unexplained and not self.stale

    def counts(self) -> dict[str, int]:
        """Mutants by status, with `unexplained`."""
        counts = Counter(verdict.status for verdict in self.verdicts)
        names: tuple[Status, ...] = ("killed", "timeout", "survived", "invalid")
        return {**{name: counts[name] for name in names}, "unexplained": len(self.unexplained)}

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema": SCHEMA,
            "total": self.total,
            "run": len(self.verdicts),
            "counts": self.counts(),
            "operators": self.by_operator(),
            "survivors": [
                {**verdict.mutant.as_json(), "reason": self.allowlist.reason(verdict.mutant.id)}
                for verdict in self.of("survived")
            ],
            "mutants": [
                {
                    "id": verdict.mutant.id,
                    "place": verdict.mutant.place,
                    "status": verdict.status,
                    "step": verdict.step,
                    "killed_by": list(verdict.killed_by),
                }
                for verdict in self.verdicts
            ],
            "stale": list(self.stale),
            "skipped": self.allowlist.skipped,
            "unplaced": list(self.unplaced),
            "seconds": round(self.seconds, 3),
        }  # fmt: skip - one line for one verdict

    def by_operator(self) -> dict[str, dict[str, int]]:
        """Counts by operator and status."""
        table: dict[str, Counter[str]] = {}
        for verdict in self.verdicts:
            table.setdefault(verdict.mutant.change.operator, Counter())[verdict.status] += 1
        return {operator: dict(sorted(table[operator].items())) for operator in sorted(table)}


Progress = Callable[[int, int, Sequence[Verdict]], None]
"""Mutants tried so far, of how many, and the verdicts that came in just now."""


def run_campaign(
    root: Path, opa: OpaTool, choice: Choice, *, jobs: int, progress: Progress | None = None, quickly: bool = True
) -> Campaign:
    """Try the chosen mutants of the policies in `root`; raises `RedTestsError` when the tests fail without any.

    Without `quickly` only `opa test` is asked: the same survivors, several times slower.
    """
    begin = time.monotonic()
    allowlist = read_allowlist(root / FILE_NAME)
    tree = read_tree(root, opa, jobs=jobs)
    everything, unplaced = all_mutants(tree, frozenset(allowlist.skipped))
    chosen = choose(tree, everything, choice)
    with tempfile.TemporaryDirectory(prefix="cordon-mutate-") as scratch:
        crew = _Crew(Workshop(tree, opa, Path(scratch) / "0", quickly=quickly), jobs)
        expected = frozenset(mutant.id for mutant in chosen if allowlist.entry_for(mutant.id) is not None)
        verdicts = crew.try_all(chosen, expected, progress)
    survived = [verdict.mutant.id for verdict in verdicts if verdict.status == "survived"]
    old = allowlist.stale(
        existing=[mutant.id for mutant in everything],
        survived=survived,
        ran=[mutant.id for mutant in chosen],
        files=tree.mutable(),
    )
    return Campaign(tuple(verdicts), allowlist, tuple(old), tuple(unplaced), len(everything), time.monotonic() - begin)


class _Crew:
    """The workers, each with a workshop; threads, for each only waits for the `opa` it has started."""

    def __init__(self, first: Workshop, jobs: int) -> None:
        """Raises `RedTestsError` when the tests fail before anything is mutated."""
        require_green(first)
        self._jobs: Final = jobs
        self._free: Final[SimpleQueue[Workshop]] = SimpleQueue()
        self._free.put(first)
        for number in range(1, jobs):
            folder = first.scratch.with_name(str(number))
            self._free.put(replace(first, scratch=folder, _dirs={}, _stages={}))

    def try_all(self, chosen: Sequence[Mutant], expected: frozenset[str], progress: Progress | None) -> list[Verdict]:
        """Verdicts in the order of `chosen`."""
        verdicts: list[Verdict] = []
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                for several in pool.map(lambda group: self._judge(group, expected), groups(chosen)):
                    verdicts += several
                    if progress is not None:
                        progress(len(verdicts), len(chosen), several)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return verdicts

    def _judge(self, group: Sequence[Mutant], expected: frozenset[str]) -> list[Verdict]:
        workshop = self._free.get()
        try:
            return workshop.judge(group, expected)
        finally:
            self._free.put(workshop)


def groups(chosen: Sequence[Mutant]) -> Iterator[list[Mutant]]:
    """Mutants that are tried together: rules alone, each in a process of its own; some of one data file at a time."""
    for path, same in groupby(chosen, key=lambda mutant: mutant.source.path):
        size = 1 if path.endswith(".rego") else TOGETHER
        while group := list(islice(same, size)):
            yield group


def choose(tree: Tree, everything: Sequence[Mutant], choice: Choice) -> list[Mutant]:
    """The mutants `choice` asks for; raises `InvalidInputError` for a name that fits nothing."""
    if unknown := sorted(set(choice.operators) - set(OPERATORS)):
        raise InvalidInputError(f"no operator {unknown[0]}; there are {', '.join(OPERATORS)}")
    known = {mutant.id for mutant in everything}
    if missing := [name for name in choice.ids if name not in known]:
        raise InvalidInputError(f"no mutant {missing[0]}; `cordon mutate --list` has them all")
    files = _files(tree, choice.only) if choice.only else None
    lines = changed_lines(tree.root, choice.since) if choice.since else None
    return [
        mutant
        for mutant in everything
        if (files is None or mutant.source.path in files)
        and (not choice.operators or mutant.change.operator in choice.operators)
        and (not choice.ids or mutant.id in choice.ids)
        and (lines is None or lines.touches(mutant.source.path, mutant.line, mutant.last_line))
    ]


def _files(tree: Tree, names: Sequence[str]) -> set[str]:
    """Files of the packages, files and directories in `names`."""
    places = [(module.source.path, ".".join(module.package)) for module in tree.rules()]
    places += [(source.path, ".".join(data_path(source.path))) for source in tree.data]
    result: set[str] = set()
    for name in names:
        path = name.removeprefix("./").removeprefix(f"{tree.root.as_posix()}/").rstrip("/")
        package = name.removeprefix("data.")
        found = {
            file
            for file, dotted in places
            if file == path or file.startswith(f"{path}/") or dotted == package or dotted.startswith(f"{package}.")
        }  # fmt: skip - reads as one condition
        if not found:
            raise InvalidInputError(f"{name}: no such package, file or directory in {tree.root}")
        result |= found
    return result

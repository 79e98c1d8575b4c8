"""The sweep: control by control, one warm executor for all of them.

For an executor's control the candidates (harness/sabotage/cases.py) are run without it until one turns red; the same
case is then run with it, and must be green: only the control differs. A case's attempt is enough for both. Guards of
the harness are tried on bait (harness/sabotage/guards.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from executor.errors import CordonError
from harness.collection import procedure_runs
from harness.collection.drill_session import DrillSession
from harness.document.scenario import Drill, Scenario
from harness.judgement.judge import Finding, judge
from harness.judgement.runs import own_part, perform, plans
from harness.sabotage import matrix as matrices
from harness.sabotage.cases import Case, candidates
from harness.sabotage.cells import RED, ruled
from harness.sabotage.collected import Collected
from harness.sabotage.guards import GUARDS, Stand
from harness.sabotage.matrix import Matrix, Row
from harness.watch.canaries import content_digest

TRIES: Final = 6
"""Cases run for one control before it counts as missed."""
SOURCES: Final = ("executor", "harness", "policies", "scenarios", "fixtures")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """One scenario's attempt, judged."""

    scenario: Drill
    ruling: str
    finding: str

    @property
    def red(self) -> bool:
        """Whether it fails for what it saw, and not because it could not be tried."""
        return self.ruling in RED


@dataclass(slots=True)
class Sweep:
    """What the controls share: the cases, the executor, and what the cases come to with everything in place."""

    session: DrillSession
    cases: Sequence[Case]
    tries: int = TRIES
    thorough: bool = False
    """Run every candidate, not only until one notices."""
    collected: Collected = field(default_factory=Collected)
    """What a run of the drills over the same sources has shown already."""
    _whole: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Case -> scenario -> green with every control in place."""

    def control(self, name: str) -> Row:
        """Take the executor's control `name` away."""
        started = time.monotonic()
        kind, what = matrices.controls()[name]
        rulings: dict[str, str] = {}
        caught: list[str] = []
        finding = ""
        fitting = candidates(name, self.cases)
        for case in fitting if self.thorough else fitting[: self.tries]:
            seen = tuple(self._try(case, frozenset({name})))
            red = [one for one in seen if one.red]
            green = self._green(case) if red else {}
            caught += [one.scenario.id for one in red if green[one.scenario.id]]
            told = [one for one in red if green[one.scenario.id]] or seen[:1]
            rulings |= {one.scenario.id: one.ruling for one in told}
            finding = finding or next((f"{one.scenario.id}: {one.finding}" for one in red if one in told), "")
            if caught and not self.thorough:
                break
        if not caught:
            tried = ", ".join(case.name for case in fitting[: self.tries])
            finding = f"nobody notices: tried {tried}" if fitting else "no scenario takes it away or `notices` it"
        return Row(name, kind, what, rulings, tuple(caught), finding, time.monotonic() - started)

    def guard(self, name: str, stand: Stand) -> Row:
        """Show the harness's guard `name` its bait, and then without the guard."""
        started = time.monotonic()
        guard = GUARDS[name]
        seen = guard.tried(stand, blind=False)
        unseen = guard.tried(stand, blind=True)
        caught = (seen.subject,) if seen.red and not unseen.red else ()
        finding = seen.finding if caught else f"with the guard: {seen.finding}; without: {unseen.finding}"
        rulings = {seen.subject: seen.ruling, f"{seen.subject}, guard off": unseen.ruling}
        return Row(name, "harness", guard.what, rulings, caught, finding, time.monotonic() - started)

    def _green(self, case: Case) -> dict[str, bool]:
        """Which scenarios of `case` find nothing wrong with their attempt when every control is in place."""
        if {drill.id for drill in case.scenarios} <= self.collected.good.keys():
            return {drill.id: self.collected.good[drill.id] for drill in case.scenarios}
        if case.name not in self._whole:
            self._whole[case.name] = {
                one.scenario.id: not one.finding for one in self._try(case, frozenset(), attempts=2)
            }
        return self._whole[case.name]

    def _try(self, case: Case, without: frozenset[str], *, attempts: int = 1) -> Iterator[Seen]:
        """The attempt of `case` with controls taken away, judged for each of its scenarios.

        `attempts`: runs made before a finding is believed, for a run that is to be clean: on a crowded host a machine
        may be lost.
        """
        seen = [_judged(drill, findings) for drill, findings in self._findings(case, without)]
        if attempts > 1 and any(one.finding for one in seen):
            return (yield from self._try(case, without, attempts=attempts - 1))
        yield from seen

    def _findings(self, case: Case, without: frozenset[str]) -> Iterator[tuple[Drill, Sequence[Finding]]]:
        """What is wrong with each drill of `case` when its attempt is made with controls taken away."""
        session, first = self.session, case.first
        if not isinstance(first, Scenario):
            call = procedure_runs.calls(first)[0]
            try:
                seen = procedure_runs.perform(first, *call, session.executor(), session.watch(), session.kept, without)
            except CordonError as error:  # as under pytest: a procedure that cannot go on is red
                yield first, (Finding("attempt", "expectation", f"the procedure ended with {error.code}: {error}"),)
                return
            yield first, procedure_runs.findings_of(first, seen)
            return
        run = perform(plans(first, without)[0], session.executor(), session.watch())
        for scenario in case.scenarios:
            if isinstance(scenario, Scenario):
                yield scenario, judge(scenario, (own_part(run, scenario),)).findings


def _judged(scenario: Drill, findings: Sequence[Finding]) -> Seen:
    return Seen(scenario, ruled(scenario, findings), str(findings[0]) if findings else "")


def sweep(
    session: DrillSession,
    cases: Sequence[Case],
    *,
    matrix: Matrix,
    keep: Callable[[Matrix], None],
    say: Say,
    thorough: bool = False,
    collected: Collected | None = None,
) -> Matrix:
    """Try every control that `matrix` wants and does not hold yet; `keep` is called after each.

    `collected`: what a run of the drills holds already; what is caught there is not tried again.
    """
    working = Sweep(session, cases, thorough=thorough, collected=collected or Collected())
    earlier = len(matrix.rows)
    found = {name: row for name, row in working.collected.rows.items() if name in matrix.wanted and row.caught}
    if found and not thorough:
        matrix.rows |= found
        keep(matrix)
        say(f"sabotage: {len(found)} controls were taken away one at a time in the run itself, and noticed")
    stand = Stand(session, cases)
    todo = [name for name in matrix.wanted if name not in matrix.rows]
    if earlier:
        say(f"sabotage: {earlier} controls are known from an earlier sweep over the same sources")
    try:
        for number, name in enumerate(todo, 1):
            row = working.guard(name, stand) if name in GUARDS else working.control(name)
            matrix.rows[name] = row
            matrix.rows = {key: matrix.rows[key] for key in matrices.controls() if key in matrix.rows}
            keep(matrix)
            by = row.caught_by[0] if row.caught else "NOBODY"
            say(f"sabotage: {number}/{len(todo)} {name}: noticed by {by} ({row.seconds:.1f} s)")
    finally:
        stand.close()
    return matrix


def fingerprint(root: Path, session: DrillSession) -> str:
    """SHA-256 over everything a row depends on: sources, policies, scenarios, the images and the programs."""
    digest = hashlib.sha256()
    folders = [root / name for name in SOURCES if (root / name).is_dir()]
    digest.update(content_digest(_source_files(folders)).encode())
    digest.update(repr(sorted(session.facts().get("digests", {}).items())).encode())
    digest.update(repr(sorted(session.facts().get("versions", {}).items())).encode())
    return digest.hexdigest()


def _source_files(folders: Sequence[Path]) -> list[Path]:
    """Every file a person wrote: what Python and tools leave beside them does not count."""
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]

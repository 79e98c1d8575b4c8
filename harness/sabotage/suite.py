"""A whole sweep: scenarios read, one executor opened, the matrix kept after every control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.collection.drill_session import DrillSession, Wanted, own_state
from harness.sabotage import cases, collected
from harness.sabotage.kept import FILE
from harness.sabotage.matrix import Matrix, controls, resumed
from harness.sabotage.sweep import Say, fingerprint, sweep


def sweep_suite(
    *,
    say: Say,
    engine: Wanted = "auto",
    scenarios: Path = Path("scenarios"),
    target: Path = FILE,
    wanted: Sequence[str] = (),
    fresh: bool = False,
    thorough: bool = False,
    records: Path | None = None,
) -> Matrix:
    """Take the controls of `wanted` (all) away one by one; the matrix, which is in `target` too.

    `fresh`: nothing is taken over from an interrupted sweep. `records`: of a run of the drills over the same sources;
    the cells it holds are taken over. Raises `ScenarioError` for scenarios that cannot be read, `OutsideError` where no
    machine can be had, and `ReportError` for records of another engine, policy or image.
    """
    root = Path.cwd()
    found = cases.load(scenarios)
    session = DrillSession(
        engine=engine,
        policies=(root / "policies").absolute(),
        state=own_state(root / "build/drills/state", "sabotage"),
        progress=say,
        watched=(scenarios.absolute(),),
    )
    try:
        running = session.executor().engine
        empty = Matrix(fingerprint(root, session), running, tuple(wanted or controls()))
        matrix = empty if fresh else resumed(target, empty)
        held = collected.collect(records, running, session.facts()) if records else None
        return sweep(
            session,
            cases.group(found, running),
            matrix=matrix,
            keep=lambda so_far: so_far.write(target),
            say=say,
            thorough=thorough,
            collected=held,
        )
    finally:
        session.close()

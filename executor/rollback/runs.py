"""Runs by name: the folder a lease id or a path means, the pack that is on record for it, a rollback put on record."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.clock import Clock
from executor.errors import InvalidInputError
from executor.keys import KeyStore
from executor.rollback.apply import Proof, apply
from executor.rollback.pack import FOLDER
from executor.svf import SvfLog, read

RUNS: Final = Path("outgoing/staging_runs")
AUDIT: Final = Path("logs/svf_audit")
_LEASE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder. `state` is None for a folder that lies in no state folder: it has no audit trail."""

    folder: Path
    lease_id: str
    state: Path | None

    @property
    def audit(self) -> Path | None:
        """The trail that knows of this run, when there is one."""
        return self.state / AUDIT if self.state and (self.state / AUDIT).is_dir() else None


def find(name: str, state: Path) -> RunFolder:
    """The run that `name` (a lease id, or the path of a run's folder) means.

    Raises `InvalidInputError` saying where was looked.
    """
    runs = state / RUNS
    by_id = runs / name
    if _LEASE_ID.fullmatch(name) and (by_id / FOLDER).is_dir():
        return RunFolder(by_id, name, state)
    path = Path(name).absolute()
    if (path / FOLDER).is_dir():
        known = path.resolve().parent == runs.resolve()
        return RunFolder(path, path.name, state if known else None)
    raise InvalidInputError(f"{name}: no run with a rollback pack, neither as a folder nor below {runs}")


def on_record(run: RunFolder) -> str:
    """The pack's digest as `rollback_event.CREATED` has it; empty when no trail knows of this run."""
    if run.audit is None:
        return ""
    found = ""
    for event in read(run.audit):
        if event.type == "rollback_event.CREATED" and event.lease_id == run.lease_id:
            found = str(event.data.get("pack", ""))
    return found


def apply_recorded(
    run: RunFolder,
    target: Path,
    clock: Clock,
    *,
    expected: str = "",
    force: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Proof:
    """`apply`, with `rollback_event.COMPLETE` in the run's audit trail; the pack must be the one on record there.

    Raises `AuditError` before anything is touched when the trail cannot be written (another process has it).
    """
    known = expected or on_record(run)
    if run.audit is None or run.state is None:
        return apply(run.folder, target, expected=known, force=force, step=step)
    with SvfLog.open(run.audit, clock, KeyStore(run.state, clock).issuer()) as log:
        proof = apply(run.folder, target, expected=known, force=force, step=step)
        data = {
            "pack": f"sha256:{proof.pack}",
            "tree": f"sha256:{proof.tree}",
            "restored": len(proof.restored),
            "removed": len(proof.removed),
            "resumed": proof.resumed,
        }
        log.emit("rollback_event.COMPLETE", "cp20", lease_id=run.lease_id, data=data)
    return proof

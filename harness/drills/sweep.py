"""Sabotage after the scenarios: every control that the run itself has not shown to matter is taken away once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from harness.collection.shard import Shard
from harness.drills.arguments import option
from harness.drills.folder import RECORDS, SABOTAGE
from harness.drills.side_by_side import side_by_side
from harness.sabotage import collected, kept, matrix


def sweep(extra: Sequence[str]) -> dict[str, Any]:
    """Sweep the controls in as many processes as pytest had workers; the matrix. Raises `ReportError` without one."""
    parts = shares(extra, collected.caught(RECORDS))
    command = [sys.executable, "-m", "cordon", "drills", "sabotage", "--fresh", "--quiet"]
    command += [f"--engine={option(extra, '--engine') or 'auto'}", f"--records={RECORDS}"]
    targets = {SABOTAGE.with_name(f"sabotage-{number}.json"): names for number, names in enumerate(parts)}
    commands = {
        target: [*command, f"--output={target}", *(f"--control={name}" for name in names)]
        for target, names in targets.items()
    }
    merged = matrix.merged(side_by_side(commands, kept.read))
    kept.write(SABOTAGE, merged)
    return merged


def shares(extra: Sequence[str], shown: frozenset[str]) -> list[list[str]]:
    """The controls of each process of the sweep: what the run has `shown` costs nothing, the rest is dealt out."""
    workers = Shard.workers(option(extra, "-n", "--numprocesses"))
    part = option(extra, "--shard")
    mine = (Shard.parse(part) if part else Shard(1, 1)).keep(list(matrix.controls()))
    parts = [[name for name in mine if name not in shown][number::workers] for number in range(workers)]
    parts[-1] += [name for name in mine if name in shown]
    return [names for names in parts if names]

"""Sabotage after the scenarios: every control that the run itself has not shown to matter is taken away once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from harness.collection.shard import Shard
from harness.drills.arguments import option
from harness.drills.folder import RECORDS, SABOTAGE
from harness.errors import ReportError
from harness.sabotage import collected, kept, matrix


def sweep(extra: Sequence[str]) -> dict[str, Any] | None:
    """Sweep the controls in as many processes as pytest had workers; the matrix, None when there is none."""
    try:
        parts = shares(extra, collected.caught(RECORDS))
    except ReportError as error:
        sys.stderr.write(f"drills: {error}\n")
        return None
    running = []
    for number, names in enumerate(parts):
        target = SABOTAGE.with_name(f"sabotage-{number}.json")
        command = [sys.executable, "-m", "cordon", "drills", "sabotage", "--fresh", "--quiet", f"--output={target}"]
        command += [f"--engine={option(extra, '--engine') or 'auto'}", f"--records={RECORDS}"]
        running.append((target, subprocess.Popen([*command, *(f"--control={name}" for name in names)])))
    try:
        for _, process in running:
            process.wait()
        raws = [kept.read(target) for target, _ in running]
    except ReportError as error:
        sys.stderr.write(f"drills: {error}\n")
        return None
    finally:
        for target, process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
            target.unlink(missing_ok=True)
    merged = matrix.merged(raws)
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

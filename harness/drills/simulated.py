"""After the sweep: the simulator runs what was run, and is compared with what is on record of it (docs/adr/0037)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from harness.collection.shard import Shard
from harness.conform import MODELLED_BAR, kept
from harness.drills.arguments import option
from harness.drills.folder import BUILD, SUMMARY
from harness.drills.side_by_side import side_by_side
from harness.errors import ReportError


def simulated(extra: Sequence[str]) -> dict[str, Any] | None:
    """Compare, in as many processes as pytest had workers; what the summary says of it.

    None after a run on `sim`, or of nothing. Raises `ReportError` where there is no comparison.
    """
    try:
        engine = json.loads(SUMMARY.read_text(encoding="utf-8"))["engine"]
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"there is no summary to say what was run: {error!r}") from None
    if engine in {"sim", "none"}:
        return None
    started = time.monotonic()
    workers = Shard.workers(option(extra, "-n", "--numprocesses"))
    command = [sys.executable, "-m", "cordon", "simulate", "--conform", f"--recorded={BUILD}"]
    targets = {number: BUILD / f"conformance-{number}.json" for number in range(1, workers + 1)}
    commands = {
        target: [*command, f"--part={number}/{workers}", f"--output={target}"] for number, target in targets.items()
    }
    raw = kept.merged(side_by_side(commands, kept.read, quiet=True))
    kept.write(BUILD / kept.FILE.name, raw)
    # A shard holds a part of the scenarios: what share of them is modelled is judged where all are together.
    found = kept.figures(raw, bar=0 if option(extra, "--shard") else MODELLED_BAR)
    sys.stdout.write(
        f"drills: the simulator told the same in {found['equal']} of {found['total']} scenarios, something else in"
        f" {found['divergent']}; {found['modelled_percent']} % modelled; {time.monotonic() - started:.0f} s\n"
    )
    sys.stdout.flush()
    return found

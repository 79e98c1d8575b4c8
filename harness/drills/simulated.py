"""After the sweep: the simulator runs what was run, and is compared with what is on record of it (docs/adr/0037)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from harness.collection.shard import Shard
from harness.conform import parts
from harness.drills.arguments import option
from harness.drills.folder import BUILD, SUMMARY
from harness.errors import ReportError
from harness.report.faults import faults


def simulated(extra: Sequence[str]) -> list[str]:
    """Compare, in as many processes as pytest had workers, into the summary; complaints.

    A run on `sim`, or of nothing, is not compared.
    """
    try:
        summary: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8"))
        if summary["engine"] in {"sim", "none"}:
            return []
        started = time.monotonic()
        workers = Shard.workers(option(extra, "-n", "--numprocesses"))
        found = parts.compared(BUILD, workers, whole=not option(extra, "--shard"))
    except (OSError, ValueError, ReportError) as error:
        return [f"the simulator was not compared with this run: {error}"]
    before = faults(summary)
    summary["conformance"] = found
    SUMMARY.write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(
        f"drills: the simulator told the same in {found['equal']} of {found['total']} scenarios, something else in"
        f" {found['divergent']}; {found['modelled_percent']} % modelled; {time.monotonic() - started:.0f} s\n"
    )
    sys.stdout.flush()
    return [text for text in faults(summary) if text not in before]

"""`true` through the whole path on a warm machine: reviewed, decided, leased, verified, run, audited, reported.

Bar: our own host-side share (everything but the guest's work) <= 25 ms p50. Each stage is a figure; `path.true.host` is
the whole less what the guest did: from each order to its answer, and a command's run. `path.unaccounted` is what of it
lies in no stage. The machine waits before each run, so that no clone is made beside it at its start.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.api import Request
from executor.intent import Command, Intent
from executor.outcome import Outcome
from executor.policy import default_policies_dir
from executor.service import LocalExecutor, open_executor

RUNS: Final = 60
WAIT_S: Final = 120.0
INSIDE: Final = frozenset({"first_output"})
"""Stages that lie within others."""


def figures(runs: int = RUNS) -> list[dict[str, Any]]:
    """The whole, the host's share, the guest's, and every stage."""
    walls: list[float] = []
    hosts: list[float] = []
    unaccounted: list[float] = []
    stages: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as state:
        executor = open_executor("auto", state=Path(state), policies=default_policies_dir(), progress=_say, drill=True)
        try:
            for number in range(runs + 1):
                wall, outcome = _run(executor, number)
                if not number:
                    continue  # the first one loads what is loaded once
                walls.append(wall)
                guest = known = 0.0
                for stage in outcome.stages:
                    took = stage.duration_ns / 1e6
                    stages[stage.side, stage.name].append(took)
                    if stage.name not in INSIDE:
                        guest += took if stage.side == "guest" else 0.0
                        known += took
                hosts.append(wall - guest)
                unaccounted.append(wall - known)
            engine = executor.engine
        finally:
            executor.close()
    whole = spread(f"path.true.{engine}", "ms", walls)
    found = [whole, spread(f"path.true.host.{engine}", "ms", hosts, against=whole)]
    found += [spread(f"path.unaccounted.{engine}", "ms", unaccounted)]
    found += [spread(f"path.stage.{side}.{name}.{engine}", "ms", took) for (side, name), took in sorted(stages.items())]
    return [{**figure, "engine": engine} for figure in found]


def _run(executor: LocalExecutor, number: int) -> tuple[float, Outcome]:
    """One run: milliseconds, and what came of it."""
    if not executor.wait_warm(WAIT_S):
        raise RuntimeError("the pool was not refilled")
    request = Request(Intent(f"bench-{number}", "drill", (Command(("true",)),)))
    begun = time.perf_counter()
    outcome = executor.run(request)
    took = (time.perf_counter() - begun) * 1000
    if outcome.effect != "completed" or any(event["type"] == "vm_event.READY" for event in outcome.events):
        raise RuntimeError(f"no warm run: {outcome.effect} {outcome.reasons} {outcome.message}")
    return took, outcome


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many runs ({RUNS})")
    json.dump(figures(parser.parse_args().runs), sys.stdout, indent=2)
    sys.stdout.write("\n")

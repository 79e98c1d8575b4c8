"""`true` through the whole path on a warm machine: reviewed, decided, leased, verified, run, audited, reported.

Bar: our own host-side share (everything but the guest's work) <= 25 ms p50, for whoever waits for the answer:
`path.true.host`. It is the time until the answer stands (`Request.answered`) less what the guest did: from each order
to its answer, and a command's run. `path.whole.host` is the same until the machine is gone and the report written, in
the same runs: what a caller waited for before ADR 0034. Each stage is a figure; `path.unaccounted` is what of the whole
lies in no stage. `path.true.cpu` is the processor time of the caller's own thread up to the answer, which depends least
on who else uses this host. `path.true.host.in_decisions` is the host's share in units of the same run's question to
OPA (ADR 0028: nearly all of it OPA's own), which a crowded host slows down alike. The machine waits before each run, so
that no clone is made beside it at its start.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Run:
    """One run, in milliseconds."""

    answered: float
    whole: float
    cpu: float
    """Of the calling thread, until the answer."""
    guest: float
    """Of it the guest's part: all of that comes before the answer."""
    outcome: Outcome


def figures(runs: int = RUNS) -> list[dict[str, Any]]:
    """The answer, the whole, the host's share of both, and every stage."""
    with tempfile.TemporaryDirectory() as state:
        executor = open_executor("auto", state=Path(state), policies=default_policies_dir(), progress=_say, drill=True)
        try:
            # On a thread of its own, as the service's tasks are; the first loads what is loaded once.
            with ThreadPoolExecutor(1) as worker:
                done = [worker.submit(_run, executor, number).result() for number in range(runs + 1)][1:]
            engine = executor.engine
        finally:
            executor.close()
    stages: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for run in done:
        for stage in run.outcome.stages:
            stages[stage.side, stage.name].append(stage.duration_ns / 1e6)
    whole = spread(f"path.whole.host.{engine}", "ms", [run.whole - run.guest for run in done])
    asked = [next(stage.duration_ns / 1e6 for stage in run.outcome.stages if stage.name == "decide") for run in done]
    shares = [run.answered - run.guest for run in done]
    in_decisions = [share / one for share, one in zip(shares, asked, strict=True)]
    known = [sum(s.duration_ns for s in run.outcome.stages if s.name not in INSIDE) / 1e6 for run in done]
    found = [
        spread(f"path.true.{engine}", "ms", [run.answered for run in done]),
        spread(f"path.true.host.{engine}", "ms", shares, against=whole),
        spread(f"path.true.host.in_decisions.{engine}", "ratio", in_decisions),
        spread(f"path.true.cpu.{engine}", "ms", [run.cpu for run in done]),
        whole,
        spread(f"path.unaccounted.{engine}", "ms", [run.whole - part for run, part in zip(done, known, strict=True)]),
    ]
    found += [spread(f"path.stage.{side}.{name}.{engine}", "ms", took) for (side, name), took in sorted(stages.items())]
    return [{**figure, "engine": engine} for figure in found]


def _run(executor: LocalExecutor, number: int) -> _Run:
    """One run."""
    if not executor.wait_warm(WAIT_S):
        raise RuntimeError("the pool was not refilled")
    told: list[tuple[float, float, Outcome]] = []
    request = Request(
        Intent(f"bench-{number}", "drill", (Command(("true",)),)),
        answered=lambda outcome: told.append((time.perf_counter(), time.thread_time(), outcome)),
    )
    begun, used = time.perf_counter(), time.thread_time()
    outcome = executor.run(request)
    ended = time.perf_counter()
    if outcome.effect != "completed" or any(event["type"] == "vm_event.READY" for event in outcome.events):
        raise RuntimeError(f"no warm run: {outcome.effect} {outcome.reasons} {outcome.message}")
    ((answered, cpu, early),) = told
    if (early.effect, early.results) != (outcome.effect, outcome.results):
        raise RuntimeError("the answer and the outcome differ")
    guest = sum(stage.duration_ns for stage in early.stages if stage.side == "guest" and stage.name not in INSIDE)
    return _Run((answered - begun) * 1000, (ended - begun) * 1000, (cpu - used) * 1000, guest / 1e6, outcome)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many runs ({RUNS})")
    json.dump(figures(parser.parse_args().runs), sys.stdout, indent=2)
    sys.stdout.write("\n")

"""The simulator under the scenarios. Bars: the whole suite in 20 s; a run's p50 at most 20 ms beyond OPA's share.

`simulate.suite` is what a person waits for: pytest over all drills in two processes, judging and recording included.
`simulate.runs` are the scenarios' runs alone, one after the other in one process.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.api import Executor
from executor.errors import OutsideError
from executor.policy import Decision, PolicyEngine
from executor.service import open_executor
from fixtures.test_hosts import simulated_world
from harness.conform import corpus
from harness.conform.run import Nothing
from harness.judgement.runs import Plan, perform

SCENARIOS: Final = Path("scenarios")
POLICIES: Final = Path("policies")
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a fresh folder in it


def figures() -> list[dict[str, Any]]:
    """Seconds for every scenario the simulator can try, and milliseconds of each beyond what OPA takes."""
    found = corpus.load([SCENARIOS])
    folder = MEMORY if MEMORY.is_dir() else None
    timed = Timed()
    timed.install(setattr)
    took: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="cordon-bench-", dir=folder) as state:
        executor = open_executor(
            "sim", state=Path(state) / "state", policies=POLICIES, drill=True, beyond=simulated_world()
        )
        try:
            begun, processor = time.perf_counter(), time.process_time()
            for group in found.groups:
                if any("sim" not in one.unmeasured for one in group.scenarios):
                    took += [_one(executor, plan, timed) for plan in group.plans()]
            whole, processor = time.perf_counter() - begun, time.process_time() - processor
        finally:
            executor.close()
            timed.remove(setattr)
    return [
        spread("simulate.suite", "s", [_suite()]),
        spread("simulate.runs", "s", [whole]),
        spread("simulate.runs_cpu", "s", [processor]),
        spread("simulate.run_beyond_opa", "ms", [one for one, _, _ in took]),
        spread("simulate.run_cpu", "ms", [cpu for _, _, cpu in took]),
        spread("simulate.opa_share", "ms", [share for _, share, _ in took]),
    ]


def _suite() -> float:
    """Seconds of pytest over every drill on the simulator, in two processes; raises `OutsideError` unless it passes."""
    order = [sys.executable, "-m", "pytest", str(SCENARIOS), "--engine", "sim", "-n", "2", "-q"]
    with tempfile.TemporaryDirectory(prefix="cordon-bench-", dir=MEMORY if MEMORY.is_dir() else None) as state:
        begun = time.perf_counter()
        done = subprocess.run([*order, "--state", f"{state}/state"], capture_output=True, check=False)
        took = time.perf_counter() - begun
    if done.returncode:
        raise OutsideError(f"the drills fail on the simulator: {done.stdout.decode(errors='replace')[-400:]}")
    return took


class Timed:
    """Adds up the real time of the policy's decisions: the run's own clock is virtual."""

    def __init__(self) -> None:
        self.ns = 0
        self._whole = PolicyEngine.decide_document

    def install(self, put: Callable[[Any, str, Any], None]) -> None:
        """Stand in the way of every decision."""

        def decide(engine: PolicyEngine, document: Mapping[str, Any]) -> Decision:
            began = time.perf_counter_ns()
            try:
                return self._whole(engine, document)
            finally:
                self.ns += time.perf_counter_ns() - began

        put(PolicyEngine, "decide_document", decide)

    def remove(self, put: Callable[[Any, str, Any], None]) -> None:
        """As it was."""
        put(PolicyEngine, "decide_document", self._whole)


def _one(executor: Executor, plan: Plan, timed: Timed) -> tuple[float, float, float]:
    """Milliseconds of a run beyond OPA, OPA's, and this process's processor time, which a busy host changes least."""
    started, before, processor = time.perf_counter_ns(), timed.ns, time.process_time_ns()
    with contextlib.suppress(OutsideError):
        perform(plan, executor, Nothing())
    share = (timed.ns - before) / 1e6
    took, used = time.perf_counter_ns() - started, time.process_time_ns() - processor
    return took / 1e6 - share, share, used / 1e6


if __name__ == "__main__":
    json.dump(figures(), sys.stdout, indent=1)

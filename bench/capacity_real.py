"""The capacity simulator against a real pool. Bar: the predicted mean wait is within 15 % of the measured one.

A recorded load (bursts of short tasks of three priorities) goes through the real door, queue, workers, path and pool;
then the simulator is given nothing but that run's audit trail. Three predictions: `replayed` gives each task what it
took in the run, so what is off is the model's own doing; `fitted` draws each stage's durations from those seen and is
averaged over a hundred runs; `held_out` knows the durations of the even tasks only. `fitted_scatter` is how far those
hundred runs lie apart (standard deviation): a measured run is one such draw, and may be as far off by chance.

`--tasks N` for a shorter one, `--keep FOLDER` to keep the audit trail.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.bridge.intake import Intake, Task
from executor.bridge.outbox import Outbox
from executor.bridge.workers import Workers
from executor.clock import SystemClock
from executor.intent import Command, Intent, Priority
from executor.outcome import Outcome
from executor.policy import default_policies_dir
from executor.queue import CAPACITY, Journal
from executor.service import LocalExecutor, open_executor
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import stream
from harness.simulate.recorded import Recorded, read
from harness.simulate.refit import as_load, mean, predicted_waits

TASKS: Final = 160
WORKERS: Final = 2
POOL: Final = 1
"""What the service keeps."""
WARM_UP: Final = 8
"""Tasks before, so that what is only made once is made, and to see what a task takes."""
IDLE_S: Final = 1200.0
ARRIVALS: Final = Arrivals("bursty", rates=(0.6, 5.0), stays=(8.0, 3.0))
"""In units of what a task takes here: 1.8 on average where 2 are served, on a slow machine as on a fast one."""
MIX: Final = ((Priority.HIGH, 0.2), (Priority.NORMAL, 0.6), (Priority.LOW, 0.2))
KEPT: Final = 16 * 1024 * 1024


class Silent:
    """A watcher that fails the bench when a task breaks."""

    def __init__(self) -> None:
        self.broken: list[BaseException] = []

    def begun(self, task: Task, waited_ns: int) -> None:
        """Nothing to tell: the wait is on record."""

    def done(self, task: Task, outcome: Outcome, took_ns: int) -> None:  # noqa: ARG002 - a Watcher's signature
        """Only what ran to its end says anything about durations."""
        if outcome.effect != "completed":
            self.broken.append(RuntimeError(f"{outcome.intent_id}: {outcome.effect} {outcome.reasons}"))

    def broke(self, task: Task, error: BaseException) -> None:  # noqa: ARG002 - as above
        """Keep it."""
        self.broken.append(error)


def plan(tasks: int, unit_s: float) -> list[tuple[float, Priority]]:
    """When which task comes: the same every time, but for the unit."""
    times, choice = ARRIVALS.times_of(stream(7, "arrivals")), stream(7, "priorities")
    priorities, weights = [priority for priority, _ in MIX], [weight for _, weight in MIX]
    return [(next(times) * unit_s, choice.choices(priorities, weights)[0]) for _ in range(tasks)]


def drive(executor: LocalExecutor, state: Path, load: Sequence[tuple[float, Priority]], prefix: str) -> None:
    """Submit `load` in its own time and wait for the last task's end."""
    clock, watcher, pause = SystemClock(), Silent(), threading.Event()
    journal = Journal(state)
    intake = Intake(CAPACITY, journal, keep=CAPACITY, keep_bytes=KEPT)
    outbox = Outbox()
    workers = Workers(WORKERS, intake, executor, outbox, clock, watcher)
    try:
        start = clock.monotonic_ns()
        for number, (at, priority) in enumerate(load):
            pause.wait(max(0.0, at - (clock.monotonic_ns() - start) / 1e9))
            intent = Intent(f"{prefix}-{number}", "cbo", (Command(("echo", "hello")),), priority=priority)
            intake.add(Task(intent, ("cp14",), "cbo", b"bench", stream=False, accepted_ns=clock.monotonic_ns()))
        if not intake.wait_idle(IDLE_S):
            raise RuntimeError("the tasks did not end in time")
    finally:
        intake.stop()
        workers.wait_ended(IDLE_S)
        outbox.close()
        journal.close()
    if watcher.broken:
        raise RuntimeError(f"{len(watcher.broken)} tasks did not complete; the first: {watcher.broken[0]}")


def record(tasks: int, keep: Path | None = None) -> tuple[Recorded, str]:
    """The trail of a real run of `tasks`, and the engine it was on."""
    with tempfile.TemporaryDirectory(prefix="cordon-bench-") as folder:
        state = Path(folder)
        executor = open_executor("auto", state=state, policies=default_policies_dir(), drill=True, progress=_say)
        try:
            engine = executor.engine
            drive(executor, state, [(0.0, Priority.NORMAL)] * WARM_UP, "warm-up")
            trial = read(state / "logs" / "svf_audit").passages
            unit_s = mean([sum(passage.stages.values()) for passage in trial])
            _say(f"a task takes {unit_s:.1f} s here; {tasks} of them will be submitted")
            drive(executor, state, plan(tasks, unit_s), "load")
        finally:
            executor.close()
        found = read(state / "logs" / "svf_audit")
        if keep:
            shutil.copytree(state / "logs" / "svf_audit", keep, dirs_exist_ok=True)
    # Intents of the warm-up come first; times count from the load's own first arrival.
    own = found.passages[WARM_UP:]
    begun = own[0].arrived_s
    return replace(found, passages=tuple(replace(one, arrived_s=one.arrived_s - begun) for one in own)), engine


def compared(recorded: Recorded) -> dict[str, float]:
    """Measured and predicted mean waits, and how far the drawn predictions lie apart, in seconds."""
    measured = mean([passage.waited_s for passage in recorded.passages])
    replayed = mean(predicted_waits(as_load(recorded, workers=WORKERS, pool=POOL, form="in_order"), 1))
    drawn = predicted_waits(as_load(recorded, workers=WORKERS, pool=POOL))
    even = as_load(replace(recorded, passages=recorded.passages[::2]), workers=WORKERS, pool=POOL)
    whole = as_load(recorded, workers=WORKERS, pool=POOL)
    by_name = {source.name: source for source in even.sources}
    sources = tuple(
        replace(source, service_s=by_name[source.name].service_s if source.name in by_name else source.service_s)
        for source in whole.sources
    )
    held_out = mean(predicted_waits(replace(even, sources=sources)))
    return {
        "measured": measured,
        "replayed": replayed,
        "fitted": mean(drawn),
        "held_out": held_out,
        "scatter": statistics.stdev(drawn),
    }


def figures(tasks: int = TASKS, keep: Path | None = None) -> list[dict[str, Any]]:
    """Mean waits measured and predicted, and how far the prediction is off."""
    recorded, engine = record(tasks, keep)
    waits = compared(recorded)
    scatter = waits.pop("scatter") / waits["fitted"] * 100
    found = [spread(f"capacity_real.wait_{name}", "s", [value]) for name, value in waits.items()]
    found.append(spread("capacity_real.fitted_scatter", "%", [scatter]))
    for name in ("replayed", "fitted", "held_out"):
        off = abs(waits[name] / waits["measured"] - 1) * 100
        found.append(spread(f"capacity_real.{name}_error", "%", [off]))
    return [{**figure, "engine": engine, "tasks": tasks} for figure in found]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS, help=f"tasks submitted ({TASKS})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the audit trail there")
    chosen = parser.parse_args()
    json.dump(figures(chosen.tasks, chosen.keep), sys.stdout, indent=2)
    sys.stdout.write("\n")

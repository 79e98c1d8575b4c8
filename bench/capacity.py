"""The capacity simulator. Bars: 1,000,000 tasks in 120 s on one core; mean waits within 3 % of M/M/c theory.

`capacity_real` compares it with a measured run.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import Any, Final

from bench.figure import spread
from executor.intent import Priority
from harness.simulate import theory
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import Duration
from harness.simulate.load import BudgetPlan, Load, Serving, Source, Stages
from harness.simulate.run import simulate

SERVERS: Final = 4
LOADS: Final = (0.5, 0.7, 0.9)
"""How busy. Each gets a million tasks: their mean then scatters by 1.2 % with the seed (200,000 at 0.5: by 2.5 %)."""
MIX: Final = {Priority.HIGH: 0.4, Priority.LOW: 0.6}
WARM_UP_S: Final = 500.0
TASKS: Final = 1_000_000


def mmc(busy: float, tasks: int, mix: dict[Priority, float] | None = None) -> Load:
    """Poisson arrivals, exponential service times with a mean of a second."""
    source = Source(
        "all",
        Arrivals("poisson", rates=(SERVERS * busy,)),
        Duration("exponential", (1.0,)),
        priorities=tuple((mix or {Priority.NORMAL: 1.0}).items()),
    )
    return Load("mmc", "M/M/c", Serving(SERVERS, SERVERS), (source,), tasks=tasks, warmup_s=WARM_UP_S)


def everything() -> Load:
    """A million tasks with all there is: stages, budgets judged by the policy, a pool, three hosts, two sources."""
    base = mmc(0.9, TASKS, MIX)
    serving = Serving(2, 2, hosts=3, clone_s=Duration("lognormal", (0.8, 0.3)), acquire_s=Duration("constant", (0.1,)))
    stages = Stages(Duration("constant", (0.01,)), Duration("exponential", (0.005,)), Duration("constant", (0.01,)))
    other = replace(base.sources[0], name="other", requester="cp15", arrivals=Arrivals("poisson", rates=(1.0,)))
    budget = BudgetPlan(start_atp=10_000, refill_per_hour=1_000_000)
    return replace(base, serving=serving, stages=stages, sources=(base.sources[0], other), budget=budget)


def figures() -> list[dict[str, Any]]:
    """Seconds of processor and of clock for a million tasks, and how far the mean waits are off, in percent."""
    found = []
    for busy in LOADS:
        wait = simulate(mmc(busy, TASKS))[0]["wait_s"]["all"]["mean"]
        off = abs(wait / theory.mean_wait(SERVERS, SERVERS * busy, 1.0) - 1) * 100
        found.append(spread(f"capacity.mmc_error_at_{busy:g}", "%", [off]))
    waits = simulate(mmc(0.8, 400_000, MIX))[0]["wait_s"]
    rates = [SERVERS * 0.8 * share for share in MIX.values()]
    for priority, expected in zip(MIX, theory.mean_waits_by_priority(SERVERS, rates, 1.0), strict=True):
        off = abs(waits[priority.name]["mean"] / expected - 1) * 100
        found.append(spread(f"capacity.priority_error_{priority.name.lower()}", "%", [off]))
    for name, load in (("mmc", mmc(0.9, TASKS)), ("everything", everything())):
        clock, processor = time.perf_counter(), time.process_time()
        simulate(load)
        found.append(spread(f"capacity.million_tasks_{name}", "s", [time.perf_counter() - clock]))
        found.append(spread(f"capacity.million_tasks_{name}_cpu", "s", [time.process_time() - processor]))
    return found


if __name__ == "__main__":
    json.dump(figures(), sys.stdout, indent=2)
    sys.stdout.write("\n")

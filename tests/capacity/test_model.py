"""The simulated service keeps what the real one promises, whatever the load and whatever goes wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from executor.intent import Priority
from harness.simulate import theory
from harness.simulate.arrivals import Arrivals
from harness.simulate.durations import Duration
from harness.simulate.figures import figures
from harness.simulate.load import Incident, Load, Serving, Source, Stages, Target
from harness.simulate.measures import Measures
from harness.simulate.model import Model
from harness.simulate.parts import Task
from harness.simulate.run import missed
from tests.capacity.conftest import loads, mmc


class Watched(Model):
    """Notes in which order tasks are taken, and looks after every event whether a worker idles while a task waits."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self.taken: list[Task] = []

    def _begin(self, task: Task) -> None:
        self.taken.append(task)
        super()._begin(task)

    def dispatch(self) -> None:
        super().dispatch()
        if not self._dispatching and self.stopped is None:
            assert not (self.free and len(self.queue)), "a worker idles while a task waits"

    def run(self) -> Measures:
        measures = super().run()
        assert 0 <= self.free <= self.workers
        for host in self.hosts:
            assert 0 <= host.warm <= max(self.load.serving.pool, 0)
            assert host.alive == host.warm + host.cloning + len(host.running)
        return measures


@given(load=loads())
def test_every_task_ends_once_and_the_first_to_come_is_the_first_of_its_priority(load: Load) -> None:
    """Arrived = ended + left; FIFO within a priority; nobody waits less than nothing; no worker idles needlessly."""
    model = Watched(load)
    measures = model.run()
    assert measures.arrived == sum(measures.ends.values()) + measures.left
    assert measures.ends["refused"] == sum(measures.refused.values())
    assert measures.ends["denied"] == sum(measures.denied.values())
    lanes: dict[Priority, list[float]] = defaultdict(list)
    for task in model.taken:
        lanes[task.priority].append(task.arrived)
    assert all(lane == sorted(lane) for lane in lanes.values())
    assert all(wait >= 0 for waits in measures.waits.values() for wait in waits)
    assert 0 <= measures.busy_s <= measures.worker_s + 1e-6
    assert measures.longest_queue <= load.serving.queue


@given(load=loads())
def test_the_same_seed_gives_the_same_figures(load: Load) -> None:
    """Two runs of one load are equal to the last digit, timeline and all."""
    first, second = Model(load).run(), Model(load).run()
    assert figures(load, first) == figures(load, second)
    assert first.timeline == second.timeline


def test_another_seed_gives_another_run() -> None:
    """The seed is used."""
    load = mmc(servers=2, busy=0.7, tasks=500)
    assert figures(load, Model(load).run()) != figures(load, Model(replace(load, seed=2)).run())


@pytest.mark.parametrize(("busy", "tasks"), [(0.5, 60_000), (0.7, 200_000), (0.85, 300_000)])
def test_waits_are_those_of_queueing_theory(busy: float, tasks: int) -> None:
    """The mean wait is within 3 % of Erlang C's at three loads."""
    load = mmc(servers=4, busy=busy, tasks=tasks)
    expected = theory.mean_wait(4, 4 * busy, 1.0)
    found = figures(load, Model(load).run())
    assert found["wait_s"]["all"]["mean"] == pytest.approx(expected, rel=0.03)
    assert found["utilisation"] == pytest.approx(busy, rel=0.03)


def test_urgent_tasks_wait_as_theory_says() -> None:
    """With two priorities and nobody interrupted, both mean waits are within 5 % of Cobham's."""
    mix = {Priority.HIGH: 0.4, Priority.LOW: 0.6}
    load = mmc(servers=3, busy=0.8, tasks=200_000, mix=mix)
    high, low = theory.mean_waits_by_priority(3, [2.4 * 0.4, 2.4 * 0.6], 1.0)
    found = figures(load, Model(load).run())["wait_s"]
    assert found["HIGH"]["mean"] == pytest.approx(high, rel=0.05)
    assert found["LOW"]["mean"] == pytest.approx(low, rel=0.05)


def test_theory_agrees_with_itself() -> None:
    """One server is the M/M/1 formula; classes together wait what one class would; known value of Erlang C."""
    assert theory.mean_wait(1, 0.8, 1.0) == pytest.approx(0.8 / 0.2)
    assert theory.erlang_c(2, 1.0) == pytest.approx(1 / 3)
    waits = theory.mean_waits_by_priority(3, [1.0, 0.5, 0.9], 1.0)
    together = sum(rate * wait for rate, wait in zip([1.0, 0.5, 0.9], waits, strict=True)) / 2.4
    assert together == pytest.approx(theory.mean_wait(3, 2.4, 1.0))


def at(*times: float, service: float = 10.0, **fields: Any) -> Source:
    """A source whose tasks come at `times` and run `service` seconds."""
    return Source("all", Arrivals("trace", times=times), Duration("constant", (service,)), **fields)


def run(source: Source, serving: Serving | None = None, **fields: Any) -> dict[str, Any]:
    load = Load("one", "One", serving or Serving(1, 1), (source,), **fields)
    return figures(load, Model(load).run())


def test_a_full_queue_refuses_the_next() -> None:
    """One runs, two wait, the fourth is refused with the queue's own code."""
    found = run(at(0, 1, 2, 3), Serving(1, 1, queue=2))
    assert (found["tasks"]["completed"], found["refused"]) == (3, {"queue.full": 1})
    assert found["queue"]["longest"] == 2
    assert found["wait_s"]["all"]["max"] == 18.0


def test_a_scram_flushes_pauses_and_refuses_until_it_is_resumed() -> None:
    """Running tasks end as much later as it lasted; waiting ones are gone; arrivals meanwhile are refused."""
    found = run(at(0, 1, 2, 7, 30), incidents=(Incident("scram", 5, 10),))
    assert found["scrams"] == [
        {"at_s": 5, "flushed": 2, "paused": 1, "turned_away": 0, "refused": 1, "resumed_s": 15, "drained_after_s": 0}
    ]
    assert found["tasks"]["completed"] == 2
    assert found["refused"] == {"control.safe_mode": 1}
    assert found["turnaround_s"]["NORMAL"]["max"] == 20.0


def test_a_paused_machines_wall_clock_runs_on() -> None:
    """A task whose limit falls into the stop ends by its limit, and its worker is free when the stop is over."""
    found = run(at(0, timeout_s=12), incidents=(Incident("scram", 5, 60),))
    assert (found["tasks"]["timed_out"], found["turnaround_s"]["NORMAL"]["max"]) == (1, 12.0)


def test_what_is_being_judged_when_everything_stops_is_turned_away() -> None:
    """As in the service: a task whose lease is ready after the stop gets no machine."""
    stages = Stages(decision_s=Duration("constant", (1.0,)))
    found = run(at(0), stages=stages, incidents=(Incident("scram", 0.5, 10),))
    assert (found["tasks"]["turned_away"], found["tasks"]["completed"], found["pool"]["hits"]) == (1, 0, 0)


def test_a_lost_host_takes_its_tasks_and_comes_back_empty() -> None:
    """The running task is aborted, the waiting one is served by the host that is back, with a machine to be made."""
    serving = Serving(1, 1, clone_s=Duration("constant", (3.0,)))
    found = run(at(0, 1), serving, incidents=(Incident("hosts_lost", 5, 5),))
    assert (found["tasks"]["aborted"], found["tasks"]["completed"]) == (1, 1)
    assert (found["pool"]["hits"], found["pool"]["misses"]) == (1, 1)
    assert found["wait_s"]["all"]["max"] == 9.0


def test_without_reviewers_nothing_is_granted() -> None:
    """The task is denied after the wait for its review; after the outage all is well."""
    found = run(at(0, 20), incidents=(Incident("reviewers_down", 0, 10, answers_after_s=2.0),))
    assert (found["denied"], found["tasks"]["completed"]) == ({"reviews.missing": 1}, 1)


def test_a_decision_over_the_deadline_is_a_denial() -> None:
    """OPA at fifty times its 0.1 s is over its two seconds: the task is denied and held its worker that long."""
    stages = Stages(decision_s=Duration("constant", (0.1,)))
    found = run(at(0, 1), stages=stages, incidents=(Incident("opa_slow", 0, 10, factor=50.0),))
    assert found["denied"] == {"policy.unavailable": 2}
    assert found["wait_s"]["all"]["max"] == 1.0


def test_an_empty_pool_costs_a_clone_and_is_refilled_one_at_a_time() -> None:
    """Three tasks at once on a pool of one: one hit, two misses, which wait for their machines."""
    serving = Serving(3, 1, clone_s=Duration("constant", (2.0,)))
    found = run(at(0, 0, 0, 60, service=1.0), serving)
    assert (found["pool"]["hits"], found["pool"]["misses"]) == (2, 2)
    assert found["turnaround_s"]["NORMAL"]["max"] == 3.0


def test_a_refill_may_take_another_time_than_a_clone_in_a_tasks_way() -> None:
    """The pool's machine is there after its own time: the third task a second later finds it."""
    serving = Serving(2, 1, clone_s=Duration("constant", (9.0,)), refill_s=Duration("constant", (0.5,)))
    found = run(at(0, 1, 2, service=0.2), serving)
    assert (found["pool"]["hits"], found["pool"]["misses"]) == (3, 0)


def test_short_memory_keeps_the_pool_small() -> None:
    """The pool's own plan leaves the floor free: of four machines two fit."""
    load = Load("one", "One", Serving(4, 4, memory_mb=2048, machine_mb=512), (at(0, service=1.0),))
    model = Model(load)
    assert model._wanted(model.hosts[0]) == 2


def test_a_lost_hosts_workers_are_not_busy() -> None:
    """The timeline's busy workers are those at a task: on hosts that are gone nobody is."""
    measures = Model(
        Load(
            "one",
            "One",
            Serving(2, 2, hosts=2),
            (at(*range(20), service=0.5),),
            incidents=(Incident("hosts_lost", 5.2, 8, hosts=2),),
        )
    ).run()
    busy = {at: count for at, _, count in measures.timeline}
    assert {busy[float(second)] for second in range(6, 13)} == {0}
    assert max(busy.values()) <= 4


def test_who_never_gets_a_turn_has_waited_all_the_same() -> None:
    """Urgent tasks fill the only worker: those of the other priority are there at the end, and their wait shows."""
    urgent = replace(at(*range(100), service=1.0), name="urgent", priorities=((Priority.HIGH, 1.0),))
    load = Load("one", "One", Serving(1, 1), (urgent, replace(at(*range(1, 50)), name="rest")), duration_s=100)
    found = figures(load, Model(load).run())
    waited = found["wait_s"]["NORMAL"]
    assert (waited["n"], waited["max"], waited["p50"]) == (49, 99.0, 75.0)
    target = Target("wait_p95_s of NORMAL", "wait_s.NORMAL.p95", 5)
    assert missed(found, (target,)) == ["wait_p95_s of NORMAL: 97 is over 5"]


def test_a_wait_of_nobody_meets_no_target() -> None:
    """Where nothing was measured, all of it in the warm-up, a bound on waits is not kept."""
    load = Load("one", "One", Serving(1, 1), (at(0, 1, service=1.0),), warmup_s=50)
    found = figures(load, Model(load).run())
    assert missed(found, (Target("wait_mean_s", "wait_s.all.mean", 9),)) == ["wait_mean_s: nobody's mean was measured"]

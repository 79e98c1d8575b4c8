"""The warm pool on real VMs: what is handed out is well, what comes back clean, what is sick is told and replaced."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from executor.clock import SystemClock
from executor.domain import VmHost, choose_engine
from executor.image import GoldImage, ensure_agent_disk
from executor.intent import Limits
from executor.machine import Profile
from executor.paths import cache_dir, runtime_dir
from executor.pool import PoolPlan
from executor.pool.warm import WarmProvider
from executor.svf import SvfLog, read
from executor.svf.machine import check_trace

pytestmark = pytest.mark.vm
LIMITS = Limits()
WAIT_S = 120.0


class Pool:
    """A provider with a trail of its own."""

    def __init__(self, provider: WarmProvider, host: VmHost, trail: Path, free: list[int]) -> None:
        self.provider, self.host, self.trail, self.free = provider, host, trail, free

    def events(self) -> list[tuple[str, str]]:
        """(type, VM) of everything the pool has told."""
        return [(event.type.removeprefix("vm_event."), event.vm_id) for event in read(self.trail)]


@pytest.fixture
def opened(cordon_image: GoldImage, cordon_progress: Callable[[str], None], tmp_path: Path) -> Callable[..., Any]:
    """Opens a pool; what it left on record is checked against the machine of events when it is closed."""

    @contextmanager
    def open_pool(**plan: Any) -> Iterator[Pool]:
        clock = SystemClock()
        host = VmHost(cordon_image, ensure_agent_disk(), runtime=runtime_dir(), cache=cache_dir(), clock=clock)
        engine = choose_engine("auto", host, cache_dir(), cordon_progress).engine
        free = [1 << 40]
        with SvfLog.open(tmp_path / "trail", clock) as log:
            provider = WarmProvider(
                host,
                engine,
                clock,
                plan=PoolPlan(**plan),
                recorder=log,
                say=cordon_progress,
                free_memory=lambda: free[0],
            )
            try:
                provider.warm_up()
                yield Pool(provider, host, tmp_path / "trail", free)
            finally:
                provider.close()
        faults = [fault for fault in check_trace(list(read(tmp_path / "trail"))) if fault.machine == "vm"]
        assert faults == []

    return open_pool


def prepared(machine: Any) -> Any:
    """The machine with the sandbox of a lease in it."""
    refused = machine.session.prepare(
        "lease",
        capabilities=["base:execute"],
        paths_write=["/workspace/**"],
        env_allowlist=(),
        commands=[("true",)],
        limits=LIMITS,
    )
    assert refused is None
    return machine


def test_a_machine_that_died_while_it_waited_is_told_and_another_handed_out(opened: Callable[..., Any]) -> None:
    """QEMU is killed under a waiting machine: ZOMBIE and DESTROYED are on record, the task gets one that works."""
    with opened(size=1) as pool:
        assert pool.provider.wait_waiting(1, WAIT_S)
        (waiting,) = pool.host.alive()
        (vm,) = pool.host._vms.values()
        os.kill(vm.pid, signal.SIGKILL)
        machine = pool.provider.acquire(Profile(), frozenset())
        machine.session.ping(1)
        assert machine.name != waiting
        machine.destroy()
        events = [kind for kind, name in pool.events() if name == waiting]
        assert events == ["READY", "ZOMBIE", "DESTROYED"]
        assert pool.provider.statistics()["sick"] == 1


def test_a_machine_whose_agent_does_not_answer_is_not_the_tasks_problem(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's side of the channel is cut just before hand-out: the next machine is tried, the sick one told."""
    with opened(size=2) as pool:
        assert pool.provider.wait_waiting(2, WAIT_S)
        (first, second) = pool.provider._ready[pool.provider._settings(Profile())]
        monkeypatch.setattr(type(first), "sickness", lambda _vm: "")
        first.session.close()
        machine = pool.provider.acquire(Profile(), frozenset())
        assert machine.name == second.name
        assert [kind for kind, name in pool.events() if name == first.name] == ["READY", "ZOMBIE", "DESTROYED"]
        machine.destroy()


def test_the_pool_shrinks_under_pressure_and_recovers(opened: Callable[..., Any]) -> None:
    """Short of memory the waiting machines go; a task still gets one; when there is room they come back."""
    with opened(size=2) as pool:
        assert pool.provider.wait_waiting(2, WAIT_S)
        pool.free[0] = 0
        machine = pool.provider.acquire(Profile(), frozenset())  # also wakes whoever keeps the balance
        gone = threading.Event()
        for _ in range(600):
            if pool.provider.statistics()["idle"] == 0:
                break
            gone.wait(0.05)
        assert pool.provider.statistics()["idle"] == 0
        assert pool.provider.statistics()["shrunk"] == 1
        pool.free[0] = 1 << 40
        machine.destroy()
        pool.provider.warm_up()  # looks at once, as it would within ten seconds
        assert pool.provider.wait_waiting(2, WAIT_S)


def test_a_machine_is_used_again_clean_and_never_beyond_its_limits(opened: Callable[..., Any]) -> None:
    """With reuse the same machine comes back seeded anew; at its limit it is reset in vain, and goes."""
    with opened(size=1, reuse=True, max_uses=2) as pool:
        assert pool.provider.wait_waiting(1, WAIT_S)
        told: list[str] = []
        first = prepared(pool.provider.acquire(Profile(), frozenset()))
        assert (first.uses, first.reset(), first.recycled(lambda: told.append("back"))) == (1, True, True)
        assert told == ["back"]
        again = prepared(pool.provider.acquire(Profile(), frozenset()))
        assert (again.name, again.uses, again.reset()) == (first.name, 2, True)
        assert not again.recycled(lambda: told.append("never"))
        again.destroy()
        assert (told, pool.provider.statistics()["recycled"]) == (["back"], 1)


def test_a_weakened_task_never_gets_a_used_machine(opened: Callable[..., Any]) -> None:
    """What a used machine has locked cannot be taken away again: a drill gets one of its own."""
    with opened(size=1, reuse=True) as pool:
        assert pool.provider.wait_waiting(1, WAIT_S)
        used = prepared(pool.provider.acquire(Profile(), frozenset()))
        assert (used.reset(), used.recycled(lambda: None)) == (True, True)
        drill = pool.provider.acquire(Profile(), frozenset({"seccomp"}))
        assert (drill.name != used.name, drill.uses) == (True, 1)
        drill.destroy()

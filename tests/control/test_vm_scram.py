"""SCRAM with real machines: all stand within a second, also one whose QEMU does not answer, and none begins to run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import libvirt
import pytest

from executor.clock import SystemClock
from executor.domain import VmHost, choose_engine
from executor.errors import HypervisorError
from executor.image import GoldImage, ensure_agent_disk
from executor.intent import Limits
from executor.machine import Profile
from executor.paths import cache_dir, runtime_dir
from executor.pool.machine import VmMachine
from executor.pool.warm import WarmProvider

pytestmark = pytest.mark.vm
RUNNING = 8
"""As the bar has it; each is a clone of 512 MiB that has touched some 100 MiB."""


@pytest.fixture(scope="module")
def pool(
    cordon_image: GoldImage, cordon_progress: Callable[[str], None]
) -> Iterator[tuple[VmHost, WarmProvider, list[VmMachine]]]:
    """Eight acquired machines."""
    clock = SystemClock()
    host = VmHost(cordon_image, ensure_agent_disk(), runtime=runtime_dir(), cache=cache_dir(), clock=clock)
    verdict = choose_engine("auto", host, cache_dir(), cordon_progress)
    provider = WarmProvider(host, verdict.engine, clock, say=cordon_progress)
    try:
        provider.warm_up()
        yield host, provider, [provider.acquire(Profile(), frozenset()) for _ in range(RUNNING)]
    finally:
        provider.close()


def states(host: VmHost, names: list[str]) -> set[int]:
    """libvirt's word on each domain."""
    connection = host.hypervisor._live()
    return {connection.lookupByName(name).info()[0] for name in names}


def test_eight_machines_stand_within_a_second_and_go_on(pool: tuple[VmHost, WarmProvider, list[VmMachine]]) -> None:
    """All eight are suspended, nothing begins to run until they are let go, and then they answer as before.

    So is one that the pool is making ready at that moment.
    """
    host, provider, machines = pool
    names = sorted(machine.name for machine in machines)
    begun = time.monotonic()
    stopped = host.pause_all()
    took = time.monotonic() - begun
    print(f"8 machines stand after {took * 1000:.0f} ms")  # noqa: T201 - a figure, shown with -s
    assert took < 1.0
    assert {*stopped.suspended, *stopped.by_force} >= set(names)
    assert stopped.missed == ()
    with pytest.raises(HypervisorError, match="everything was stopped"):
        provider.acquire(Profile(), frozenset())
    assert set(host.resume_all()) >= set(names)
    assert states(host, names) == {libvirt.VIR_DOMAIN_RUNNING}
    answered = machines[-1].session.prepare(
        "lease-1",
        capabilities=["base:execute"],
        paths_write=["/workspace/**"],
        env_allowlist=[],
        commands=[("true",)],
        limits=Limits(),
    )
    assert answered is None


def test_machine_whose_qemu_does_not_answer_is_stopped_by_force(
    pool: tuple[VmHost, WarmProvider, list[VmMachine]],
) -> None:
    """A QEMU that hangs takes nothing from the second: its process is stopped instead."""
    host, _, machines = pool
    names = sorted(machine.name for machine in machines)
    hung = machines[0]
    pid = host.hypervisor.pid(hung.name)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # what libvirt asks it stays unanswered
    begun = time.monotonic()
    stopped = host.pause_all()
    took = time.monotonic() - begun
    assert took < 1.0
    assert hung.name in stopped.by_force
    assert {*stopped.suspended, *stopped.by_force} >= set(names)
    assert set(host.resume_all()) >= set(names)
    assert states(host, names) == {libvirt.VIR_DOMAIN_RUNNING}

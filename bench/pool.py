"""The warm pool on real VMs: acquire, clone against cold boot, memory, cleanup.

Bars, on an otherwise idle host: acquire p50 <= 5 ms and p99 <= 25 ms (request to VM resumed and channel writable; what
reseeding takes is a figure of its own), cold boot / acquire >= 200 on tcg, a clone >= 8 times faster than a cold boot,
40 idle machines on a 24 GB host, cleanup p99 <= 5 s. Every acquire takes a machine of its own, out of a pool that the
refiller keeps, through the provider that tasks go through.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.clock import SystemClock
from executor.domain import VmHost, choose_engine
from executor.domain.vm import Vm, VmEngine, VmSettings
from executor.image import ensure_agent_disk, ensure_gold_image
from executor.machine import Profile
from executor.paths import cache_dir, runtime_dir
from executor.pool import PoolPlan
from executor.pool.golden import ensure_golden
from executor.pool.warm import WarmProvider

ACQUIRES: Final = 200
BOOTS: Final = 5
IDLE: Final = 40
"""Machines that wait at once; each may grow to 512 MiB."""
WAIT_S: Final = 120.0


def figures(acquires: int = ACQUIRES, idle: int = IDLE) -> list[dict[str, Any]]:
    """All of it, on the best engine of this host."""
    with _host() as host:
        engine = choose_engine("auto", host, cache_dir(), _say).engine
        boots = [_boot_ms(host, engine) for _ in range(BOOTS)]
        # Before the many: for a while after those the disk is busy with what they have left.
        acquired, reseeded, destroyed = _acquire(host, engine, acquires)
    with _host() as host:
        clones, memory, waiting, cleanups = _fill(host, engine, idle)
    boot = spread(f"pool.cold_boot.{engine}", "ms", boots)
    acquire = spread(f"pool.acquire.{engine}", "ms", acquired, against=boot)
    clone = spread(f"pool.clone.{engine}", "ms", clones, against=boot)
    found = [
        boot,
        acquire,
        spread(f"pool.reseed.{engine}", "ms", reseeded),
        clone,
        spread(f"pool.idle_machines.{engine}", "machines", [waiting]),
        spread(f"pool.idle_memory_pss.{engine}", "MiB", memory),
        spread(f"pool.cleanup.{engine}", "ms", [*cleanups, *destroyed]),
    ]
    return [{**figure, "engine": engine} for figure in found]


def _host() -> closing[VmHost]:
    clock = SystemClock()
    image, agent = ensure_gold_image(_say), ensure_agent_disk()
    return closing(VmHost(image, agent, runtime=runtime_dir(), cache=cache_dir(), clock=clock))


def _boot_ms(host: VmHost, engine: VmEngine) -> float:
    """From nothing to an agent that has spoken."""
    begun = time.perf_counter()
    vm = host.create(VmSettings(engine))
    try:
        vm.start()
        return (time.perf_counter() - begun) * 1000
    finally:
        vm.destroy()


def _fill(host: VmHost, engine: VmEngine, count: int) -> tuple[list[float], list[float], float, list[float]]:
    """Make `count` clones and let all of them wait: ms for each, MiB of each, how many, ms to destroy each."""
    settings = VmSettings(engine)
    golden = ensure_golden(host, settings, SystemClock(), _say)
    vms: list[Vm] = []
    clones = []
    try:
        for _ in range(count):
            begun = time.perf_counter()
            vm = host.create(settings, golden)
            vm.rouse()
            clones.append((time.perf_counter() - begun) * 1000)
            vms.append(vm)
        well = float(sum(not vm.sickness() for vm in vms))
        memory = [_pss_mib(vm.pid) for vm in vms]
    finally:
        cleanups = [_destroy_ms(vm) for vm in vms]
    return clones, memory, well, cleanups


def _acquire(host: VmHost, engine: VmEngine, count: int) -> tuple[list[float], list[float], list[float]]:
    """Take `count` machines one after the other, each once one waits and the refiller rests: ms of the three parts."""
    acquired, reseeded, destroyed = [], [], []
    provider = WarmProvider(host, engine, SystemClock(), plan=PoolPlan(size=1))
    try:
        provider.warm_up()
        for _ in range(count):
            if not provider.wait_waiting(1, WAIT_S):
                raise RuntimeError("the pool was not refilled")
            begun = time.perf_counter_ns()
            machine = provider.acquire(Profile(), frozenset())
            took = time.perf_counter_ns() - begun
            if machine.boot.boot_ns:
                raise RuntimeError("a machine was made for this acquire: nothing warm was measured")
            acquired.append((took - machine.boot.reseed_ns) / 1e6)
            reseeded.append(machine.boot.reseed_ns / 1e6)
            begun = time.perf_counter_ns()
            machine.destroy()
            destroyed.append((time.perf_counter_ns() - begun) / 1e6)
    finally:
        provider.close()
    return acquired, reseeded, destroyed


def _destroy_ms(vm: Vm) -> float:
    begun = time.perf_counter()
    vm.destroy()
    return (time.perf_counter() - begun) * 1000


def _pss_mib(pid: int | None) -> float:
    """Proportional set size of a QEMU process: memory it alone has, and its share of what it shares."""
    if pid is None:
        raise RuntimeError("QEMU's process is not known")
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024


def _say(line: str) -> None:
    sys.stderr.write(f"{line} (load {os.getloadavg()[0]:.1f})\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acquires", type=int, default=ACQUIRES, help=f"how many machines to acquire ({ACQUIRES})")
    parser.add_argument("--idle", type=int, default=IDLE, help=f"how many machines to let wait ({IDLE})")
    chosen = parser.parse_args()
    json.dump(figures(chosen.acquires, chosen.idle), sys.stdout, indent=2)
    sys.stdout.write("\n")

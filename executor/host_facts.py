"""What the host has to give at this moment, measured for the policy's host rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from executor.policy.request import Host

_MB: Final = 1024 * 1024
VMS_MAX: Final = 8
"""VMs one executor keeps running at once; the pool's own limit may be lower."""


def measure(disk: Path, vms_running: int) -> Host:
    """Free memory, CPU and disk now; `disk` is where overlays grow."""
    free = os.statvfs(disk)
    cores = os.cpu_count() or 1
    busy = min(cores, os.getloadavg()[0])
    return Host(
        mem_free_mb=available_memory() // _MB,
        cpu_free_percent=round(100 * (cores - busy) / cores),
        disk_free_mb=free.f_bavail * free.f_frsize // _MB,
        vms_running=vms_running,
        vms_max=VMS_MAX,
    )


def available_memory() -> int:
    """Bytes the kernel believes can be had without swapping; 0 when it does not say: then the policy refuses."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def measuring(disk: Path, vms_running: Callable[[], int], *, drill: bool) -> Callable[[], Host]:
    """A function that measures when it is asked.

    A drill shares the machine with its own other VMs, whose load would make verdicts a matter of timing: there the
    CPUs count as free. Memory and disk are measured all the same.
    """

    def now() -> Host:
        found = measure(disk, vms_running())
        return replace(found, cpu_free_percent=100) if drill else found

    return now

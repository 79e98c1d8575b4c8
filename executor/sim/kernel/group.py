"""The task's control group: what it may use, and what it has used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WHOLE: Final = 100
"""Percent of a processor that one who is in no group may use."""


@dataclass(slots=True)
class Group:
    """One command's. A limit of 0 is none."""

    memory_limit: int = 0
    """Bytes."""
    pids_limit: int = 0
    share: int = WHOLE
    """Percent of a processor."""
    memory: int = 0
    """Bytes in use."""
    memory_peak: int = 0
    cpu_ns: int = 0
    oom_kills: int = 0
    forks_refused: int = 0

    @classmethod
    def of(cls, resources: Mapping[str, Any], *, pids: int) -> Group:
        """From the limits of an OCI configuration; `pids` as the agent sets it once the runtime is done."""
        cpu = resources.get("cpu")
        share = min(WHOLE, WHOLE * cpu["quota"] // cpu["period"]) if cpu else WHOLE
        return cls(resources.get("memory", {}).get("limit", 0), pids, share)

    def holds(self, memory: int) -> bool:
        """Note that its processes hold `memory` bytes; False where that is more than they may: the kernel kills."""
        over = bool(self.memory_limit) and memory > self.memory_limit
        self.memory = min(memory, self.memory_limit) if self.memory_limit else memory  # nobody gets above it
        self.memory_peak = max(self.memory_peak, self.memory)
        self.oom_kills += over
        return not over

    def computes(self, ns: int, share: int) -> int:
        """Charge what one had who computed for `ns` by the clock, with `share` percent of a processor; that."""
        had = ns * share // WHOLE
        self.cpu_ns += had
        return had

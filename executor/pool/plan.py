"""How many machines should wait: the pool's size, less what the host's memory does not bear. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FLOOR_MB: Final = 1024
"""Memory left alone for everything else on the host."""


@dataclass(frozen=True, slots=True)
class Supply:
    """One pool as it is."""

    waiting: int
    size: int
    memory_mb: int
    """What one machine may grow to."""
    free_mb: int
    """What the host can still give, with the waiting machines in place."""


def wanted_clones(supply: Supply) -> int:
    """Machines that should wait now: the full size where there is room, one more only if it fits, fewer under pressure.

    A waiting machine is counted at its full size although it has touched little of it: it may be resumed at any moment.
    """
    room = supply.free_mb - FLOOR_MB
    if room < 0:
        shed = -(room // supply.memory_mb)
        return max(0, min(supply.size, supply.waiting - shed))
    return min(supply.size, supply.waiting + room // supply.memory_mb)

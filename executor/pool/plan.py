"""How many machines should wait, and which may be used again: the pool's decisions. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from executor.errors import InvalidInputError
from executor.machine import Profile

FLOOR_MB: Final = 1024
"""Memory left alone for everything else on the host."""
MAX_USES: Final = 10
"""Tasks one machine may see; DESIGN 5.7."""
MAX_AGE_S: Final = 300
"""Seconds a machine that is used again may live; DESIGN 5.7."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What an operator decides about the pools. Raises `InvalidInputError` for what DESIGN 5.7 does not allow."""

    size: int = 1
    """Machines waiting for each hardware profile that was ever asked for."""
    reuse: bool = False
    """Whether a machine may be reset and used again; one task a machine where not."""
    max_uses: int = MAX_USES
    max_age_s: int = MAX_AGE_S
    warm: tuple[Profile, ...] = (Profile(),)
    """Hardware profiles whose machines are made at the start; the others when first asked for."""

    def __post_init__(self) -> None:
        if self.size < 0 or not 1 <= self.max_uses <= MAX_USES or not 1 <= self.max_age_s <= MAX_AGE_S:
            raise InvalidInputError(
                f"a pool has 0 or more machines, each used at most {MAX_USES} times and {MAX_AGE_S} s; not {self}"
            )

    def worn(self, uses: int, age_ns: int) -> str:
        """Why a machine that was used `uses` times and is `age_ns` old is not used again; empty when it may be."""
        if uses >= self.max_uses:
            return f"used {uses} times"
        if age_ns >= self.max_age_s * 1_000_000_000:
            return f"{age_ns // 1_000_000_000} s old"
        return ""


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

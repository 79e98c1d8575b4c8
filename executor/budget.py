"""Budgets: how much metabolic energy (ATP) each requester has, and what is reserved for running tasks. Pure.

Whether a cost may be paid is the policy's judgement (`cordon.budget` in policies/); this ledger only keeps the numbers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from executor.errors import BugError

START_ATP: Final = 1000
"""ATP a requester begins with; the policy's data decides costs and the floor."""
REFILL_PER_HOUR: Final = 1000
"""ATP an idle requester regains in an hour, up to the start value."""
_HOUR_NS: Final = 3_600_000_000_000


@dataclass(slots=True)
class _Account:
    balance_milli: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """ATP set aside for one task."""

    requester: str
    atp: int


class Budget:
    """The ledger. Thread-safe; amounts are whole ATP outside, thousandths inside, so that refills lose nothing."""

    def __init__(self, *, start: int = START_ATP, refill_per_hour: int = REFILL_PER_HOUR) -> None:
        """Every requester starts with `start` ATP at its first appearance."""
        self._start = start * 1000
        self._refill = refill_per_hour * 1000
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def balance(self, requester: str, now_ns: int) -> int:
        """Whole ATP that `requester` can spend at `now_ns`."""
        with self._lock:
            return self._account(requester, now_ns).balance_milli // 1000

    def reserve(self, requester: str, atp: int, now_ns: int) -> Reservation:
        """Take `atp` out; the policy has allowed it, so a short balance goes to zero rather than fail the task."""
        if atp < 0:
            raise BugError(f"a reservation of {atp} ATP")
        with self._lock:
            account = self._account(requester, now_ns)
            account.balance_milli = max(0, account.balance_milli - atp * 1000)
        return Reservation(requester, atp)

    def refund(self, reservation: Reservation, now_ns: int) -> None:
        """Give a reservation back: its task never ran."""
        with self._lock:
            account = self._account(reservation.requester, now_ns)
            account.balance_milli = min(self._start, account.balance_milli + reservation.atp * 1000)

    def _account(self, requester: str, now_ns: int) -> _Account:
        account = self._accounts.setdefault(requester, _Account(self._start, now_ns))
        if now_ns > account.at_ns:
            gained = (now_ns - account.at_ns) * self._refill // _HOUR_NS
            if gained:  # below a thousandth the time is kept, so that many small steps add up
                account.balance_milli = min(self._start, account.balance_milli + gained)
                account.at_ns = now_ns
        return account

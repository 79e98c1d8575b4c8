"""Budgets: how much metabolic energy (ATP) each requester has, and what is reserved for running tasks. Pure.

Whether a cost may be paid is the policy's judgement (`cordon.budget` in policies/); this ledger only keeps the numbers.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Final

from executor.errors import BudgetRefusedError, BugError

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
    number: int
    """Which of the ledger's it is: given back once, whoever asks."""


class Budget:
    """The ledger. Thread-safe; amounts are whole ATP outside, thousandths inside, so that refills lose nothing."""

    def __init__(self, *, start: int = START_ATP, refill_per_hour: int = REFILL_PER_HOUR) -> None:
        """Every requester starts with `start` ATP at its first appearance."""
        self._start = start * 1000
        self._refill = refill_per_hour * 1000
        self._accounts: dict[str, _Account] = {}
        self._open: dict[int, int] = {}
        """Reservation -> what it really took, in thousandths."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def balance(self, requester: str, now_ns: int) -> int:
        """Whole ATP that `requester` can spend at `now_ns`."""
        with self._lock:
            return self._account(requester, now_ns).balance_milli // 1000

    def reserve(self, requester: str, atp: int, now_ns: int, *, overdraw: bool = False) -> Reservation:
        """Take `atp` out. Raises `BudgetRefusedError` when they are not there any more.

        The policy has allowed the cost by a balance of a moment ago; two tasks may have been judged by the same one.
        `overdraw` takes what is left instead: a drill's, and the simulator's.
        """
        if atp < 0:
            raise BugError(f"a reservation of {atp} ATP")
        with self._lock:
            account = self._account(requester, now_ns)
            if atp * 1000 > account.balance_milli and not overdraw:
                left = account.balance_milli // 1000
                raise BudgetRefusedError(
                    f"{requester} has {left} ATP left of the {atp} the task costs; wait, or ask less"
                )
            taken = min(atp * 1000, account.balance_milli)
            account.balance_milli -= taken
            number = next(self._numbers)
            self._open[number] = taken
        return Reservation(requester, atp, number)

    def spend(self, reservation: Reservation) -> None:
        """The task ran: what was set aside is gone. A second call, or one after `refund`, changes nothing."""
        with self._lock:
            self._open.pop(reservation.number, None)

    def refund(self, reservation: Reservation, now_ns: int) -> None:
        """Give a reservation back, as much as it took, once: its task never ran."""
        with self._lock:
            taken = self._open.pop(reservation.number, 0)
            account = self._account(reservation.requester, now_ns)
            account.balance_milli = min(self._start, account.balance_milli + taken)

    def _account(self, requester: str, now_ns: int) -> _Account:
        account = self._accounts.setdefault(requester, _Account(self._start, now_ns))
        if now_ns > account.at_ns:
            gained = (now_ns - account.at_ns) * self._refill // _HOUR_NS
            if gained:  # below a thousandth the time is kept, so that many small steps add up
                account.balance_milli = min(self._start, account.balance_milli + gained)
                account.at_ns = now_ns
        return account

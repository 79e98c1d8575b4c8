"""Class A, the budget: a balance spent between judgement and reservation, given back twice, or more than was taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Final
from unittest.mock import patch

from executor.budget import Budget, Reservation
from executor.clock import SystemClock
from executor.errors import BudgetRefusedError
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

REQUESTER: Final = "cp15"
HOUR_NS: Final = 3_600_000_000_000


@procedure()
def budget_race(stage: Stage, *, spent: bool = True) -> Facts:
    """Spends a requester's whole budget between the policy's decision and the reservation of its task."""
    budget, clock = stage.local.budget, SystemClock()
    taken = []

    def after_another(requester: str, atp: int, now_ns: int, *, overdraw: bool = False) -> Reservation:
        """The task's own reservation, just behind one that takes all."""
        if spent:
            taken.append(Budget.reserve(budget, REQUESTER, budget.balance(REQUESTER, now_ns), now_ns))
        return Budget.reserve(budget, requester, atp, now_ns, overdraw=overdraw)

    request = stage.request({"requester": REQUESTER, "commands": [{"argv": ["true"]}]})
    try:
        with patch.object(budget, "reserve", after_another):
            outcome = stage.run(request)
    finally:
        for reservation in taken:
            budget.refund(reservation, clock.now_ns())
    refused = [reason for reason in outcome.reasons if reason.startswith("budget.")]
    return {"refusal": f"denial {refused[0]}" if refused else "", "effect": outcome.effect}


def _both_at_once(budget: Budget) -> int:
    """Eight tasks of sixty each, reserved at the same moment from a hundred; how much was set aside."""
    start = Barrier(8)

    def reserve(_: int) -> int:
        start.wait()
        try:
            return budget.reserve("cbo", 60, 0).atp
        except BudgetRefusedError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(reserve, range(8)))


def _given_back_twice(budget: Budget) -> int:
    """What is there after one of two reservations was given back twice."""
    budget.reserve("cbo", 60, 0)
    second = budget.reserve("cbo", 30, 0)
    budget.refund(second, 0)
    budget.refund(second, 0)
    return budget.balance("cbo", 0) + 60


def _given_back_after_the_run(budget: Budget) -> int:
    """What is there after a task ran and its reservation was given back all the same."""
    ran = budget.reserve("cbo", 60, 0)
    budget.spend(ran)
    budget.refund(ran, 0)
    return budget.balance("cbo", 0) + 60


def _clock_set_back(budget: Budget) -> int:
    """What is there after the clock went back an hour and forth again, over and over."""
    budget.reserve("cbo", 60, HOUR_NS)
    for _ in range(10):
        budget.balance("cbo", 0)
        budget.balance("cbo", HOUR_NS)
    return budget.balance("cbo", HOUR_NS) + 60


_TRICKS: Final[Mapping[str, Callable[[Budget], int]]] = {
    "both-at-once": _both_at_once,
    "given-back-twice": _given_back_twice,
    "given-back-after-the-run": _given_back_after_the_run,
    "clock-set-back": _clock_set_back,
}


class _Naive(Budget):
    """A ledger that believes its callers: each reservation is granted, each refund is paid, any time is new."""

    def reserve(self, requester: str, atp: int, now_ns: int, *, overdraw: bool = False) -> Any:  # noqa: ARG002 - the ledger's
        with self._lock:
            self._account(requester, now_ns).balance_milli -= atp * 1000
        return Reservation(requester, atp, 0)

    def refund(self, reservation: Any, now_ns: int) -> None:
        with self._lock:
            self._account(reservation.requester, now_ns).balance_milli += reservation.atp * 1000

    def balance(self, requester: str, now_ns: int) -> int:
        with self._lock:
            account = self._account(requester, now_ns)
            moved = now_ns != account.at_ns and account.balance_milli < self._start
            account.balance_milli += 1000 if moved else 0
            return account.balance_milli // 1000


@procedure()
def budget_trick(stage: Stage, *, trick: str, believed: bool = False) -> Facts:
    """Tries to make energy out of a ledger of a hundred; `believed: true` uses one that trusts its callers."""
    del stage  # nothing of it is needed
    ledger = (_Naive if believed else Budget)(start=100, refill_per_hour=0)
    accounted = _TRICKS[trick](ledger) if trick != "honest" else ledger.balance("cbo", 0)
    return {"refusal": "" if accounted > 100 or trick == "honest" else "absence made energy", "over": accounted > 100}

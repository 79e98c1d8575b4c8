"""The ATP ledger: conservation, refill and bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.budget import Budget
from executor.errors import BudgetRefusedError, BugError

HOUR = 3_600_000_000_000
STEPS = st.lists(st.tuples(st.integers(0, HOUR), st.integers(0, 400)), max_size=30)


@given(steps=STEPS)
def test_a_balance_stays_between_zero_and_the_start(steps: list[tuple[int, int]]) -> None:
    """No history of reservations and pauses leaves 0..start."""
    budget, now = Budget(start=500, refill_per_hour=100), 0
    for pause, atp in steps:
        now += pause
        budget.reserve("cbo", atp, now, overdraw=True)
        assert 0 <= budget.balance("cbo", now) <= 500


@given(pauses=st.lists(st.integers(1, HOUR // 50), min_size=1, max_size=100))
def test_looking_often_loses_no_refill(pauses: list[int]) -> None:
    """Many small steps regain what one long pause regains."""
    often, once = Budget(start=1000, refill_per_hour=997), Budget(start=1000, refill_per_hour=997)
    for budget in (often, once):
        budget.reserve("cbo", 1000, 0)
    now = 0
    for pause in pauses:
        now += pause
        often.balance("cbo", now)
    assert abs(often.balance("cbo", now) - once.balance("cbo", now)) <= 1


def test_a_task_that_never_ran_costs_nothing() -> None:
    """A refund restores the balance, and never above the start."""
    budget = Budget(start=10, refill_per_hour=0)
    reservation = budget.reserve("cbo", 4, 0)
    assert budget.balance("cbo", 0) == 6
    budget.refund(reservation, 0)
    budget.refund(reservation, 0)
    assert budget.balance("cbo", 0) == 10
    assert budget.balance("other", 0) == 10


def test_a_negative_reservation_is_a_bug() -> None:
    """Nobody is paid for running."""
    with pytest.raises(BugError):
        Budget().reserve("cbo", -1, 0)


def test_what_is_not_there_cannot_be_set_aside() -> None:
    """A second task judged by the same balance is refused, and nothing is taken."""
    budget = Budget(start=10, refill_per_hour=0)
    budget.reserve("cbo", 7, 0)
    with pytest.raises(BudgetRefusedError, match="cbo has 3 ATP left of the 7"):
        budget.reserve("cbo", 7, 0)
    assert budget.balance("cbo", 0) == 3


def test_a_reservation_gives_back_what_it_took_and_once() -> None:
    """Taken when little was left it gives little back; a second refund, or one after spending, gives nothing."""
    budget = Budget(start=10, refill_per_hour=0)
    first = budget.reserve("cbo", 8, 0)
    short = budget.reserve("cbo", 8, 0, overdraw=True)
    budget.refund(short, 0)
    budget.refund(short, 0)
    assert budget.balance("cbo", 0) == 2
    budget.spend(first)
    budget.refund(first, 0)
    assert budget.balance("cbo", 0) == 2

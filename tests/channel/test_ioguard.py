"""The token bucket's bound, over any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.channel.ioguard import BURST, REFILL, IOGuard

STEPS = st.lists(st.tuples(st.integers(0, 3_000_000_000), st.integers(0, 2 * BURST)), max_size=60)


@given(steps=STEPS)
def test_never_more_than_burst_plus_rate_times_time(steps: list[tuple[int, int]]) -> None:
    """Whatever a greedy reader does, bytes read by time t are at most burst + rate * t, exactly."""
    guard = IOGuard(0)
    now = read = 0
    for pause, wish in steps:
        now += pause
        count = min(wish, guard.allowance(now))
        guard.spend(count)
        read += count
        assert read * 1_000_000_000 <= BURST * 1_000_000_000 + REFILL * now


@given(steps=STEPS, want=st.integers(1, BURST))
def test_the_announced_wait_is_exact(steps: list[tuple[int, int]], want: int) -> None:
    """After `wait_ns` the bytes are there; one nanosecond earlier they are not."""
    guard = IOGuard(0)
    now = 0
    for pause, wish in steps:
        now += pause
        guard.spend(min(wish, guard.allowance(now)))
    guard.allowance(now)
    wait = guard.wait_ns(want)
    if wait:
        assert guard.allowance(now + wait - 1) < want
    assert guard.allowance(now + wait) >= want


@given(steps=STEPS)
def test_a_greedy_reader_gets_the_full_rate(steps: list[tuple[int, int]]) -> None:
    """No token is lost to rounding: a reader that drains at every step gets all that was earned below the cap."""
    guard = IOGuard(0)
    guard.spend(BURST)
    now = read = 0
    for pause, _ in steps:
        step = pause % 200_000_000  # below the quarter second that fills the bucket
        now += step
        count = guard.allowance(now)
        guard.spend(count)
        read += count
    assert read == REFILL * now // 1_000_000_000


def test_overdrawing_and_going_back_in_time() -> None:
    """Spending what is not there is an error; a clock that goes back refills nothing."""
    guard = IOGuard(1_000)
    guard.spend(BURST)
    with pytest.raises(ValueError, match="spending 1 bytes with 0"):
        guard.spend(1)
    assert guard.allowance(0) == 0

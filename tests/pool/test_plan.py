"""How many machines wait: never more than asked for, never more than fit, fewer under pressure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.pool.plan import FLOOR_MB, MAX_AGE_S, MAX_USES, PoolPlan, Supply, wanted_clones

SUPPLIES = st.builds(
    Supply,
    waiting=st.integers(0, 50),
    size=st.integers(0, 50),
    memory_mb=st.integers(1, 8192),
    free_mb=st.integers(0, 100_000),
)


@given(supply=SUPPLIES)
def test_the_target_stays_between_nothing_and_the_size(supply: Supply) -> None:
    """Whatever the host says, 0 <= wanted <= size."""
    assert 0 <= wanted_clones(supply) <= supply.size


@given(supply=SUPPLIES)
def test_growing_never_eats_the_floor(supply: Supply) -> None:
    """If the plan adds machines, all of them at their full size leave the floor free."""
    added = wanted_clones(supply) - supply.waiting
    if added > 0:
        assert supply.free_mb - added * supply.memory_mb >= FLOOR_MB


@given(supply=SUPPLIES)
def test_pressure_sheds_at_least_one_and_enough(supply: Supply) -> None:
    """Below the floor a waiting machine goes, and as many as bring the floor back if there are that many."""
    if supply.free_mb < FLOOR_MB and supply.waiting:
        left = wanted_clones(supply)
        assert left < supply.waiting
        assert left == 0 or supply.free_mb + (supply.waiting - left) * supply.memory_mb >= FLOOR_MB


def test_room_for_all_means_the_full_size() -> None:
    """On a roomy host the pool is full."""
    assert wanted_clones(Supply(waiting=0, size=4, memory_mb=512, free_mb=FLOOR_MB + 4 * 512)) == 4
    assert wanted_clones(Supply(waiting=0, size=4, memory_mb=512, free_mb=FLOOR_MB + 4 * 512 - 1)) == 3


@given(
    uses=st.integers(0, 30), age_s=st.integers(0, 1000), most=st.integers(1, MAX_USES), oldest=st.integers(1, MAX_AGE_S)
)
def test_a_machine_is_worn_exactly_at_its_limits(uses: int, age_s: int, most: int, oldest: int) -> None:
    """It may be used again while it has seen fewer tasks and is younger than the plan says."""
    plan = PoolPlan(reuse=True, max_uses=most, max_age_s=oldest)
    assert bool(plan.worn(uses, age_s * 1_000_000_000)) == (uses >= most or age_s >= oldest)


@pytest.mark.parametrize(("size", "uses", "age_s"), [(-1, 1, 1), (1, 0, 1), (1, 11, 1), (1, 1, 0), (1, 1, 301)])
def test_no_plan_goes_beyond_the_design(size: int, uses: int, age_s: int) -> None:
    """At most 10 uses and 5 minutes, whoever asks."""
    with pytest.raises(InvalidInputError):
        PoolPlan(size=size, max_uses=uses, max_age_s=age_s)

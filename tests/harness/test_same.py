"""What is remembered of a value is remembered of that very one, and of no more than a few."""

from __future__ import annotations

from harness.judgement.same import KEPT, of_same


def test_only_the_very_same_value_is_not_asked_about_again() -> None:
    """An equal one is, and so is one that was pushed out by others; an answer never belongs to another value."""
    asked: list[list[int]] = []

    @of_same
    def total(value: list[int]) -> int:
        asked.append(value)
        return sum(value)

    values = [[number] for number in range(KEPT)]
    assert [total(value) for value in values * 2] == list(range(KEPT)) * 2
    assert len(asked) == KEPT
    assert total([0]) == 0
    assert len(asked) == KEPT + 1
    assert total(values[0]) == 0
    assert len(asked) == KEPT + 2


def test_a_value_is_held_so_that_no_other_takes_its_number() -> None:
    """Values nobody else holds would hand their identity on to the next ones."""

    @of_same
    def total(value: list[int]) -> int:
        return sum(value)

    assert [total([number]) for number in range(1000)] == list(range(1000))

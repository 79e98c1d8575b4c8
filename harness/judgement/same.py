"""Answers about the very same value, remembered: all members of a batch are judged by the same run.

What is asked about are outcomes, trails and requests. They do not change once they are made, but hold dictionaries, so
they have no hash; and to compare two of them takes as long as to judge one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

Value = TypeVar("Value")
Answer = TypeVar("Answer")

KEPT: Final = 8
"""Values remembered: a batch has three runs."""


def of_same(function: Callable[[Value], Answer]) -> Callable[[Value], Answer]:
    """`function`, which is not asked again about one of the last few values: told apart by `is`, held meanwhile."""
    held: dict[int, tuple[Any, Answer]] = {}

    def remembered(value: Value) -> Answer:
        found = held.get(id(value))
        if found is None:
            found = held[id(value)] = (value, function(value))
            if len(held) > KEPT:
                del held[next(iter(held))]
        return found[1]

    return remembered

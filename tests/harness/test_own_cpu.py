"""Processes that simulate side by side: a processor each where there are enough, and none is shut out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

USABLE = sorted(os.sched_getaffinity(0))
KEPT = """
import os, sys
from harness.collection.own_cpu import keep_to_one
keep_to_one(int(sys.argv[1]), int(sys.argv[2]))
print(*os.sched_getaffinity(0))
"""


def kept(number: int, count: int) -> list[int]:
    """Where a process stays that is the `number`-th of `count`."""
    order = [sys.executable, "-c", KEPT, str(number), str(count)]
    return sorted(int(one) for one in subprocess.run(order, check=True, capture_output=True, text=True).stdout.split())


def test_each_of_as_many_as_there_are_processors_has_one_of_its_own() -> None:
    """Together they use all of them."""
    count = len(USABLE)
    assert [kept(number, count) for number in range(count)] == [[one] for one in USABLE]


@pytest.mark.parametrize("more", [1, 7])
def test_more_than_there_are_processors_stay_where_the_scheduler_puts_them(more: int) -> None:
    """Two on one processor while another is idle would be worse than none kept."""
    assert kept(0, len(USABLE) + more) == USABLE


def test_a_worker_in_the_place_of_a_dead_one_has_a_processor_too() -> None:
    """xdist goes on counting."""
    assert kept(len(USABLE), len(USABLE)) == USABLE[:1]

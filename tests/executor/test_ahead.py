"""Work done ahead on another thread: its result, its error, and that it never outlives its block."""

from __future__ import annotations

import threading

import pytest

from executor.ahead import Ahead


def test_the_result_is_what_the_action_returned() -> None:
    """It runs beside the block, and the block's end is its end."""
    here = threading.get_ident()
    with Ahead(threading.get_ident) as ahead:
        pass
    assert ahead.result() != here


def test_an_error_is_raised_where_the_result_is_wanted() -> None:
    """Not where nobody looks, and not lost."""
    with Ahead(lambda: 1 // 0) as ahead:
        pass
    with pytest.raises(ZeroDivisionError):
        ahead.result()


def test_a_block_that_fails_still_waits_for_it() -> None:
    """Whatever the block raised, nothing of the action goes on behind it."""
    gate, done = threading.Event(), []

    def act() -> None:
        gate.wait(10)
        done.append(True)

    def fail() -> None:
        with Ahead(act):
            gate.set()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert done == [True]

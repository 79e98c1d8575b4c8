"""The dead man's switch: what is kept too long is destroyed, by nobody but the switch, and nothing else is."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from executor.clock import ManualClock
from executor.deadman import DeadMan
from executor.errors import HypervisorError
from executor.machine import Machine


class Kept:
    """A machine whose end can be waited for."""

    def __init__(self, *, fails: bool = False) -> None:
        self.gone = threading.Event()
        self._fails = fails

    def destroy(self) -> None:
        self.gone.set()
        if self._fails:
            raise HypervisorError("it does not go")


def held(machine: Any) -> Machine:
    return cast("Machine", machine)


def test_only_the_machine_that_is_kept_too_long_goes() -> None:
    """Of two, the one whose time is over; the other when its time, once extended, is over too."""
    clock, short, long = ManualClock(), Kept(fails=True), Kept()
    switch = DeadMan(clock)
    with switch.holding(held(short), 5 * 10**9) as first, switch.holding(held(long), 6 * 10**9) as second:
        clock.advance(4)
        switch.extend(second, 10 * 10**9)
        clock.advance(2)
        assert short.gone.wait(10)
        assert (first.fired, second.fired) == (True, False)
        clock.advance(9)
        assert long.gone.wait(10)
        assert switch.fired == 2
    switch.close()
    switch.close()


def test_what_was_given_back_in_time_is_left_alone() -> None:
    """After the hold nothing happens, however much time passes; another machine's end shows that it looked."""
    clock, done, late = ManualClock(), Kept(), Kept()
    switch = DeadMan(clock)
    with switch.holding(held(done), 10**9):
        pass
    with switch.holding(held(late), 10**9):
        clock.advance(60)
        deadline = time.monotonic() + 10
        assert late.gone.wait(deadline - time.monotonic())
    assert not done.gone.is_set()
    switch.close()

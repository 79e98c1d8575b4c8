"""When tasks come: arrival processes as iterators of times, in seconds from the start of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from random import Random
from typing import Literal

Process = Literal["poisson", "every", "bursty", "trace"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """An arrival process. `rates`: per second, one for each state of `bursty`; `every` takes 1 / interval."""

    process: Process
    rates: tuple[float, ...] = ()
    stays: tuple[float, ...] = ()
    times: tuple[float, ...] = ()
    """Of a trace."""
    from_s: float = 0.0
    for_s: float = float("inf")

    @property
    def endless(self) -> bool:
        """Whether it goes on for ever."""
        return self.process != "trace" and self.for_s == float("inf")

    @property
    def mean_per_s(self) -> float:
        """Its rate while it lasts; of a trace, over its own length."""
        if self.process == "trace":
            span = self.times[-1] - self.times[0]
            return (len(self.times) - 1) / span if span else 0.0
        if self.process == "bursty":
            weighted = sum(rate * stay for rate, stay in zip(self.rates, self.stays, strict=True))
            return weighted / sum(self.stays)
        return self.rates[0]

    def times_of(self, stream: Random) -> Iterator[float]:
        """Every arrival in order."""
        end = self.from_s + self.for_s
        found = {"poisson": self._poisson, "every": self._every, "bursty": self._bursty, "trace": self._trace}
        times = found[self.process](stream)
        return times if end == float("inf") else takewhile(lambda at: at < end, times)

    def _poisson(self, stream: Random) -> Iterator[float]:
        at, rate, draw = self.from_s, self.rates[0], stream.expovariate
        while True:
            at += draw(rate)
            yield at

    def _every(self, _: Random) -> Iterator[float]:
        number, interval = 0, 1 / self.rates[0]
        while True:
            yield self.from_s + number * interval
            number += 1

    def _bursty(self, stream: Random) -> Iterator[float]:
        """A state's leftover gap is thrown away at its end: the exponential has no memory, so nothing is lost."""
        at, state = self.from_s, 0
        while True:
            until = at + stream.expovariate(1 / self.stays[state])
            rate = self.rates[state]
            while rate and (at := at + stream.expovariate(rate)) < until:
                yield at
            at = until
            state = (state + 1) % len(self.rates)

    def _trace(self, _: Random) -> Iterator[float]:
        return iter(self.times)

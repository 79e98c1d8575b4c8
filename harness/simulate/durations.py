"""How long something takes: distributions, and samplers over a seeded stream. Seconds throughout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Literal

Form = Literal["constant", "exponential", "lognormal", "empirical", "in_order"]
Sampler = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Duration:
    """A distribution. `values`: the constant; the mean; mean and sigma; or the values themselves, by `form`."""

    form: Form
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.values[0] if self.form in {"constant", "exponential", "lognormal"} else _mean(self.values)

    @property
    def nothing(self) -> bool:
        """Whether it is always zero."""
        return not any(self.values)

    def sampler(self, stream: Random) -> Sampler:
        """A function that draws the next value from `stream`."""
        first = self.values[0]
        match self.form:
            case "constant":
                return lambda: first
            case "exponential":
                rate, draw = 1 / first, stream.expovariate
                return lambda: draw(rate)
            case "lognormal":
                sigma, normal = self.values[1], stream.lognormvariate
                mu = math.log(first) - sigma * sigma / 2  # the mean of exp(N(mu, sigma)) is exp(mu + sigma^2 / 2)
                return lambda: normal(mu, sigma)
            case "empirical":
                values, random = self.values, stream.random
                count = len(values)
                return lambda: values[int(random() * count)]
            case "in_order":
                return cycle(self.values).__next__


NOTHING = Duration("constant", (0.0,))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def stream(seed: int, *names: str) -> Random:
    """A stream of its own for each name: what one source draws does not change what another one gets."""
    return Random(":".join((str(seed), *names)))  # noqa: S311 - a simulation has to be repeatable, not secret

"""In which order drills run: as they are written, or shuffled by a seed. No drill may depend on the one before it."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """The order that `seed` stands for: the same in every process that collects the same drills."""

    seed: int

    @classmethod
    def parse(cls, text: str) -> Order:
        """From `random:SEED`; raises `argparse.ArgumentTypeError`."""
        found = re.fullmatch(r"random:(\d{1,9})", text)
        if not found:
            raise argparse.ArgumentTypeError(f"{text!r} is no order; write random:SEED with a number, as in random:7")
        return cls(int(found[1]))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"random:{self.seed}"

    def of(self, things: Sequence[T]) -> list[T]:
        """`things` in this order."""
        found = list(things)
        random.Random(self.seed).shuffle(found)  # noqa: S311 - to be repeated, not to be unguessable
        return found

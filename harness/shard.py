"""One part of the scenarios, for CI jobs that share the work: every scenario is in exactly one of N shards."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th (from 1) of `count` parts."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `I/N`; raises `argparse.ArgumentTypeError`."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise argparse.ArgumentTypeError(f"{text!r} is no shard; write I/N with 1 <= I <= N, for example 1/4")
        return cls(int(found[1]), int(found[2]))

    def keep(self, things: Sequence[T]) -> list[T]:
        """Every `count`-th thing, so that neighbours of one file, alike in cost, are spread."""
        return list(things[self.index - 1 :: self.count])

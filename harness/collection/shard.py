"""One part of the scenarios, for CI jobs that share the work: every scenario is in exactly one of N shards."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Hashable, Sequence
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

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.index}/{self.count}"

    @staticmethod
    def workers(text: str) -> int:
        """Processes that pytest's `-n` asks for: a number, `auto` or `logical`; one without it or for anything odd."""
        if text in {"auto", "logical"}:
            return os.cpu_count() or 1
        return max(int(text), 1) if text.isdecimal() else 1

    def keep(self, things: Sequence[T], *, unit: Callable[[T], Hashable] | None = None) -> list[T]:
        """Every `count`-th thing, so that neighbours of one file, alike in cost, are spread.

        `unit`: what belongs together; things of one unit stay in one shard.
        """
        units = list(dict.fromkeys(map(unit, things))) if unit else list(range(len(things)))
        mine = frozenset(units[self.index - 1 :: self.count])
        return [thing for number, thing in enumerate(things) if (unit(thing) if unit else number) in mine]

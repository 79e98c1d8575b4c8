"""The one module that owns time. Everything else is handed a `Clock`; tests advance one and never sleep."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

_RFC3339: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class Clock(Protocol):
    """Wall time for records, monotonic time for durations; both in nanoseconds."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back."""


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back."""
        return time.monotonic_ns()


@dataclass
class ManualClock:
    """A clock that stands still until it is advanced: for tests and for the simulator."""

    ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC."""
        return self.ns

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that never goes back."""
        return self.ns

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds`."""
        self.ns += round(seconds * 1_000_000_000)


def rfc3339(ns: int) -> str:
    """`ns` since the epoch as RFC 3339 UTC with microseconds: `2026-01-02T03:04:05.678901Z`."""
    moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns % 1_000_000_000 // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> int:
    """The inverse of `rfc3339`, its exact form only; raises `ValueError` for anything else."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not in the form 2026-01-02T03:04:05.678901Z")
    moment = datetime.fromisoformat(text)
    return (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * 1000

"""IOGuard: the token bucket every host read from a guest goes through. Pure: the caller brings the time.

An empty bucket means "do not read now": the bytes stay in the socket, then in the virtio ring, and the guest blocks.
Nothing is dropped and nothing piles up on the host.
"""

from __future__ import annotations

from typing import Final

REFILL: Final = 1024 * 1024
"""Bytes a second; DESIGN 5.5."""
BURST: Final = 256 * 1024
"""Bytes the bucket holds; DESIGN 5.5."""

_SECOND: Final = 1_000_000_000


class IOGuard:
    """A token bucket in exact integers: over any span t, at most `burst + refill * t` bytes are allowed."""

    def __init__(self, now_ns: int, *, refill: int = REFILL, burst: int = BURST) -> None:
        """Start full at `now_ns` (monotonic); `refill` in bytes a second, `burst` in bytes."""
        self._refill = refill
        self._full = burst * _SECOND
        self._level = self._full  # in byte-nanoseconds: no rounding ever loses or invents a byte
        self._at = now_ns

    def allowance(self, now_ns: int) -> int:
        """Bytes that may be read at `now_ns`. Time that runs backwards refills nothing."""
        if now_ns > self._at:
            self._level = min(self._full, self._level + (now_ns - self._at) * self._refill)
            self._at = now_ns
        return self._level // _SECOND

    def spend(self, count: int) -> None:
        """Take `count` bytes out; the caller asked `allowance` first, so overdrawing is a bug and raises ValueError."""
        if count * _SECOND > self._level:
            raise ValueError(f"spending {count} bytes with {self._level // _SECOND} in the bucket")
        self._level -= count * _SECOND

    def wait_ns(self, count: int) -> int:
        """Nanoseconds from the last refill until `count` bytes (at most the burst) are there; 0: now."""
        missing = min(count * _SECOND, self._full) - self._level
        return max(0, -(-missing // self._refill))

"""A run's resource samples as one small SVG: memory, CPU and processes over time. No script, no foreign text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 120
"""Pixels of one curve's panel."""
_LEFT: Final = 120
_MARGIN: Final = 16

Sample = dict[str, int]


@dataclass(frozen=True, slots=True)
class Curve:
    """One panel: which field of the samples, in which unit."""

    field: str
    title: str
    divisor: float
    unit: str


CURVES: Final = (
    Curve("memory_bytes", "memory", 1024 * 1024, "MiB"),
    Curve("cpu_usec", "CPU time", 1e6, "s"),
    Curve("pids", "processes", 1, ""),
)


def resources(samples: Sequence[Sample]) -> str | None:
    """The plot, or None when there are fewer than two samples."""
    if len(samples) < 2:
        return None
    panels = "".join(_panel(samples, curve, number * (HEIGHT + _MARGIN)) for number, curve in enumerate(CURVES))
    height = len(CURVES) * (HEIGHT + _MARGIN) + 24
    end = _seconds(samples)[-1]
    axis = f'<text x="{WIDTH}" y="{height - 6}" text-anchor="end">{end:.1f} s</text>'
    axis += f'<text x="{_LEFT}" y="{height - 6}">0 s</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + _MARGIN} {height}" '
        f'font-family="sans-serif" font-size="12"><title>Resources of the task over time</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{panels}{axis}</svg>'
    )


def _seconds(samples: Sequence[Sample]) -> list[float]:
    return [sample.get("at_ms", 0) / 1e3 for sample in samples]


def _panel(samples: Sequence[Sample], curve: Curve, top: int) -> str:
    values = [sample.get(curve.field, 0) / curve.divisor for sample in samples]
    peak = max(*values, 1e-9)
    times = _seconds(samples)
    span = max(times[-1] - times[0], 1e-9)
    points = " ".join(
        f"{_LEFT + (WIDTH - _LEFT) * (at - times[0]) / span:.1f},{top + HEIGHT - (HEIGHT - 8) * value / peak:.1f}"
        for at, value in zip(times, values, strict=True)
    )
    base = top + HEIGHT
    return (
        f'<text x="8" y="{top + 20}" font-weight="bold">{curve.title}</text>'
        f'<text x="8" y="{top + 38}">peak {max(values):.4g} {curve.unit}</text>'
        f'<line x1="{_LEFT}" y1="{base}" x2="{WIDTH}" y2="{base}" stroke="#999"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="2"/>'
    )

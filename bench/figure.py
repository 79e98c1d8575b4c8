"""One figure of the benchmark suite: a name, a unit, and how the measured values spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def spread(name: str, unit: str, values: Sequence[float], *, against: dict[str, Any] | None = None) -> dict[str, Any]:
    """`values` as `{name, unit, n, p50, p95, p99, min, max}`; percentiles by nearest rank.

    `against`: another figure of the same run; then `ratio_to` names it and `ratio` is its p50 over this one's.
    """
    ordered = sorted(values)
    at = {f"p{part}": ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 95, 99)}
    rounded = {key: round(value, 4) for key, value in {**at, "min": ordered[0], "max": ordered[-1]}.items()}
    figure: dict[str, Any] = {"name": name, "unit": unit, "n": len(ordered), **rounded}
    if against is not None:
        figure |= {"ratio_to": against["name"], "ratio": round(against["p50"] / max(at["p50"], 1e-9), 2)}
    return figure

"""Small line plots as inline SVG: no script, no style attribute, no reference to anything outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from executor.reporting.text import html

WIDTH: Final = 560
HEIGHT: Final = 150
_LEFT: Final = 8
_TOP: Final = 24
_BOTTOM: Final = 20
MAX_POINTS: Final = 400
"""Points drawn; more than pixels are thinned, keeping each group's highest."""

Point = tuple[float, float]


def plot(title: str, unit: str, points: Sequence[Point], *, limit: float | None = None, x_unit: str = "s") -> str:
    """`points` (x, y) as a line; `limit` as a dashed line with its value. An accessible name says the figures."""
    shown = thinned(points)
    peak = max((y for _, y in shown), default=0.0)
    top = max(peak, limit or 0.0) or 1.0
    first, last = (shown[0][0], shown[-1][0]) if shown else (0.0, 0.0)
    span = (last - first) or 1.0
    plane = HEIGHT - _TOP - _BOTTOM

    def at(point: Point) -> str:
        x = _LEFT + (point[0] - first) / span * (WIDTH - 2 * _LEFT)
        return f"{x:.1f},{_TOP + plane - point[1] / top * plane:.1f}"

    base = _TOP + plane
    label = f"{title}: peak {number(peak)} {unit}" + (f", limit {number(limit)} {unit}" if limit else "")
    parts = [
        _opening(HEIGHT, label),
        f'<line x1="{_LEFT}" y1="{base}" x2="{WIDTH - _LEFT}" y2="{base}" class="a"/>',
        f'<text x="{_LEFT}" y="{HEIGHT - 6}" class="s">{number(first)}</text>',
        f'<text x="{WIDTH - _LEFT}" y="{HEIGHT - 6}" class="s" text-anchor="end">{number(last)} {html(x_unit)}</text>',
    ]
    if limit:
        y = _TOP + plane - limit / top * plane
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _LEFT}" y2="{y:.1f}" class="l"/>')
    if len(shown) == 1:
        x, _, y_text = at(shown[0]).partition(",")
        parts.append(f'<circle cx="{x}" cy="{y_text}" r="3" class="d"/>')
    elif shown:
        parts.append(f'<polyline points="{" ".join(at(point) for point in shown)}" class="p"/>')
    return "".join(parts) + "</svg>"


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str = "") -> str:
    """Named horizontal bars, widest first as given."""
    top = max((value for _, value in rows), default=0.0) or 1.0
    height = _TOP + 22 * len(rows)
    parts = [_opening(height, title)]
    for index, (name, value) in enumerate(rows):
        y, wide = _TOP + 22 * index, value / top * 260
        parts.append(f'<rect x="230" y="{y}" width="{wide:.1f}" height="16" class="b"/>')
        parts.append(f'<text x="222" y="{y + 13}" class="s" text-anchor="end">{html(name, 34)}</text>')
        parts.append(f'<text x="{238 + wide:.1f}" y="{y + 13}" class="s">{number(value)} {html(unit)}</text>')
    return "".join(parts) + "</svg>"


def _opening(height: int, label: str) -> str:
    frame = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html(label)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {frame}><text x="{_LEFT}" y="14" class="t">{html(label)}</text>'


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `MAX_POINTS` of `points`, in order; of each group the highest, so that no peak is lost."""
    step = -(-len(points) // MAX_POINTS) or 1
    return [max(points[start : start + step], key=lambda point: point[1]) for start in range(0, len(points), step)]


def number(value: float) -> str:
    """A number for people: at most three places, no trailing zeros."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if value else "0"

"""The trend as a small static SVG: scenarios passed and in all, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.report.front.html import text

WIDTH: Final = 640
HEIGHT: Final = 120
_LEFT: Final = 40
_BASE: Final = HEIGHT - 20


def passed(lines: Sequence[dict[str, Any]]) -> str:
    """The chart over `lines`, oldest first; a run in which something failed has a red dot."""
    most = max(line["scenarios"]["total"] for line in lines) or 1
    step = (WIDTH - _LEFT - 10) / max(len(lines) - 1, 1)

    def at(number: int, value: int) -> str:
        return f"{_LEFT + step * number:.1f},{_BASE - (_BASE - 12) * value / most:.1f}"

    total = " ".join(at(number, line["scenarios"]["total"]) for number, line in enumerate(lines))
    good = " ".join(at(number, line["scenarios"]["passed"]) for number, line in enumerate(lines))
    dots = "".join(
        '<circle cx="{}" cy="{}" r="3" class="{}"><title>{}</title></circle>'.format(
            *at(number, line["scenarios"]["passed"]).split(","),
            "bad" if line["scenarios"]["failed"] else "good",
            text(f"{line['at'][:16]}: {line['scenarios']['passed']} of {line['scenarios']['total']}"),
        )
        for number, line in enumerate(lines)
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>Scenarios passed, run by run</title>'
        f'<line class="axis" x1="{_LEFT}" y1="{_BASE}" x2="{WIDTH}" y2="{_BASE}"/>'
        f'<text x="0" y="16">{most}</text><text x="0" y="{_BASE + 4}">0</text>'
        f'<text x="{_LEFT}" y="{HEIGHT - 4}">{text(lines[0]["at"][:10])}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">{text(lines[-1]["at"][:10])}</text>'
        f'<polyline class="total" points="{total}"/><polyline class="passed" points="{good}"/>{dots}</svg>'
    )

"""Draws the machines as one static SVG: a box per state, an arrow per transition, those never taken in red and dashed.

No scripts and no outside references: it is shown inside reports that forbid both. Every text is escaped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from executor.svf.machine import Machine, SuiteCoverage, Transition

# All lengths in pixels.
COLUMN: Final = 190
ROW: Final = 62
BOX_WIDTH: Final = 104
BOX_HEIGHT: Final = 26
MARGIN: Final = 20
TITLE: Final = 54
LABEL: Final = 13
"""Height of a line of label."""
_STYLE: Final = """
text{font-family:system-ui,sans-serif;font-size:11px;fill:#1b1f24}
.title{font-size:15px;font-weight:600}.note{fill:#57606a}
.state rect{fill:#fff;stroke:#57606a;stroke-width:1.2}.state.end rect{stroke-width:2.6}
.state.unseen rect{stroke:#cf222e;stroke-dasharray:4 3}
.state text{text-anchor:middle;font-weight:600}
path{fill:none;stroke-width:1.5}.taken path{stroke:#1a7f37}.missed path{stroke:#cf222e;stroke-dasharray:5 4}
.taken text{fill:#116329}.missed text{fill:#a40e26;font-weight:600}
.label{paint-order:stroke;stroke:#fff;stroke-width:3.5px;stroke-linejoin:round;font-size:10px}
"""


@dataclass(frozen=True, slots=True)
class _Panel:
    machine: Machine
    left: int
    top: int

    def centre(self, state: str) -> tuple[int, int]:
        column, row = self.machine.states[state]
        return self.left + MARGIN + column * COLUMN + COLUMN // 2, self.top + TITLE + row * ROW + ROW // 2


def draw(machines: Iterable[Machine], coverage: SuiteCoverage) -> str:
    """The drawing; the first machine on the left, the others stacked beside it."""
    panels, width, height = _arrange(list(machines))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" ',
        f'height="{height}">',
        f"<title>{coverage.transitions_covered} of {coverage.transitions_total} transitions taken</title>",
        f"<style>{_STYLE}</style>",
        "<defs>",
        *(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" style="fill:{colour};stroke:none"/></marker>'
            for name, colour in (("taken", "#1a7f37"), ("missed", "#cf222e"))
        ),
        "</defs>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for panel in panels:
        parts += _panel(panel, coverage.visited)
    return "\n".join([*parts, "</svg>", ""])


def _arrange(machines: list[Machine]) -> tuple[list[_Panel], int, int]:
    """Panels, and the size of the whole."""
    panels: list[_Panel] = []
    left = top = column_width = height = 0
    for machine in machines:
        columns, rows = (max(at[axis] for at in machine.states.values()) + 1 for axis in (0, 1))
        size = (columns * COLUMN + 2 * MARGIN, rows * ROW + TITLE + MARGIN)
        if panels and (len(panels) == 1 or top + size[1] > height):
            left, top, column_width = left + column_width, 0, 0
        panels.append(_Panel(machine, left, top))
        column_width = max(column_width, size[0])
        top += size[1]
        height = max(height, top)
    return panels, left + column_width, height


def _panel(panel: _Panel, visited: Collection[Transition]) -> list[str]:
    machine = panel.machine
    taken = [step for step in machine.transitions if step in visited]
    reached = {machine.start, *(step.source for step in taken), *(step.target for step in taken)}
    x, y = panel.left + MARGIN, panel.top + MARGIN
    parts = [
        f'<text class="title" x="{x}" y="{y}">{machine.name}: {len(taken)} of {len(machine.transitions)}</text>',
        f'<text class="note" x="{x}" y="{y + 16}">{escape(machine.what)}</text>',
    ]
    pairs: dict[tuple[str, str], list[Transition]] = defaultdict(list)
    for step in machine.transitions:
        pairs[step.source, step.target].append(step)
    for (source, target), steps in pairs.items():
        draw_pair = _loop if source == target else _arrow
        parts += draw_pair(panel, source, target, steps, visited)
    for state in machine.states:
        x, y = panel.centre(state)
        kinds = f"state{' end' if state in machine.final else ''}{'' if state in reached else ' unseen'}"
        parts.append(
            f'<g class="{kinds}"><rect x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6"/><text x="{x}" y="{y + 4}">{escape(state.replace("_", " "))}</text></g>'
        )
    return parts


def _arrow(
    panel: _Panel, source: str, target: str, steps: list[Transition], visited: Collection[Transition]
) -> list[str]:
    """One curve for all transitions between two states; each has its own line of label."""
    (x1, y1), (x2, y2) = panel.centre(source), panel.centre(target)
    half = BOX_HEIGHT // 2
    same_column = x1 == x2
    if same_column and 0 < y2 - y1 <= ROW:
        path, label = f"M{x1} {y1 + half}L{x2} {y2 - half}", (x1 + 5, (y1 + y2) // 2)
    elif same_column:
        # Around whatever stands between; backwards on the other side than forwards.
        side = 1 if y2 > y1 else -1
        edge, bend = x1 + side * BOX_WIDTH // 2, x1 + side * (BOX_WIDTH // 2 + 34)
        path = f"M{edge} {y1}C{bend} {y1} {bend} {y2} {edge} {y2}"
        label = (bend - (6 if side > 0 else 44), (y1 + y2) // 2)
    elif y1 == y2:
        side = 1 if x2 > x1 else -1
        path = f"M{x1 + side * BOX_WIDTH // 2} {y1}L{x2 - side * BOX_WIDTH // 2} {y2}"
        label = ((x1 + x2) // 2 - 34, y1 - 6)
    else:
        side = 1 if x2 > x1 else -1
        start, end = x1 + side * BOX_WIDTH // 2, y2 - half if y2 > y1 else y2 + half
        path = f"M{start} {y1}C{x2} {y1} {x2} {(y1 + y2) // 2} {x2} {end}"
        label = (start + side * 8 - (0 if side > 0 else 60), y1 - 4)
    return [*_curve(path, steps, visited), *_labels(label, steps, visited)]


def _loop(panel: _Panel, source: str, _: str, steps: list[Transition], visited: Collection[Transition]) -> list[str]:
    x, y = panel.centre(source)
    edge = x - BOX_WIDTH // 2
    path = f"M{edge} {y + 6}C{edge - 22} {y + 14} {edge - 22} {y - 14} {edge} {y - 6}"
    longest = max(len(step.name) for step in steps)
    return [*_curve(path, steps, visited), *_labels((edge - 18 - longest * 5, y - 14), steps, visited)]


def _curve(path: str, steps: list[Transition], visited: Collection[Transition]) -> list[str]:
    kind = "taken" if all(step in visited for step in steps) else "missed"
    return [f'<g class="{kind}"><path d="{path}" marker-end="url(#{kind})"/></g>']


def _labels(at: tuple[int, int], steps: list[Transition], visited: Collection[Transition]) -> list[str]:
    x, y = at
    first = y - (len(steps) - 1) * LABEL // 2 + 4
    return [
        (
            f'<g class="{"taken" if step in visited else "missed"}">'
            f'<text class="label" x="{x}" y="{first + index * LABEL}">{escape(step.name)}'
            f"<title>{escape(step.event)}</title></text></g>"
        )
        for index, step in enumerate(steps)
    ]

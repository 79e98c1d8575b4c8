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
COLUMN: Final = 240
ROW: Final = 66
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
    """The drawing; the first machine on top, the others in rows below it."""
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
    """Panels in rows as wide as the widest machine, and the size of the whole."""
    sizes = []
    for machine in machines:
        columns, rows = (max(at[axis] for at in machine.states.values()) + 1 for axis in (0, 1))
        sizes.append((columns * COLUMN + 2 * MARGIN, rows * ROW + TITLE + MARGIN))
    width = max(size[0] for size in sizes)
    panels: list[_Panel] = []
    left = top = row_height = 0
    for machine, size in zip(machines, sizes, strict=True):
        if left + size[0] > width:
            left, top, row_height = 0, top + row_height, 0
        panels.append(_Panel(machine, left, top))
        left += size[0]
        row_height = max(row_height, size[1])
    return panels, width, top + row_height


def _panel(panel: _Panel, visited: Collection[Transition]) -> list[str]:
    machine = panel.machine
    taken = [step for step in machine.transitions if step in visited]
    reached = {machine.start, *(step.source for step in taken), *(step.target for step in taken)}
    x, y = panel.left + MARGIN, panel.top + MARGIN
    parts = [
        f'<text class="title" x="{x}" y="{y}">{machine.name}: {len(taken)} of {len(machine.transitions)}</text>',
        f'<text class="note" x="{x}" y="{y + 16}">{escape(machine.what)}</text>',
    ]
    for bundle in _bundles(panel):
        parts += bundle.draw(visited)
    for state in machine.states:
        x, y = panel.centre(state)
        kinds = f"state{' end' if state in machine.final else ''}{'' if state in reached else ' unseen'}"
        parts.append(
            f'<g class="{kinds}"><rect x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6"/><text x="{x}" y="{y + 4}">{escape(state.replace("_", " "))}</text></g>'
        )
    return parts


def _bundles(panel: _Panel) -> list[_Bundle]:
    """All transitions between two states as one arrow; those that leave a state on one side share its height."""
    pairs: dict[tuple[str, str], list[Transition]] = defaultdict(list)
    for step in panel.machine.transitions:
        pairs[step.source, step.target].append(step)
    sides: dict[tuple[str, int], list[tuple[str, list[Transition]]]] = defaultdict(list)
    loops = [(source, steps) for (source, target), steps in pairs.items() if source == target]
    for (source, target), steps in pairs.items():
        if source != target:
            sides[source, _side(panel.centre(source), panel.centre(target))].append((target, steps))
    for state, steps in loops:
        sides[state, -1 if (state, 1) in sides else 1].append((state, steps))
    found = []
    for (source, side), leaving in sides.items():
        # The arrows that go up are labelled above those that go down, so that they do not cross at the box.
        leaving.sort(key=lambda one: panel.centre(one[0])[1])
        lines = sum(len(steps) for _, steps in leaving)
        line = 0
        for target, steps in leaving:
            shift = round((line + (len(steps) - lines) / 2) * LABEL)
            found.append(_Bundle(panel.centre(source), panel.centre(target), side, shift, steps))
            line += len(steps)
    return found


def _side(source: tuple[int, int], target: tuple[int, int]) -> int:
    """Where an arrow leaves: 0 below, 1 on the right, -1 on the left."""
    (x1, y1), (x2, y2) = source, target
    if x1 != x2:
        return 1 if x2 > x1 else -1
    if 0 < y2 - y1 <= ROW:
        return 0
    return 1 if y2 > y1 else -1


@dataclass(frozen=True, slots=True)
class _Bundle:
    """One arrow: from, to, the side it leaves on, how far from the middle of that side, and what it stands for."""

    source: tuple[int, int]
    target: tuple[int, int]
    side: int
    shift: int
    steps: list[Transition]

    def draw(self, visited: Collection[Transition]) -> list[str]:
        """The curve, and one line of label for each transition."""
        kind = "taken" if all(step in visited for step in self.steps) else "missed"
        return [
            f'<g class="{kind}"><path d="{self._path()}" marker-end="url(#{kind})"/></g>',
            *self._labels(visited),
        ]

    def _path(self) -> str:
        (x1, y1), (x2, y2) = self.source, self.target
        half_width, half_height = BOX_WIDTH // 2, BOX_HEIGHT // 2
        if self.side == 0:
            return f"M{x1} {y1 + half_height}L{x2} {y2 - half_height}"
        edge = x1 + self.side * half_width
        start = y1 + max(-half_height + 3, min(half_height - 3, self.shift))
        if (x1, y1) == (x2, y2):
            bend = edge + self.side * 24
            return f"M{edge} {y1 + 7}C{bend} {y1 + 16} {bend} {y1 - 16} {edge} {y1 - 7}"
        if x1 == x2:
            # Around whatever stands between; forwards on the right, backwards on the left.
            bend = edge + self.side * 40
            return f"M{edge} {start}C{bend} {start} {bend} {y2} {x2 + self.side * half_width} {y2}"
        if y1 == y2:
            return f"M{edge} {start}L{x2 - self.side * half_width} {y2 + max(-9, min(9, self.shift))}"
        end = y2 - half_height if y2 > y1 else y2 + half_height
        return f"M{edge} {start}C{x2} {start} {x2} {(y1 + y2) // 2} {x2} {end}"

    def _labels(self, visited: Collection[Transition]) -> list[str]:
        x1, y1 = self.source
        anchor = "end" if self.side < 0 else "start"
        x = x1 + 6 if self.side == 0 else x1 + self.side * (BOX_WIDTH // 2 + 6)
        if self.source == self.target:
            x += self.side * 20
        middle = y1 + ROW // 2 if self.side == 0 else y1 + self.shift
        first = middle - (len(self.steps) - 1) * LABEL // 2 + 3
        return [
            (
                f'<g class="{"taken" if step in visited else "missed"}">'
                f'<text class="label" text-anchor="{anchor}" x="{x}" y="{first + index * LABEL}">{escape(step.name)}'
                f"<title>{escape(step.event)}</title></text></g>"
            )
            for index, step in enumerate(self.steps)
        ]

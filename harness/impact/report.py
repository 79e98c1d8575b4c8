"""What a change does, in words: for a terminal, for a pull request (Markdown), for a program (JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cordon.terminal import one_line, safe
from harness.conform import what_if
from harness.conform.what_if import Changed
from harness.impact.hunks import Hunk
from harness.impact.notice import Noticed
from harness.judgement.judge import GOOD
from harness.replay import report as replayed
from harness.replay.run import Replay
from harness.report.escape import markdown_line

SCHEMA: Final = "cordon.impact/1"
SHOWN: Final = 20
"""Names or lines of one kind in the text; --json has them all."""


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything that was found."""

    base: str
    """As it was named."""
    hunks: tuple[Hunk, ...]
    tests: Noticed
    scenarios: tuple[Changed, ...] | None = None
    """None where they were not asked for."""
    decisions: Replay | None = None
    """None where there are no records."""

    @property
    def changed(self) -> list[Changed]:
        """Scenarios that come out otherwise."""
        return [one for one in self.scenarios or () if one.change == "CHANGED"]

    @property
    def red(self) -> list[Changed]:
        """Those of them that were good and no longer are."""
        return [one for one in self.changed if one.before in GOOD and one.after not in GOOD]

    @property
    def harmless(self) -> bool:
        """Whether no test and no scenario is red, nothing is newly allowed, and some test would miss each piece."""
        flipped = self.decisions.tally.directions["newly-allowed"] if self.decisions else 0
        return not (self.tests.red or self.tests.unnoticed or self.red or flipped)


def as_json(impact: Impact) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "schema": SCHEMA,
        "base": impact.base,
        "harmless": impact.harmless,
        "places": [{"place": hunk.place, "lines": list(hunk.lines())} for hunk in impact.hunks],
        "tests": impact.tests.to_json(),
        "scenarios": None
        if impact.scenarios is None
        else {
            "total": len(impact.scenarios),
            "red": [one.id for one in impact.red],
            "changed": [one.to_json() for one in impact.changed],
        },
        "decisions": None if impact.decisions is None else replayed.as_json(impact.decisions),
    }


def text(impact: Impact) -> Iterator[str]:
    """Lines for a terminal."""
    yield _heading(impact)
    for hunk in impact.hunks[:SHOWN]:
        yield f"  {one_line(hunk.place)}"
        yield from (f"    {safe(line)}" for line in hunk.lines()[:SHOWN])
    yield ""
    yield from (line for part in (_scenarios(impact), _decisions(impact), _tests(impact)) for line in part)


def _heading(impact: Impact) -> str:
    count = len(impact.hunks)
    return f"{count} {'place differs' if count == 1 else 'places differ'} from {one_line(impact.base)}"


def _scenarios(impact: Impact) -> Iterator[str]:
    if impact.scenarios is None:
        return
    total = len(impact.scenarios)
    yield f"Scenarios: {len(impact.changed)} of {total} change, {len(impact.red)} turn red"
    for one in sorted(impact.changed, key=lambda one: one not in impact.red)[:SHOWN]:
        yield f"  {'RED    ' if one in impact.red else 'CHANGED'}  {one.id}: {one_line(one.title)}"
        yield from (f"           {one_line(how)}" for how in one.how[:3])
    yield ""


def _decisions(impact: Impact) -> Iterator[str]:
    if impact.decisions is None:
        yield "Past decisions: none on record here; --log names a trail, and the drills leave one in build/drills"
    else:
        yield "Past decisions:"
        yield from (f"  {line}" for line in replayed.text(impact.decisions, changes=False) if line)
    yield ""


def _tests(impact: Impact) -> Iterator[str]:
    tests = impact.tests
    if tests.red:
        yield f"Tests: {len(tests.red)} fail with the change"
        yield from _named(tests.red)
        return
    yield f"Tests: none fails with the change; {len(tests.whole)} would without it"
    for one in tests.notices:
        place = one_line(one.hunk.place)
        if one.state == "WORDS":
            yield f"  {place}: comments only"
        elif one not in tests.unnoticed:
            yield f"  {place}: noticed by {', '.join((one.by or tests.whole)[:3])}"
        else:
            where = ", ".join(map(one_line, one.beside[:3])) or "a test file of its own"
            yield f"  {place}: NO TEST NOTICES; one that does belongs into {where}"


def _named(names: Sequence[str]) -> Iterator[str]:
    yield from (f"  {one_line(name)}" for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield f"  and {len(names) - SHOWN} more; --json names them"


def markdown(impact: Impact) -> str:
    """A comment for a pull request."""
    mark = ":white_check_mark:" if impact.harmless else ":warning:"
    parts = [f"### {mark} What this change of policies does\n", f"{_heading(impact)}.\n"]
    if impact.scenarios is not None:
        parts += ["#### Scenarios\n", what_if.markdown(impact.scenarios, "this change")]
    parts += ["#### Tests\n", *(f"- {markdown_line(line.strip())}" for line in _tests(impact)), ""]
    if impact.decisions is not None:
        parts.append(replayed.markdown(impact.decisions, changes=False))
    return "\n".join(parts) + "\n"

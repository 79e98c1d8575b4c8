"""The front page: what the reviewer needs is on it, nothing foreign is alive in it, Allure's file is mended."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from executor.clock import SystemClock
from harness.errors import ReportError
from harness.report import front, trend
from harness.report.front.material import Material

EVIL = "<script>alert('x')</script>\u202e\x1b[31m"


def record(name: str, **changes: Any) -> dict[str, Any]:
    """One scenario's record."""
    base: dict[str, Any] = {
        "id": name,
        "title": f"Title of {name}",
        "plan": "A",
        "ruling": "PASSED",
        "good": True,
        "findings": [],
        "listed": "",
        "attempt": None,
        "seconds": 1.5,
    }
    return {**base, **changes}


def summary(**changes: Any) -> dict[str, Any]:
    """A summary in which nothing is wrong."""
    attempts = dict.fromkeys(("escaped", "over_refused", "vacuous", "divergent", "unmeasured"), 0)
    base: dict[str, Any] = {
        "engine": "tcg",
        "host": {"cpus": 2},
        "versions": {"qemu": "9"},
        "digests": {"policy": "sha256:p", "image": "i", "agent": "a"},
        "source": {"commit": "c" * 40, "modified": False},
        "scenarios": {"total": 2, "passed": 2, "failed": 0, "unmeasured": 0},
        "attempts": {"total": 1, "distinct": 1, "blocked": 1, **attempts},
        "svf": {
            "seen": 30,
            "missing": 0,
            "unexpected": 0,
            "coverage": 1.0,
            "types_covered": 20,
            "types_total": 45,
            "transitions_covered": 40,
            "transitions_total": 114,
            "uncovered": ["intent: alert"],
        },
        "writes_outside": 0,
        "sabotage": {"controls": 1, "caught": 1, "missed": []},
        "figures": {"cold boot (tcg)": {"unit": "ms", "n": 1, "min": 1.0, "p50": 2.0, "max": 3.0}},
        "unmeasured": {},
        "duration_s": 61.0,
    }
    return {**base, **changes}


def swept(**changes: Any) -> dict[str, Any]:
    """A matrix of one control."""
    row = {"control": "seccomp", "kind": "guest", "what": "no filter", "caught": True, "caught_by": ["two"]}
    row |= {"finding": "two: said", "rulings": {"two": "ESCAPED"}, "seconds": 1.0}
    return {"controls": 1, "caught": 1, "missed": [], "rows": [{**row, **changes}]}


def material(**changes: Any) -> Material:
    """Material of two scenarios."""
    attempt = {"class": "K", "mechanism": "some-call"}
    found = [record("one"), record("two", plan="escapes", ruling="BLOCKED", attempt=attempt, seconds=9.0)]
    lines = [trend.line_of(summary(), SystemClock())] * 2
    base = Material(summary(), found, swept(), lines, "<svg></svg>", {"two": "abc123"})
    return replace(base, **changes)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class's
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words(page: str) -> str:
    """What a person reads."""
    parser = _Words()
    parser.feed(page)
    return re.sub(r"\s+", " ", " ".join(parser.words))


def test_the_page_has_what_a_reviewer_looks_for() -> None:
    """Verdict, engine, digests, plans, attempts, record, sabotage, slowest, trend, every scenario."""
    page = front.render(material())
    told = words(page)
    for text in (
        "Green: verdict, effect and record agree",
        "2 of 2 scenarios passed; 1 of 1 break-out attempts",
        "engine tcg (real virtual machines, their CPU emulated by QEMU) · 61 s · commit cccccccccccc",
        "policy digest sha256:p",
        "A lease lifecycle 1 1",
        "K kernel primitives 1 1",
        "40 of 114 transitions",
        "intent: alert",
        "seccomp no filter guest noticed two ESCAPED two: said",
        "median 2 ms of 1",
        "Title of one",
    ):
        assert text in told, text
    assert 'href="#abc123"' in page
    assert told.index("two 9.0") < told.index("one 1.5")  # the slowest first


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"summary": summary(attempts={**summary()["attempts"], "escaped": 1})}, "1 break-out attempt(s) escaped"),
        ({"records": [record("one", good=False, ruling="FAILED")]}, "1 scenario(s) did not pass"),
        ({"summary": summary(sabotage={"controls": 1, "caught": 0, "missed": ["x"]})}, "nobody notices that x is gone"),
    ],
)
def test_a_red_run_says_so_first(changes: dict[str, Any], told: str) -> None:
    """The verdict is red, and why comes before everything else."""
    page = words(front.render(material(**changes)))
    assert page.index("Red: do not rely on this sandbox") < page.index(told) < page.index("scenarios passed")


def test_what_is_red_is_named_at_the_top() -> None:
    """Escapes first, with a link and what was found; what is unmeasured with a listed reason is not among them."""
    found = [
        record("late", good=False, ruling="FAILED", findings=["attempt: it failed"]),
        record("two", good=False, ruling="ESCAPED", findings=["attempt: it got through"]),
        record("open", good=False, ruling="UNMEASURED", listed="no such device"),
    ]
    page = front.render(material(records=found))
    told = words(page)
    start, end = told.index("Red scenarios"), told.index("Plans", told.index("Red scenarios"))
    top = told[start:end]
    assert "two Title of two ESCAPED attempt: it got through late Title of late FAILED attempt: it failed" in top
    assert "open" not in top
    assert "Red scenarios" not in words(front.render(material()))


def test_a_control_nobody_missed_stands_out() -> None:
    """The matrix names it, and so it does one that was not tried at all."""
    rows = {**swept(caught=False, caught_by=[], rulings={"two": "BLOCKED"}), "missed": ["seccomp", "quota"]}
    told = words(front.render(material(sabotage=rows)))
    assert "seccomp no filter guest NOBODY two BLOCKED" in told
    assert "quota not tried" in told


def test_foreign_text_is_only_ever_text() -> None:
    """Titles, ids, findings, reasons, versions: no markup, no direction marks, no terminal escapes get through."""
    evil = material(
        records=[record(EVIL, title=EVIL, plan=EVIL)],
        sabotage=swept(what=EVIL, finding=EVIL, rulings={EVIL: EVIL}),
        summary=summary(unmeasured={EVIL: EVIL}, versions={EVIL: EVIL}, engine=EVIL),
        pages={EVIL: '"><script>'},
    )
    page = front.render(evil)
    parser = _Words()
    parser.feed(page)
    assert not {"script", "style", "iframe", "img", "object", "link", "meta"} & set(parser.tags)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_without_sweep_or_earlier_runs_the_page_says_so() -> None:
    """A part that has nothing to show tells why."""
    told = words(front.render(material(sabotage=None, trend=[])))
    assert "This run took no control away" in told
    assert "There is no earlier run" in told


def test_the_page_tells_where_the_simulator_differs() -> None:
    """How many came to the same end, and by name what did not; a run that was not compared says so."""
    counts = {"total": 4, "equal": 2, "divergent": 1, "stale": 0, "unmodelled": 1, "unmeasured": 0}
    compared = {**counts, "modelled_percent": 75.0, "modelled_bar": 0, "wrong": {"two": ["attempt: <b>effect</b>"]}}
    told = words(front.render(material(summary=summary(conformance=compared))))
    assert "2/3 simulated to the same end" in told
    assert "two attempt: <b>effect</b>" in told
    assert told.index("Red: do not rely") < told.index("simulator: two: attempt: <b>effect</b>")
    assert "This run was not compared with the simulator" in words(front.render(material()))


RESULT = base64.b64encode(json.dumps({"fullName": "scenarios.x#one"}).encode()).decode()
DOCUMENT = (
    '<!DOCTYPE html><html><head><meta charset="utf-8"></head><body><div id="app"></div><script>app()</script>'
    '<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>\n<script>gtag()</script>'
    f'<script>d("data/test-results/0af1.json","{RESULT}")</script></body></html>'
)


def test_allures_file_is_mended() -> None:
    """No tracker, no network, and the data's place is there before anything asks for it."""
    document = front.mended(DOCUMENT)
    assert "googletagmanager" not in document
    assert "gtag()" not in document
    assert (
        document.index("default-src 'none'") < document.index("allureReportDataReady=false") < document.index("app()")
    )
    assert front.pages(document) == {"one": "0af1"}
    woven = front.weave(document, "<main>ours</main>")
    assert woven.index('<div id="app"></div>') < woven.index("<main>ours</main>") < woven.index("app()")


@pytest.mark.parametrize("document", ["<html></html>", DOCUMENT.replace("<script async src", "<script  defer src")])
def test_a_report_of_another_shape_is_refused(document: str) -> None:
    """A new Allure that cannot be mended is noticed, and not handed out half mended."""
    with pytest.raises(ReportError, match="another shape"):
        front.mended(document)
    with pytest.raises(ReportError, match="no place"):
        front.weave("<html></html>", "")


def test_the_trend_passes_over_what_it_does_not_know(tmp_path: Path) -> None:
    """A damaged line costs that line; the last runs are kept."""
    path = tmp_path / trend.FILE
    line = trend.line_of(summary(), SystemClock())
    trend.write(path, [line] * (trend.KEPT + 5))
    assert len(trend.read(path)) == trend.KEPT
    path.write_text('{"at": 1}\nnot json\n[]\n' + json.dumps(line) + "\n")
    assert trend.read(path) == [line]
    assert trend.read(tmp_path / "none") == []

"""The report: made by Allure's command line, opened in a real browser, every scenario found, no guest markup alive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.drills import finish
from harness.errors import ReportError
from harness.report import build
from harness.report.browser import Browser
from harness.report.check import check, pages
from harness.report.faults import faults


def test_no_results_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """Allure would call an empty report good; this does not."""
    with pytest.raises(ReportError, match=r"there are no Allure results in .*; run `tox -e drills` first"):
        build.generate(tmp_path, tmp_path / "out")


@pytest.mark.report
def test_a_browser_finds_every_scenario_and_runs_no_guest_script(project: Any, tmp_path: Path) -> None:
    """One HTML file shows red and green by title; guest text with markup stays text; a missing one is told."""
    project.write("a.yaml", project.hello("one"), project.hello("evil", argv="[evil]"), project.attempt)
    project.run("--alluredir=results", "--summary=summary.json")
    titles = finish.titles(project.path / "results")
    assert sorted(titles) == ["An attempt", "Scenario evil", "Scenario one"]
    index = build.generate(project.path / "results", tmp_path / "out", history=tmp_path / "history.jsonl")
    assert index.name == "index.html"
    seen = check(index, titles, screenshots=tmp_path / "shots")
    assert (sorted(seen.found), seen.missing, seen.dialogs) == (sorted(titles), (), ())
    assert (tmp_path / "shots/front.png").read_bytes()[:4] == b"\x89PNG"
    assert check(index, ["An attempt", "Scenario one", "Scenario gone"]).missing == ("Scenario gone",)
    with pytest.raises(ReportError, match="does not count 2 scenarios"):
        check(index, titles[:2])


_OPENED = "[data-testid=test-result-step-header],[data-testid=test-result-attachment-header] button"
"""What unfolds a step or an attachment of Allure's."""


@pytest.mark.report
def test_what_a_guest_printed_is_read_as_it_is(project: Any, tmp_path: Path) -> None:
    """Markup, escapes and direction marks of a guest's output stand unfolded on its page as text, and it fits."""
    project.write("a.yaml", project.hello("evil", argv="[evil]"))
    project.run("--alluredir=results")
    index = build.generate(project.path / "results", tmp_path / "out")
    (page,) = pages(index).values()
    with Browser() as browser:
        browser.resize(390, 6000)
        browser.open(f"{index.absolute().as_uri()}#{page}")
        browser.wait_until(f"document.querySelector('{_OPENED}')")
        # Steps hold steps, which hold attachments: each is opened once, as it appears.
        unfold = f"[...document.querySelectorAll('{_OPENED}')].filter(one => !one.opened)"
        unfold = f"{unfold}.map(one => {{one.opened = true; one.click()}}).length"
        printed = "onerror=alert('ran')>"
        browser.wait_until(f"({unfold}, document.body.innerText.split({json.dumps(printed)}).length > 2)", timeout_s=30)
        text = browser.text()
        assert "\\x1b[31mred\\x1b[0m <script>alert('ran')</script> ]]></script><img src=x onerror=alert('ran')>" in text
        assert "\\u202egnp.exe\\u2066 [x](javascript:alert('ran'))" in text
        assert not {"\u202e", "\u2066", "\x1b"} & set(text)
        assert browser.evaluate("document.querySelectorAll('img[src=x], a[href^=javascript]').length") == 0
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
        assert (browser.dialogs, browser.errors) == ([], [])


@pytest.mark.report
def test_the_browser_notices_script_that_runs(tmp_path: Path) -> None:
    """The check that no guest script runs can fail: a page that opens a dialog is noticed."""
    page = tmp_path / "page.html"
    page.write_text("<title>x</title><p>hello</p><script>setTimeout(() => {alert('ran'); done = 1}, 0)</script>")
    with Browser() as browser:
        browser.open(page.as_uri())
        browser.wait_until("window.done === 1")
        assert browser.dialogs == ["ran"]
        assert "hello" in browser.text()
        with pytest.raises(ReportError, match="the page threw"):
            browser.evaluate("no_such_thing()")
        with pytest.raises(ReportError, match="did not come to"):
            browser.wait_until("false", timeout_s=0.2)


@pytest.mark.report
def test_the_browser_reaches_no_host(tmp_path: Path) -> None:
    """A page that loads something from elsewhere gets nothing: what the report shows must be in the file."""
    page = tmp_path / "page.html"
    page.write_text("<title>x</title><img src='http://example.invalid/x.png' onerror='failed = 1'>")
    with Browser() as browser:
        browser.open(page.as_uri())
        browser.wait_until("window.failed === 1", timeout_s=20)


GOOD = {
    "scenarios": {"passed": 1},
    "attempts": {"escaped": 0, "vacuous": 0, "divergent": 0, "over_refused": 0},
    "writes_outside": 0,
    "svf": {"missing": 0, "unexpected": 0},
    "sabotage": {"controls": 2, "caught": 2},
}


@pytest.mark.parametrize(
    ("part", "name", "value", "fault"),
    [
        ("scenarios", "passed", 0, "no scenario passed"),
        ("attempts", "escaped", 1, "1 break-out attempt(s) escaped"),
        ("attempts", "over_refused", 2, "2 break-out attempt(s) over_refused"),
        ("svf", "missing", 1, "events: 1 missing, 0 unexpected"),
        ("sabotage", "missed", ["seccomp"], "sabotage: nobody notices that seccomp is gone"),
        ("sabotage", "caught", 1, "sabotage: 1 of 2 controls caught"),
    ],
)
def test_faults_in_the_summary_make_a_run_red(part: str, name: str, value: object, fault: str) -> None:
    """Whatever pytest said, these figures must be zero, and something must have passed."""
    assert faults(GOOD) == []
    assert faults({**GOOD, part: {**GOOD[part], name: value}}) == [fault]  # type: ignore[dict-item] # all are dicts
    assert faults({**GOOD, "writes_outside": 3}) == ["3 write(s) outside the sandbox"]

"""Opens the report in a real browser and looks for every scenario in it, as a reviewer would find it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import ReportError
from harness.report.browser import Browser

NARROW: Final = 420
"""Pixels of a narrow window: a phone, or a column beside an editor."""
PAGES: Final = 24
"""Pages opened at the most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the browser found."""

    found: tuple[str, ...]
    """Titles that were there."""
    missing: tuple[str, ...]
    dialogs: tuple[str, ...]
    """Anything that ran as script and said so: must be empty."""
    errors: tuple[str, ...] = ()
    """What a page threw, or wanted and was not allowed: must be empty."""


def pages(index: Path) -> dict[str, str]:
    """Title -> page id of every test result, from the list Allure writes beside the report."""
    listing = index.with_name("test-results.json")
    try:
        entries: dict[str, dict[str, Any]] = json.loads(listing.read_text(encoding="utf-8"))["byId"]
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{listing} cannot be read: {error}") from error
    return {str(entry["name"]): page for page, entry in entries.items()}


def check(index: Path, titles: Sequence[str], *, screenshots: Path | None = None) -> Seen:
    """Open the front page, then scenarios' own pages, and see whether their titles can be read there.

    Every title has to be in the report's list of results; `PAGES` of them, evenly spread, are opened (a second each).

    Raises `ReportError` when the report does not open or shows another number of results than there are titles.
    """
    known = pages(index)
    url = index.absolute().as_uri()
    with Browser() as browser:
        browser.open(url)
        _front_page(browser, len(titles), screenshots)
        browser.evaluate("location.hash = '/'")
        browser.wait_until("/Total\\s+\\d+/.test(document.body.innerText)")
        if not re.search(rf"Total\s+{len(titles)}\b", browser.text()):
            raise ReportError(f"the report's list does not count {len(titles)} scenarios")
        opened = frozenset(titles[:: max(1, -(-len(titles) // PAGES))])
        found = [
            title
            for title in titles
            if title in known and (title not in opened or _shown(browser, known[title], title))
        ]
        dialogs, errors = tuple(browser.dialogs), tuple(browser.errors)
    return Seen(tuple(found), tuple(title for title in titles if title not in found), dialogs, errors)


def _front_page(browser: Browser, count: int, screenshots: Path | None) -> None:
    """Look at our own front page, where there is one: it counts what was run, and fits into a narrow window."""
    if not browser.evaluate("!!document.getElementById('cordon')"):
        return
    if f"of {count} scenarios" not in browser.text() and f"/{count}\n" not in browser.text():
        raise ReportError(f"the report's front page does not count {count} scenarios")
    for name, width in (("front", 1280), ("front-narrow", NARROW)):
        browser.resize(width)
        wide = browser.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            raise ReportError(f"the report's front page is {wide} pixels wide in a window of {width}")
        if screenshots is not None:
            screenshots.mkdir(parents=True, exist_ok=True)
            browser.screenshot(screenshots / f"{name}.png", whole=True)
    browser.resize(1280)


def _shown(browser: Browser, page: str, title: str) -> bool:
    browser.evaluate(f"location.hash = {json.dumps(page)}")
    try:
        browser.wait_until(f"document.body.innerText.includes({json.dumps(title)})", timeout_s=15)
    except ReportError:
        return False
    return True

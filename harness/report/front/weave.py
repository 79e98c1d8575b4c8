"""Puts the front page into Allure's one file, and mends what is wrong with that file.

Three repairs, each needed (found in Allure 3.18's single-file reports):

- the application asks for its data in one script and the data is defined in a later one: where the browser pauses
  between the two (a large file, a busy machine) the page stays empty for ever; the data's place is defined first now;
- it loads a script of a tracking service from the network: taken out;
- nothing keeps its scripts from the network: a content security policy does now.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from harness.errors import ReportError
from harness.report.front.style import STYLE

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' data: blob:; style-src 'unsafe-inline' data:; img-src data: blob:;"
    " font-src data:; media-src data: blob:; connect-src data: blob:; frame-src data: blob:; worker-src data: blob:;"
    " form-action 'none'"
)
"""Everything the report shows is in the file: nothing may be fetched, and nothing sent."""
_FIRST: Final = (
    "<script>window.allureReportDataReady=false;window.allureReportData=window.allureReportData||{};</script>"
)
_TRACKER: Final = re.compile(
    r'<script async src="https://www\.googletagmanager\.com/[^"]*"></script>\s*<script>.{0,2000}?</script>', re.DOTALL
)
_RESULT: Final = re.compile(r'd\("data/test-results/([0-9a-f]+)\.json","([A-Za-z0-9+/=]+)"\)')
_SWITCH: Final = """<script>
(function(){
  var front=document.getElementById("cordon"),back=document.getElementById("cordon-back");
  var app=document.getElementById("app");
  function show(){
    var home=location.hash===""||/^#cordon/.test(location.hash);
    front.hidden=!home;back.hidden=home;app.style.display=home?"none":"";
    if(!home){window.scrollTo(0,0);window.dispatchEvent(new Event("resize"));}
  }
  ["hashchange","popstate","pushState","replaceState"].forEach(function(name){window.addEventListener(name,show);});
  show();
})();
</script>"""


def pages(document: str) -> dict[str, str]:
    """Scenario -> id of its page, from the results in Allure's file."""
    found: dict[str, str] = {}
    for page, encoded in _RESULT.findall(document):
        result: dict[str, Any] = json.loads(base64.b64decode(encoded))
        found[str(result["fullName"]).rpartition("#")[2]] = page
    return found


def mended(document: str) -> str:
    """Allure's file with the repairs of this module; raises `ReportError` where it looks otherwise than known."""
    document = _TRACKER.sub("", document)
    head = document.find("<head>")
    if head < 0 or "https://www.googletagmanager.com" in document[:10_000] + document[-10_000:]:
        raise ReportError("allure's report has another shape than known: it cannot be mended")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    place = head + len("<head>")
    return f"{document[:place]}{policy}{_FIRST}{document[place:]}"


def weave(document: str, front: str) -> str:
    """Allure's mended file with `front` (HTML) before it; raises `ReportError`."""
    place = document.find('<div id="app"></div>')
    if place < 0:
        raise ReportError("allure's report has another shape than known: the front page has no place in it")
    page = f'<div id="cordon"><style>{STYLE}</style>{front}</div><a id="cordon-back" href="#" hidden>Front page</a>'
    place += len('<div id="app"></div>')
    return f"{document[:place]}{page}{_SWITCH}{document[place:]}"


def linked(page_of: Mapping[str, str], scenario: str) -> str:
    """Where a scenario's own page is, as a link's target; empty where it has none."""
    return f"#{page_of[scenario]}" if scenario in page_of else ""

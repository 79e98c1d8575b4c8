"""What the front page tells of the simulator: whether it told the same as the machines of this run, and where not."""

from __future__ import annotations

from typing import Any

from harness.report.front.html import table, tag, text
from harness.report.front.material import Material
from harness.report.front.weave import linked


def tile(compared: dict[str, Any]) -> tuple[str, str, str]:
    """The figure among the others, as (value, words, kind)."""
    if not compared:
        return "-", "simulated: not compared in this run", "dim"
    tried = compared["equal"] + compared["divergent"] + compared["stale"]
    return f"{compared['equal']}/{tried}", "simulated to the same end", "bad" if compared["wrong"] else ""


def section(material: Material) -> tuple[str, str]:
    """The section's body and its note."""
    compared = material.summary.get("conformance") or {}
    if not compared:
        return "", "This run was not compared with the simulator; `tox -e drills` without a choice of scenarios does."
    note = (
        f"After the machines the simulator ran {compared['total']} scenarios: verdict, effect, reasons, the end of each"
        f" command and the events in order were the same in {compared['equal']}. It has no answer to"
        f" {compared['unmodelled']} ({compared['modelled_percent']} % modelled); {compared['unmeasured']} could not be"
        " tried on these machines."
    )
    rows = []
    for name, why in compared["wrong"].items():
        target = linked(material.pages, name)
        shown = tag("a", text(name), href=target) if target else text(name)
        rows.append((shown, "<br>".join(text(line) for line in why)))
    headings = ("scenario", "the simulator's value first, then the machine's")
    return table(headings, rows, class_="stack", numbers=frozenset()) if rows else "", note

"""HTML made safely: text is escaped where it is put in, and control characters are spelled out before that."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from harness.report.escape import visible


def text(value: object) -> str:
    """`value` as text of a page, also inside a quoted attribute."""
    return html.escape(visible(str(value)), quote=True)


def tag(name: str, inner: str, *, class_: str = "", **attributes: str) -> str:
    """An element around `inner`, which is HTML already; attribute values are text."""
    named = {"class": class_, **attributes} if class_ else attributes
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in named.items())
    return f"<{name}{told}>{inner}</{name}>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str = "", numbers: frozenset[int]) -> str:
    """A table that scrolls by itself where it is too wide; cells are HTML, columns of `numbers` stand to the right."""
    kinds = ["num" if place in numbers else "" for place in range(len(headings))]
    head = "".join(tag("th", text(name), class_=kind) for name, kind in zip(headings, kinds, strict=True))
    body = "".join(
        tag("tr", "".join(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows
    )
    inner = tag("thead", tag("tr", head)) + tag("tbody", body)
    return tag("div", tag("table", inner, class_=class_), class_="scroll")


def ruling(value: str) -> str:
    """A ruling as a coloured word; the word says it all, the colour helps."""
    kind = "good" if value in {"PASSED", "BLOCKED"} else "open" if value == "UNMEASURED" else "bad"
    return tag("span", text(value), class_=f"ruling {kind}")


def bar(share: float, kind: str = "good") -> str:
    """A bar, `share` (0 to 1) of it filled."""
    width = max(0.0, min(1.0, share)) * 100
    fill = f'<rect width="{width:.2f}" height="8" class="{kind}"/>'
    return f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{fill}</svg>'

"""Untrusted text made harmless: what a task printed or a requester wrote reaches no terminal or page unescaped."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cordon.terminal import one_line

TAIL: Final = 2000
"""Characters of guest output shown in a failure message."""
_DOUBTFUL: Final = re.compile(r"[^\n\t\x20-\x7e]")
"""What is looked up: all but plain ASCII, newlines and tabs, of which most texts are made."""
_BAD: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that steer terminals or hide text: controls, formats (bidi overrides), surrogates, unassigned."""
_MARKUP: Final = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_{}[]()#+!|~"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}
)
"""What Markdown acts on; a mention of people is broken by a space without width."""


def visible(text: str) -> str:
    """`text` with every steering or invisible character spelled out as an escape; newlines and tabs stay."""
    return _DOUBTFUL.sub(_one, text)


def _one(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _BAD:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def guest_text(raw: bytes, *, tail: int | None = None) -> str:
    r"""Bytes from a guest for a person: undecodable ones as \\xNN, steering ones escaped, at most `tail` characters."""
    text = visible(raw.decode("utf-8", "backslashreplace"))
    if tail is not None and len(text) > tail:
        return f"[{len(text) - tail} characters left out]\n{text[-tail:]}"
    return text


def markdown_line(text: str) -> str:
    """`text` as one line of Markdown, also in a table's cell: no markup, no mention of people, no new cell."""
    return one_line(text).translate(_MARKUP)

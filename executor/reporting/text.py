"""Text from a guest, a lease or a requester, made fit to be read: nothing in it can act on whoever looks.

Control characters, direction marks and lone surrogates become visible escapes; then the text is escaped once more for
where it goes. Every value in a report passes through here, whoever it came from: trust is not tracked, it is not given.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

_BIDI: Final = "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff"
_HIDDEN: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]")
"""Everything below space but tab and line feed, C1 controls, marks that reorder or hide text, surrogates, tags."""
_NAMES: Final = {"\r": "\\r", "\x1b": "\\e", "\x00": "\\0"}


_MARK: Final = "\ue000"
"""Stands between texts that are escaped together: a private character, which no escape makes or takes away."""


def visible(value: object, limit: int = 0) -> str:
    """`value` as text with nothing hidden in it; line breaks and tabs stay. Cut to `limit` characters (0: not)."""
    return _HIDDEN.sub(_escape, _cut(value, limit))


def line(value: object, limit: int = 0) -> str:
    """As `visible`, on one line."""
    return _one_line(_cut(value, limit))


def html(value: object, limit: int = 0) -> str:
    """`value` for an HTML text or a quoted attribute."""
    return _html.escape(visible(value, limit))


def html_all(values: Iterable[object], limit: int = 0) -> list[str]:
    """As `html` for each: a table has hundreds of cells, and most of an escape's time is its beginning."""
    return _each([_cut(value, limit) for value in values], html)


def code(value: object, limit: int = 0) -> str:
    """`value` as a Markdown code span, also inside a table: markup, links and HTML in it stay text."""
    return _span(_cell(_cut(value, limit)))


def code_all(values: Iterable[object], limit: int = 0) -> list[str]:
    """As `code` for each, which see `html_all`."""
    return [_span(text) for text in _each([_cut(value, limit) for value in values], _cell)]


def block(value: object, limit: int = 0) -> str:
    """`value` as a Markdown code block that nothing inside can close."""
    text = visible(value, limit)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _cut(value: object, limit: int) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return f"{text[:limit]}\n[{len(text) - limit} more characters]" if limit and len(text) > limit else text


def _each(texts: Sequence[str], escape: Callable[[str], str]) -> list[str]:
    """`escape` of each, which looks at one character at a time; one by one where a text has the mark itself."""
    together = _MARK.join(texts)
    if together.count(_MARK) != len(texts) - 1:
        return [escape(text) for text in texts]
    return escape(together).split(_MARK)


def _one_line(text: str) -> str:
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _span(text: str) -> str:
    if not text.strip():
        return ""
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {text} {fence}" if text[0] == "`" or text[-1] == "`" else f"{fence}{text}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    number = ord(char)
    return _NAMES.get(char) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}")

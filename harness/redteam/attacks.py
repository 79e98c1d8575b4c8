"""Attacks on texts and documents: real ones, bent. A generator that starts from nothing seldom gets past the door."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

NASTY: Final = (
    *("", "\0", "\x1b[2J", "\u202e", "\ud800", "\ufeff", "\r", "\n", "\t", " ", "..", "/", "//", "../../etc/passwd"),
    *("a" * 5000, "é", "\U0001f600", "<script>alert(1)</script>", "${x}", "$(id)", "%s", "{{7*7}}", "-", "--", "-rf"),
    *("/workspace", "/workspace/", "/workspace/..", "/workspace/../etc", "/proc/self/exe", "/artefact/kernel", "/x"),
    *("NaN", "1e999", "0x10", "no", "null", "~", "!!python/object:os.system", "&a", "*a", "<<: *a", "? ", "- - - -"),
    *("LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "cbo", "drill", "architect", "net:egress", "dev:gpu", "exec:artefact"),
)  # fmt: skip
"""Texts that have broken something somewhere."""
NUMBERS: Final = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30)

texts: Final[SearchStrategy[str]] = st.sampled_from(NASTY) | st.text(max_size=40)
scalars: Final[SearchStrategy[Any]] = (
    texts | st.sampled_from(NUMBERS) | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
)


def anything() -> SearchStrategy[Any]:
    """JSON-like values, some of them deep."""
    deep = st.integers(1, 60).map(_nested)
    return (
        st.recursive(
            scalars,
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
            max_leaves=12,
        )
        | deep
    )


def _nested(depth: int) -> Any:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


@st.composite
def bent_text(draw: DrawFn, originals: Sequence[str], pieces: Sequence[str] = NASTY) -> str:
    """A real text with parts inserted, taken out, doubled or swapped."""
    text = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.integers(0, 30)))
        how = draw(st.integers(0, 4))
        if how == 0:
            text = text[:at] + draw(st.sampled_from(pieces) | st.text(max_size=8)) + text[at:]
        elif how == 1:
            text = text[:at] + text[to:]
        elif how == 2:
            text = text[:to] + text[at:to] * draw(st.sampled_from([1, 2, 50])) + text[to:]
        elif how == 3:
            lines = text.split("\n")
            line = draw(st.integers(0, len(lines) - 1))
            lines[line:line] = [draw(st.sampled_from(lines))]
            text = "\n".join(lines)
        else:
            text = text[:at] + text[at:to][::-1] + text[to:]
    return text


@st.composite
def bent_bytes(draw: DrawFn, originals: Sequence[bytes]) -> bytes:
    """Real bytes with some changed, inserted or taken out."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 3))
        if how == 0 and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            data[at:at] = draw(st.binary(max_size=12))
        elif how == 2:
            del data[at : at + draw(st.integers(0, 20))]
        elif at < len(data):
            data[at] = draw(st.sampled_from([0, 0xFF, 0x7F, 0x80]))
    return bytes(data)


@st.composite
def bent(draw: DrawFn, originals: Sequence[Any], values: SearchStrategy[Any] | None = None) -> Any:
    """A real document with some of its parts replaced, added, taken out or doubled."""
    document = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 3))):
        document = _bend(draw, document, values or anything())
    return document


def _bend(draw: DrawFn, value: Any, values: SearchStrategy[Any]) -> Any:
    """`value` with one change somewhere in it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        how = draw(st.integers(0, 5))
        if how == 0:
            del value[key]
        elif how == 1:
            value[draw(texts)] = draw(values)
        else:
            value[key] = _bend(draw, value[key], values)
        return value
    if isinstance(value, list) and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(value)))
        how = draw(st.integers(0, 3))
        if how == 0 or at == len(value):
            value[at:at] = [draw(values)] * draw(st.sampled_from([1, 1, 1, 70]))
        elif how == 1:
            del value[at]
        else:
            value[at] = _bend(draw, value[at], values)
        return value
    return draw(values)

"""Canonical JSON: the bytes that are signed, and every document that must not be taken for another."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from executor import canonical
from executor.errors import InvalidInputError

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-canonical.MAX_INT, canonical.MAX_INT) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=5), max_leaves=20
)


@given(values)
def test_bytes_are_those_of_the_reference(value: Any) -> None:
    """Whatever encoder is taken, the bytes are RFC 8785's and read back to the same value."""
    data = canonical.dumps(value)
    assert data == rfc8785.dumps(value)
    assert canonical.loads(data) == value
    assert canonical.is_canonical(data, value)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        # RFC 8785 section 3.2.3: keys are sorted by UTF-16 code units, so U+1F600 (D83D DE00) goes before U+FB33.
        (
            {
                "\u20ac": "Euro Sign",
                "\r": "Carriage Return",
                "\ufb33": "Dalet",
                "1": "One",
                "\U0001f600": "Smiley",
                "\x80": "Control",
                "\u00f6": "O umlaut",
            },
            '{"\\r":"Carriage Return","1":"One","\x80":"Control","\u00f6":"O umlaut",'
            '"\u20ac":"Euro Sign","\U0001f600":"Smiley","\ufb33":"Dalet"}'.encode(),
        ),
        # RFC 8785 section 3.2.2.2: short escapes where there are, \u00xx in lower case for the rest, / and DEL bare.
        ('\u20ac$\x0f\nA\'B"\\\\"/\x7f\u2028', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f\u2028"'.encode()),
        ([True, None, -0, canonical.MAX_INT, -canonical.MAX_INT], b"[true,null,0,9007199254740991,-9007199254740991]"),
        ("\u00e9", b'"\xc3\xa9"'),
        ("e\u0301", b'"e\xcc\x81"'),
        ({}, b"{}"),
        ((), b"[]"),
    ],
    ids=["key-order", "utf16-order", "escapes", "scalars", "composed", "decomposed", "empty-object", "tuple"],
)
def test_vectors(value: Any, data: bytes) -> None:
    """Published and own vectors come out byte for byte; unicode forms stay apart."""
    assert canonical.dumps(value) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":1,"b":{"c":[1,{"d":1,"d":2}]}}', "lease: line 1 column 27 ($.b.c[1].d): key 'd' occurs twice"),
        (b'{"a":1,"\\u0061":2}', "lease: line 1 column 8 ($.a): key 'a' occurs twice"),
        (b'{\n "a": 1.0}', "lease: line 2 column 7 ($.a): 1.0 is a float; signed data holds integers only"),
        (b"[1e2]", "lease: line 1 column 2 ($[0]): 1e2 is a float; signed data holds integers only"),
        (b"[NaN]", "lease: line 1 column 2 ($[0]): NaN is not JSON"),
        (b"[-Infinity]", "lease: line 1 column 2 ($[0]): -Infinity is not JSON"),
        (b'{"a":"\\ud800"}', "lease: line 1 column 6 ($.a): lone surrogate U+D800"),
        (b"[9007199254740992]", "lease: line 1 column 2 ($[0]): integer 9007199254740992 is not below 2^53"),
        (b"9" * 5000, f"lease: line 1 column 1 ($): integer {'9' * 40} is not below 2^53"),
        (b"\xef\xbb\xbf{}", "lease: starts with a byte-order mark; plain UTF-8 is wanted"),
        ("{}".encode("utf-16"), "lease: starts with a byte-order mark; plain UTF-8 is wanted"),
        (b'{"a":"\xff"}', "lease: byte 6 is not UTF-8 (invalid start byte)"),
        (b'"\xed\xa0\x80"', "lease: byte 1 is not UTF-8 (invalid continuation byte)"),
        (b'"\xc0\xaf"', "lease: byte 1 is not UTF-8 (invalid start byte)"),
        (b"{} {}", "lease: Extra data: line 1 column 4 (char 3)"),
        (b"{'a':1}", 'lease: line 1 column 2 ($): "\'" cannot stand here'),
        (b'["\t"]', "lease: line 1 column 2 ($[0]): '\"' cannot stand here"),
    ],
)
def test_ambiguous_documents_are_refused_with_their_place(data: bytes, message: str) -> None:
    """What two readers could take for different values is refused, with line, column and path."""
    with pytest.raises(InvalidInputError) as refused:
        canonical.loads(data, where="lease")
    assert str(refused.value) == message


@pytest.mark.parametrize("depth", [64, 65, 100_000])
def test_nesting_is_bounded(depth: int) -> None:
    """64 levels are read, one more is refused, and no depth reaches the interpreter's stack limit."""
    data = b"[" * depth + b"]" * depth
    if depth <= canonical.MAX_DEPTH:
        assert canonical.dumps(canonical.loads(data)) == data
    else:
        with pytest.raises(InvalidInputError, match="nested deeper than 64 levels"):
            canonical.loads(data)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, 1.0]}, r"\$\.a\[1\]: 1\.0 is a float"),
        ({"a": float("nan")}, r"\$\.a: nan is a float"),
        ({"n": 2**53}, r"\$\.n: integer of 54 bits is not below 2\^53"),
        ({1: "a"}, r"\$: key 1 is not a string"),
        ({"a": "\udcff"}, r"\$\.a: lone surrogate U\+DCFF at character 0"),
        ({"a": {"\udcff": 1}}, r"\$\.a: lone surrogate U\+DCFF"),
        ({"a": b"x"}, r"\$\.a: bytes has no JSON form"),
        ({"a": {1}}, r"\$\.a: set has no JSON form"),
    ],
)
def test_what_cannot_be_signed_is_refused_with_its_path(value: Any, message: str) -> None:
    """Floats, big integers, odd keys, surrogates and foreign types never become signed bytes."""
    with pytest.raises(InvalidInputError, match=message):
        canonical.dumps(value)


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()))
def test_reader_answers_or_refuses(data: bytes) -> None:
    """Any bytes are either read to a value that has canonical bytes, or refused with `InvalidInputError`."""
    try:
        value = canonical.loads(data)
    except InvalidInputError:
        return
    assert canonical.loads(canonical.dumps(value)) == value

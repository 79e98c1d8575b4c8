"""Messages between puppets and the model: what goes in comes out, and what is no message is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.sim.puppet.wire import ANSWER, HEAD, answer, answered, packed, unpacked, whole

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.binary(max_size=40)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner), max_leaves=12
)


@given(VALUES)
def test_a_message_comes_out_as_it_went_in(value: object) -> None:
    """Bytes too, empty ones too, wherever they stand."""
    raw = packed(value)
    size, behind = HEAD.unpack_from(raw)
    assert len(raw) == HEAD.size + size + behind
    assert unpacked(size, raw[HEAD.size :]) == value


@given(VALUES)
def test_an_answer_comes_out_as_it_went_in(value: object) -> None:
    """The model's words to a puppet, of the same kinds."""
    raw = answered(value)
    assert ANSWER.unpack_from(raw)[0] == len(raw) - ANSWER.size
    assert answer(raw[ANSWER.size :]) == value


@given(VALUES, st.integers(1, 20))
def test_a_message_is_whole_however_it_comes(value: object, step: int) -> None:
    """In pieces of any size, also within its head."""
    raw, read = packed(value), [step]

    def more(most: int) -> bytes:
        begin, read[0] = read[0], read[0] + min(step, most)
        return raw[begin : read[0]]

    (size, _), body = whole(HEAD, raw[:step], more)
    assert unpacked(size, body) == value


def test_a_message_that_is_too_long_is_refused_unread() -> None:
    """The head's word is enough."""
    with pytest.raises(ValueError, match="too long"):
        whole(HEAD, HEAD.pack(60, 41), lambda _: pytest.fail("it was read"), 100)


def test_an_answer_of_another_kind_is_refused() -> None:
    """A handler that answers with something else is a mistake that is seen at once."""
    with pytest.raises(ValueError, match="unmarshallable"):
        answered(["ok", pytest])


@pytest.mark.parametrize("behind", [b" ", b"1", b"[]"])
def test_a_message_with_something_behind_it_is_refused(behind: bytes) -> None:
    """A second value is no part of the first."""
    with pytest.raises(ValueError, match="something behind it"):
        unpacked(2 + len(behind), b"[]" + behind)


@pytest.mark.parametrize("length", [-1, 4, 1 << 70, True, None, "3", 1.0])
def test_a_message_that_refers_to_bytes_it_does_not_have_is_none(length: object) -> None:
    """A puppet's lengths are checked against what came."""
    text = json.dumps(["write", 1, {"$b": length}]).encode()
    with pytest.raises(ValueError, match="bytes it does not have"):
        unpacked(len(text), text + b"abc")


@given(st.binary(max_size=60))
def test_noise_is_refused_as_a_value_error_or_is_json(raw: bytes) -> None:
    """Whatever comes, nothing but a value or `ValueError`."""
    try:
        unpacked(len(raw), raw)
    except ValueError:
        return

"""Messages between a puppet and the model, the same file on both sides.

A puppet is not trusted: what it says is a head, JSON, and the bytes that the JSON refers to. Bytes travel as they are,
behind it, with `{"$b": LENGTH}` in their places, in order: a task that writes megabytes would spend its time on escapes
otherwise. The model is trusted, so its answers are marshal's, which takes a fifth of the time.
"""

from __future__ import annotations

import json
import marshal
import struct
import types
from typing import Any

HEAD = struct.Struct("<II")
"""Bytes of JSON, and bytes behind it."""
ANSWER = struct.Struct("<I")
"""Bytes of an answer."""
MARK = "$b"
_MARKED = b'"$b"'
_OLD = 2
"""The last version of marshal's format without a table of references, which costs more than it saves here."""
_plain = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_value = json.JSONDecoder().raw_decode


def answered(value: Any) -> bytes:
    """One message of the model; raises `ValueError` for what is not None, numbers, text, bytes, lists and dicts."""
    raw = marshal.dumps(value, _OLD)
    return ANSWER.pack(len(raw)) + raw


def answer(raw: bytes) -> Any:
    """The value of an answer's body. Only for what the model sent: marshal trusts what it reads."""
    return marshal.loads(raw)  # noqa: S302 - the model's own words, read by a puppet


def packed(value: Any) -> bytes:
    """One message."""
    try:
        text = _plain(value).encode()
    except TypeError:
        return _packed_aside(value)
    return HEAD.pack(len(text), 0) + text


def _packed_aside(value: Any) -> bytes:
    """A message with bytes in it."""
    behind: list[bytes] = []

    def aside(one: Any) -> Any:
        if isinstance(one, types.SimpleNamespace):
            return vars(one)
        data = bytes(memoryview(one))
        behind.append(data)
        return {MARK: len(data)}

    text = json.dumps(value, default=aside, separators=(",", ":")).encode()
    rest = b"".join(behind)
    return HEAD.pack(len(text), len(rest)) + text + rest


def unpacked(size: int, raw: bytes) -> Any:
    """The value of a message's body, whose JSON has `size` bytes; raises `ValueError` for one that is not well made."""
    if len(raw) == size and _MARKED not in raw:  # empty bytes take no room
        text = raw.decode()
        value, end = _value(text)
        if end != len(text):
            raise ValueError("a message with something behind it")
        return value
    at = size

    def put_back(found: dict[str, Any]) -> Any:
        nonlocal at
        if MARK not in found:
            return found
        length = found[MARK]
        if type(length) is not int or not 0 <= length <= len(raw) - at:
            raise ValueError("a message that refers to bytes it does not have")
        at += length
        return raw[at - length : at]

    return json.loads(raw[:size], object_hook=put_back)

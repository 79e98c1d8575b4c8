"""Messages between a puppet and the model, the same file on both sides.

A puppet is not trusted: what it says is a head, JSON, and the bytes that the JSON refers to. Bytes travel as they are,
behind it, with `{"$b": LENGTH}` in their places, in order: a task that writes megabytes would spend its time on escapes
otherwise. The model is trusted, so its answers are marshal's, which takes a fifth of the time.
"""

from __future__ import annotations

import json
import marshal
import struct
from collections.abc import Callable
from typing import Any

HEAD = struct.Struct("<II")
"""Bytes of JSON, and bytes behind it."""
ANSWER = struct.Struct("<I")
"""Bytes of an answer."""
USUAL = 4096
"""Bytes that are read at first: most messages are less."""
MOST_AT_ONCE = 256 * 1024
"""Bytes of one read. Nobody says anything more before he has his answer, so a read never takes more than a message."""
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


def whole(
    head: struct.Struct, first: bytes, more: Callable[[int], bytes], most: int | None = None
) -> tuple[tuple[int, ...], bytes]:
    """The sizes in a message's head, and its body. `first` has come; `more(n)` waits for up to n further bytes.

    Raises `ValueError` for a body of more than `most` bytes, before it is read.
    """
    while len(first) < head.size:
        first += more(USUAL)
    sizes = head.unpack_from(first)
    if most is not None and sum(sizes) > most:
        raise ValueError("a message that is too long")
    parts = [first[head.size :]]
    left = sum(sizes) - len(parts[0])
    while left > 0:
        parts.append(more(min(left, MOST_AT_ONCE)))
        left -= len(parts[-1])
    return sizes, b"".join(parts)


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

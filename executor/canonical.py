"""Canonical JSON (RFC 8785) for everything that is signed or hashed, and the strict reader that goes with it.

Narrower than the RFC on purpose, so that no two decoders can disagree about what was signed:

1. no floats at all (`1.0` and `1` would be one value to some readers and two to others),
2. integers stay below 2^53 in magnitude (RFC 8785 section 3.2.2.3: what IEEE 754 doubles hold exactly),
3. object keys are strings and occur once,
4. text is UTF-8 without a byte-order mark and without lone surrogates; unicode forms are kept, never normalised,
5. nothing nests deeper than `MAX_DEPTH`.

`rfc8785` is the reference. Objects whose keys are all ASCII, which is every signed object Cordon makes, take the C
encoder of the standard library instead: it writes the same bytes (a property test holds the two together) in a fifth
of the time.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import rfc8785

from executor.canonical_locate import describe_fault
from executor.errors import InvalidInputError

MAX_INT: Final = 2**53 - 1
"""Largest magnitude of an integer; RFC 8785 section 3.2.2.3."""
MAX_DEPTH: Final = 64
"""Levels of nesting; far above any document of ours, far below the interpreter's stack."""

_encode: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def dumps(value: Any) -> bytes:
    """The canonical bytes of `value`; raises `InvalidInputError` naming the place that cannot be signed."""
    if _ordinary(value, 0) or _ascii_keys(value, None, 0):
        return _encode(value).encode()
    return rfc8785.dumps(value)


def loads(data: bytes, *, where: str = "document") -> Any:
    """`data` as JSON values, read strictly; raises `InvalidInputError` with line, column and path of the fault.

    Reads any layout of strict JSON; whoever needs the canonical bytes compares with `dumps`.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInputError(f"{where}: starts with a byte-order mark; plain UTF-8 is wanted")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{where}: byte {error.start} is not UTF-8 ({error.reason})") from None
    try:
        value = _decoder.decode(text)
        if not _ordinary(value, 0):
            _ascii_keys(value, None, 0)
    except (ValueError, RecursionError, InvalidInputError) as error:
        raise InvalidInputError(f"{where}: {describe_fault(text, MAX_INT, MAX_DEPTH) or error}") from None
    return value


def is_canonical(data: bytes, value: Any) -> bool:
    """Whether `data` is exactly the canonical form of `value`."""
    return dumps(value) == data


_Place = tuple["_Place | None", str | int]
"""Where a value stands: the container's place, and the key or index in it; None is the top. Spelled only in errors."""


def _ordinary(value: Any, depth: int) -> bool:
    """Whether `value` surely may be signed and is all ASCII: most are. What is not is for `_ascii_keys` to judge.

    Exact types only, and each leaf looked at where its container is walked: a third of the other's time.
    """
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return False
    for item in items:
        kind = type(item)
        if kind is str:
            fine = item.isascii()
        elif kind is int:
            fine = -MAX_INT <= item <= MAX_INT
        else:
            fine = kind is bool or item is None or (depth + 1 < MAX_DEPTH and _ordinary(item, depth + 1))
        if not fine:
            return False
    return True


def _ascii_keys(value: Any, place: _Place | None, depth: int) -> bool:
    """Refuse what may not be signed; answers whether every key below is ASCII."""
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value, place)
        return True
    if isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise InvalidInputError(f"{_spell(place)}: integer of {value.bit_length()} bits is not below 2^53")
        return True
    return value is None or _container(value, place, depth)


def _container(value: Any, place: _Place | None, depth: int) -> bool:
    if depth >= MAX_DEPTH:
        raise InvalidInputError(f"{_spell(place)}: nested deeper than {MAX_DEPTH} levels")
    plain = True
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInputError(f"{_spell(place)}: key {key!r} is not a string")
            if not key.isascii():
                _check_text(key, place)
                plain = False
            plain &= _ascii_keys(item, (place, key), depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            plain &= _ascii_keys(item, (place, index), depth + 1)
    elif isinstance(value, float):
        raise InvalidInputError(f"{_spell(place)}: {value!r} is a float; signed data holds integers only")
    else:
        raise InvalidInputError(f"{_spell(place)}: {type(value).__name__} has no JSON form")
    return plain


def _spell(place: _Place | None) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f".{step}" if isinstance(step, str) else f"[{step}]")
    return "".join(["$", *reversed(steps)])


def _check_text(text: str, place: _Place | None) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{_spell(place)}: lone surrogate U+{ord(text[error.start]):04X} at character {error.start}"
        ) from None


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"float {text[:40]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


_decoder: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)

"""Frozen values as plain JSON-like ones, quickly: the path makes some thirty of them for every request.

`dataclasses.asdict` copies every leaf deeply and looks each field up anew; that was a tenth of the path's own time.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Final

_LEAVES: Final = frozenset({str, int, bool, bytes, type(None)})
_NAMES: Final[dict[type, tuple[str, ...]]] = {}
"""Of every dataclass met so far: its fields."""


def plain(value: Any) -> Any:
    """`value` with dataclasses as dictionaries and tuples as lists, all the way down; what is neither stays itself."""
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is tuple or kind is list:
        return [item if type(item) in _LEAVES else plain(item) for item in value]
    if kind is dict:
        return {key: plain(item) for key, item in value.items()}
    names = _NAMES.get(kind)
    if names is None:
        if not is_dataclass(kind):
            return value
        names = _NAMES[kind] = tuple(field.name for field in fields(kind))
    return {name: plain(getattr(value, name)) for name in names}

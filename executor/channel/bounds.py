"""What a guest may say beyond the form of its messages: numbers and texts that the record and the path can carry.

A message that parses may still hold a number no JSON keeps, an enumeration's value nobody knows, or a name of sixteen
megabytes. Nothing behind this check has to fear them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_INT: Final = 2**53 - 1
"""The largest whole number canonical JSON holds exactly (RFC 8785)."""
MAX_TEXT: Final = 4096
"""Characters of a message for a person, or of a path (PATH_MAX)."""
CODE: Final = re.compile(r"guest\.[a-z_]{1,64}")
"""A refusal's or a fault's code: it becomes a reason on record."""
_CODES: Final = frozenset({"denied", "fault"})


def fault(message: Message) -> str | None:
    """What `message` must not say, in words; None when it may."""
    for field, value in message.ListFields():
        values: Iterable[Any] = value if field.is_repeated else (value,)
        for one in values:
            if text := _value(field, one):
                return text
    return None


def _value(field: FieldDescriptor, value: Any) -> str | None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if field.name in _CODES and not CODE.fullmatch(value.code):
            return f"{field.name}.code is no code of the guest's"
        return fault(value)
    if field.enum_type is not None:
        return None if value in field.enum_type.values_by_number else f"{field.name} has a value nobody knows"
    if field.type == FieldDescriptor.TYPE_STRING and len(value) > MAX_TEXT:
        return f"{field.name} of {len(value)} characters is over {MAX_TEXT}"
    if isinstance(value, int) and not -MAX_INT <= value <= MAX_INT:
        return f"{field.name} is over {MAX_INT}"
    return None

"""What was asked of an engine in one run, as a digest: two runs can be compared only where it is the same. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from executor import canonical
from executor.api import Request
from executor.errors import BugError
from harness.judgement.same import of_same

_NEW_EACH_TIME: Final = "intent_id"
"""The field that says nothing of what is asked, beside those that are no part of a request's equality."""


@of_same
def digest(request: Request) -> str:
    """SHA-256 of everything that `request` asks for; the same in every process."""
    return hashlib.sha256(canonical.dumps(_plain(request))).hexdigest()


def _plain(value: Any) -> Any:
    """`value` as JSON knows it; raises `BugError` for a kind of value no request has held until now."""
    match value:
        case None | str() | int():
            found: Any = value
        case float():
            found = repr(value)
        case bytes():
            found = hashlib.sha256(value).hexdigest()
        case list() | tuple():
            found = [_plain(one) for one in value]
        case set() | frozenset():
            found = sorted(_plain(one) for one in value)
        case Mapping():
            found = {str(key): _plain(one) for key, one in value.items()}
        case _ if dataclasses.is_dataclass(value):
            names = [one.name for one in dataclasses.fields(value) if one.compare and one.name != _NEW_EACH_TIME]
            found = {name: _plain(getattr(value, name)) for name in names}
        case _:
            raise BugError(f"a request holds a {type(value).__name__}, which has no digest")
    return found

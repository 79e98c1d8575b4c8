"""What can be attacked: a target has a generator of attacks and an oracle that says whether one got through."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

from hypothesis.strategies import SearchStrategy

Kind = Literal["crash", "hang", "bloat", "escape"]


class EscapeError(Exception):
    """The target's oracle: it let through what it must not, or changed what it must keep."""


@dataclass(frozen=True)
class Target:
    """One thing to attack. An attack is a value of JSON's kinds, bytes besides."""

    name: str
    what: str
    attacks: Callable[[], SearchStrategy[Any]]
    attack: Callable[[Any, Any], None]
    """Takes what `opened` gave and an attack. Returns when the target held; raises `EscapeError`, or lets out what the
    target should have kept to itself."""
    opened: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What the target needs, made once for many attacks: an OPA, keys, a channel."""
    examples: int = 200
    """Attacks of one round: about a second's worth."""
    slow: bool = False
    """Needs machines: tried only when it is asked for, and in the process that has them."""


@dataclass(frozen=True, slots=True)
class Find:
    """An attack that got through, minimised."""

    target: str
    kind: Kind
    why: str
    attack: Any

    @property
    def same(self) -> tuple[str, str, str]:
        """Finds with the same are one find."""
        return self.target, self.kind, self.why.partition(":")[0]


_BYTES: Final = "$bytes"


def dump(attack: Any) -> str:
    """An attack as a line of ASCII JSON."""
    return json.dumps(_plain(attack), ensure_ascii=True, sort_keys=False)


def load(text: str) -> Any:
    """What `dump` wrote; tuples come back as lists."""
    return _rich(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_BYTES}:
            return base64.b64decode(value[_BYTES])
        return {key: _rich(item) for key, item in value.items()}
    return [_rich(item) for item in value] if isinstance(value, list) else value

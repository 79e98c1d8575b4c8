"""What a procedure observed against what its document expects: every fact named, none left over. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Facts = Mapping[str, Any]
"""Name -> JSON value."""

CONDITIONS: Final = ("equals", "contains", "absent", "matches", "at_least", "at_most")
"""What a mapping may ask of a fact; any other value is what the fact must equal."""
REFUSAL: Final = "refusal"
"""The fact that says how an attempt was stopped: `denial channel.bad_magic`, `errno EPERM`; empty when it was not."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Conditions on one fact; every one that is given must be met."""

    conditions: tuple[tuple[str, Any], ...]

    @classmethod
    def parse(cls, raw: Any) -> Matcher:
        """From a document; raises `ValueError` in words for a mapping that asks nothing known, or a bad expression."""
        if not isinstance(raw, Mapping):
            return cls((("equals", raw),))
        if not raw or (unknown := sorted(set(raw) - set(CONDITIONS))):
            named = f"unknown condition {unknown[0]}" if raw else "asks for nothing"
            raise ValueError(f"{named}; there are {', '.join(CONDITIONS)}; a mapping as such goes below equals")
        for name in ("at_least", "at_most"):
            if name in raw and not _is_number(raw[name]):
                raise ValueError(f"{name} takes a number")
        if "matches" in raw:
            try:
                re.compile(str(raw["matches"]))
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from None
        return cls(tuple(raw.items()))

    def complaint(self, value: Any) -> str | None:
        """Why `value` does not fit, or None when it does."""
        for name, wanted in self.conditions:
            if text := _CHECKS[name](value, wanted):
                return text
        return None


def differences(expected: Mapping[str, Matcher], seen: Facts) -> Iterator[str]:
    """Every fact that is missing, too much, or another than expected, in words."""
    for name in sorted(expected.keys() | seen.keys()):
        if name not in seen:
            yield f"facts.{name}: was not observed"
        elif name not in expected:
            yield f"facts.{name}: {_short(seen[name])} was observed, and nothing is expected of it"
        elif text := expected[name].complaint(seen[name]):
            yield f"facts.{name}: {text}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _equals(value: Any, wanted: Any) -> str | None:
    # As JSON, so that true is not 1.
    same = json.dumps(value, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    return None if same else f"is {_short(value)}, not {_short(wanted)}"


def _holds(value: Any, wanted: Any) -> bool:
    return wanted in value if isinstance(value, str | list | dict) else False


def _contains(value: Any, wanted: Any) -> str | None:
    return None if _holds(value, wanted) else f"{_short(value)} does not contain {_short(wanted)}"


def _absent(value: Any, wanted: Any) -> str | None:
    return f"{_short(value)} contains {_short(wanted)}, which must not be there" if _holds(value, wanted) else None


def _matches(value: Any, wanted: Any) -> str | None:
    fits = isinstance(value, str) and re.search(str(wanted), value, re.MULTILINE)
    return None if fits else f"{_short(value)} does not match /{wanted}/"


def _at_least(value: Any, wanted: Any) -> str | None:
    return None if _is_number(value) and value >= wanted else f"is {_short(value)}, under {wanted}"


def _at_most(value: Any, wanted: Any) -> str | None:
    return None if _is_number(value) and value <= wanted else f"is {_short(value)}, over {wanted}"


_CHECKS: Final = {
    "equals": _equals,
    "contains": _contains,
    "absent": _absent,
    "matches": _matches,
    "at_least": _at_least,
    "at_most": _at_most,
}

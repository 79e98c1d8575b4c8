r"""Forbidden patterns: policy data, read strictly, matched in linear time (RE2) whatever the text does.

The data lies with the policies, so that its digest is part of the policy's and one review changes both:

    # policies/cordon/rules/reviews/patterns/data.yaml
    forbidden:
      - id: pipe_to_shell
        regex: '(?i)\b(?:curl|wget)\b[^\n|]*\|\s*(?:ba)?sh\b'
        message: a download is piped into a shell
        in: [files, patch, commands, env]      # optional, all of them when absent
        text: true                             # optional: not in files that hold a NUL, which nobody reads as text
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import re2

from executor.errors import InvalidInputError

DATA_FILE: Final = Path("cordon/rules/reviews/patterns/data.yaml")
"""Where the patterns lie below the policies' folder."""
WAIVERS_FILE: Final = Path("cordon/rules/reviews/data.yaml")
"""Where `pattern_waivers` lies: who may carry forbidden patterns, in which phase. Rego reads the same list."""
Place = Literal["files", "patch", "commands", "env"]
PLACES: Final[tuple[Place, ...]] = ("files", "patch", "commands", "env")
_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PER_DOCUMENT: Final = 20
"""Matches of one pattern told per document: the first are enough to act on."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One forbidden pattern: `regex` in RE2's syntax, `^` and `$` match at lines."""

    id: str
    regex: str
    message: str
    places: tuple[Place, ...] = PLACES
    text: bool = False
    """What it matches misleads a reader: a file of binary data, which has none, may hold the same bytes by chance."""


@dataclass(frozen=True, slots=True)
class PatternRules:
    """The patterns, and the (requester, phase) pairs for whom a match is noted but no objection."""

    patterns: tuple[Pattern, ...]
    waivers: frozenset[tuple[str, str]] = frozenset()


class PatternSet:
    """Compiled patterns."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Compile `patterns`; raises `InvalidInputError` naming the one that RE2 does not take."""
        options = re2.Options()
        options.log_errors = False
        self._compiled = [(pattern, _compile(pattern, options)) for pattern in patterns]

    def matches(self, place: Place, text: str) -> Iterator[tuple[Pattern, int]]:
        """Each match of a pattern meant for `place` in `text`, with its line (from 1)."""
        binary = place == "files" and "\0" in text
        for pattern, compiled in self._compiled:
            if place not in pattern.places or (pattern.text and binary):
                continue
            line, seen = 1, 0
            for count, match in enumerate(compiled.finditer(text)):
                if count == _PER_DOCUMENT:
                    break
                line += text.count("\n", seen, match.start())
                seen = match.start()
                yield pattern, line


def _compile(pattern: Pattern, options: Any) -> Any:
    try:
        return re2.compile(f"(?m){pattern.regex}", options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args else "no reason given"
        raise InvalidInputError(f"forbidden pattern {pattern.id}: RE2 does not take it: {why}") from None


def load(policies: Path) -> PatternRules:
    """The rules of the policies' folder; raises `InvalidInputError` when a file is missing or wrong."""
    patterns = parse(_read(policies / DATA_FILE), where=str(policies / DATA_FILE))
    reviews, where = _read(policies / WAIVERS_FILE), str(policies / WAIVERS_FILE)
    waivers = reviews.get("pattern_waivers", []) if isinstance(reviews, Mapping) else None
    if not isinstance(waivers, list):
        raise InvalidInputError(f"{where}: pattern_waivers is not a list")
    return PatternRules(patterns, frozenset(_waiver(item, where) for item in waivers))


def _read(path: Path) -> Any:
    import yaml  # noqa: PLC0415 - 15 ms, once per process and only where patterns are read from disk

    from executor import yaml_text  # noqa: PLC0415 - as above

    try:
        return yaml_text.load(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}: there are no reviews without patterns") from None
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def _waiver(raw: object, where: str) -> tuple[str, str]:
    if (
        not isinstance(raw, Mapping)
        or not isinstance(raw.get("requester"), str)
        or not isinstance(raw.get("phase"), str)
    ):
        raise InvalidInputError(f"{where}: a waiver names a requester and a phase")
    return raw["requester"], raw["phase"]


def parse(raw: object, *, where: str = "patterns") -> tuple[Pattern, ...]:
    """Patterns from the data's values; raises `InvalidInputError` naming the place."""
    if not isinstance(raw, Mapping) or set(raw) != {"forbidden"} or not isinstance(raw["forbidden"], list):
        raise InvalidInputError(f"{where}: expected one key `forbidden` with a list")
    patterns = tuple(_pattern(item, f"{where}: forbidden[{number}]") for number, item in enumerate(raw["forbidden"]))
    if len({pattern.id for pattern in patterns}) != len(patterns):
        raise InvalidInputError(f"{where}: an id occurs twice")
    PatternSet(patterns)
    return patterns


def _pattern(raw: object, where: str) -> Pattern:
    known = {"id", "regex", "message", "in", "text"}
    if not isinstance(raw, Mapping) or not {"id", "regex", "message"} <= set(raw) <= known:
        raise InvalidInputError(f"{where}: expected id, regex, message and perhaps in, text")
    if not all(isinstance(raw[key], str) and raw[key] for key in ("id", "regex", "message")):
        raise InvalidInputError(f"{where}: id, regex and message are texts")
    if not _ID.fullmatch(raw["id"]):
        raise InvalidInputError(f"{where}.id: {raw['id']!r} is not lower case letters, digits and underscore")
    places = raw.get("in", list(PLACES))
    if not isinstance(places, list) or not places or not set(places) <= set(PLACES):
        raise InvalidInputError(f"{where}.in: a list of {', '.join(PLACES)}")
    text = raw.get("text", False)
    if not isinstance(text, bool):
        raise InvalidInputError(f"{where}.text: true or false")
    return Pattern(raw["id"], raw["regex"], raw["message"], tuple(cast("list[Place]", places)), text)

"""Says where strict JSON goes wrong: run only after the fast reader has refused a text, so it may take its time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?)
      | (?P<word>true|false|null)
      | (?P<constant>NaN|-?Infinity)
      | (?P<mark>[\[\]{},:])""",
    re.VERBOSE,
)


@dataclass
class _Level:
    """One open object or array."""

    opener: str
    keys: set[str] = field(default_factory=set)
    key: str = ""
    index: int = 0
    wants_key: bool = True


def describe_fault(text: str, max_int: int, max_depth: int) -> str:
    """The first fault of `text` as one line with its place, or '' when only the grammar is broken further on."""
    levels: list[_Level] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            message = f"{text[position]!r} cannot stand here"
        else:
            message = _token_fault(match, levels, max_int, max_depth)
        if match is None or message:
            line = text.count("\n", 0, position) + 1
            return f"line {line} column {position - text.rfind(chr(10), 0, position)} ({_path(levels)}): {message}"
        position = match.end()
    return ""


def _path(levels: list[_Level]) -> str:
    steps = (f"[{level.index}]" if level.opener == "[" else f".{level.key}" if level.key else "" for level in levels)
    return "$" + "".join(steps)


def _token_fault(match: re.Match[str], levels: list[_Level], max_int: int, max_depth: int) -> str:
    if match["constant"]:
        return f"{match['constant']} is not JSON"
    if match["string"]:
        return _string_fault(match["string"], levels)
    if match["number"]:
        if match["fraction"] or match["exponent"]:
            return f"{match['number'][:40]} is a float; signed data holds integers only"
        if len(match["number"]) > len(str(max_int)) + 1 or abs(int(match["number"])) > max_int:
            return f"integer {match['number'][:40]} is not below 2^53"
    elif match["mark"]:
        return _mark_fault(match["mark"], levels, max_depth)
    return ""


def _string_fault(token: str, levels: list[_Level]) -> str:
    value = json.loads(token)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"lone surrogate U+{ord(value[error.start]):04X}"
    if levels and levels[-1].opener == "{" and levels[-1].wants_key:
        level = levels[-1]
        level.key = value
        if value in level.keys:
            return f"key {value!r} occurs twice"
        level.keys.add(value)
        level.wants_key = False
    return ""


def _mark_fault(mark: str, levels: list[_Level], max_depth: int) -> str:
    if mark in "[{":
        if len(levels) >= max_depth:
            return f"nested deeper than {max_depth} levels"
        levels.append(_Level(mark))
    elif mark in "]}":
        if not levels or levels.pop().opener != {"]": "[", "}": "{"}[mark]:
            return f"{mark!r} closes nothing"
    elif mark == "," and levels:
        levels[-1].index += 1
        levels[-1].wants_key = True
    return ""

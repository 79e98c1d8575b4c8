"""A TOML file read strictly: every field is asked for by kind, a mistake names file, line and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from executor.errors import InvalidInputError


def read(text: str, where: str) -> Table:
    """The outermost table of `text`; `where` names it in messages. Raises `InvalidInputError` for what is no TOML."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{where}: {error}") from None
    except RecursionError:  # a running service reads it again on SIGHUP: it must not end over a file
        raise InvalidInputError(f"{where}: nested far deeper than any setting is") from None
    return Table(raw, "", 0, text, where)


class Table:
    """One table being read: every field is asked for once, what is left over is an error."""

    def __init__(self, raw: Mapping[str, Any], name: str, number: int, text: str, where: str) -> None:
        self._left = dict(raw)
        self._known: list[str] = []
        self._name = name
        self._number = number
        self._text = text
        self._where = where

    def wrong(self, key: str, message: str) -> InvalidInputError:
        """The error of field `key`, with its line."""
        dotted = f"{self._name}.{key}" if self._name else key
        return InvalidInputError(
            f"{self._where}:{_line(self._text, self._name, self._number, key)}: {dotted}: {message}"
        )

    def take(self, key: str, default: Any) -> Any:
        """The value of `key`, whatever it is; `default` where it is not written, and None for one that has to be."""
        self._known.append(key)
        if key in self._left:
            return self._left.pop(key)
        if default is None:
            raise self.wrong(key, "is required")
        return default

    def text(self, key: str, default: str | None) -> str:
        """A text; this and the rest raise `InvalidInputError` for another kind of value."""
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"expected text in quotes, found {value!r:.40}")
        return value

    def choice(self, key: str, default: str | None, allowed: tuple[str, ...]) -> str:
        """One of `allowed`."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.wrong(key, f"{value!r:.40} is none of {', '.join(allowed)}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], wanted: str) -> str:
        """A required text of the shape `pattern`; `wanted` says it in words."""
        value = self.text(key, None)
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"{value!r:.80} is not {wanted}")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number of `low` to `high`."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"expected a whole number of {low} to {high}, found {value!r:.40}")
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"expected true or false, found {value!r:.40}")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts."""
        value = self.take(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "expected a list of texts")
        return tuple(value)

    def table(self, key: str) -> Table:
        """The table `[key]`, empty where it is not written."""
        value = self.take(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"expected a table [{key}]")
        return Table(value, key, 0, self._text, self._where)

    def tables(self, key: str) -> list[Table]:
        """The tables `[[key]]`, in order."""
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, f"expected tables [[{key}]]")
        return [Table(item, key, number, self._text, self._where) for number, item in enumerate(value)]

    def end(self) -> None:
        """That nothing is left that nobody has asked for."""
        if self._left:
            key = min(self._left)
            raise self.wrong(key, f"unknown field; there are {', '.join(sorted(self._known))}")


def _line(text: str, table: str, number: int, key: str) -> int:
    """The line of `key` in the `number`th table of that name; the table's own line, or 1, where it is not written."""
    here, count, found = "", -1, 1
    for at, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?(?:\s*#.*)?", stripped):
            here = header[1]
            count += here == table
            if here == table and count == number:
                found = at
            elif not table and here == key:
                return at
        elif here == table and (not table or count == number) and re.match(rf"{re.escape(key)}\s*=", stripped):
            return at
    return found

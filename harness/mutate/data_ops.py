"""Operators on data files: an entry too few, an entry for everything, a bound moved, a pattern widened.

Each change is spliced into the text, and kept only when the text then reads as exactly the value that was meant:
YAML has more ways to write a list than an editor of text can be right about.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from harness.mutate.change import Change
from harness.mutate.text import Edit, Source
from harness.mutate.widen import unanchored, widened_glob
from harness.mutate.yaml_places import Entry, Path, entries, read

PROSE_KEYS: Final = frozenset({"title", "description", "reason", "msg", "remedy", "note", "why"})
"""Fields for people, whose wording decides nothing."""

LABEL_LENGTH: Final = 40
"""Characters of a list item shown in an id; the digits behind it tell longer ones apart."""

Proposal = tuple[str, Edit, Any, str]
"""Operator, edit, the value the whole file then has, and the change in words."""
DataOperator = Callable[[Entry, Any], Iterator[Proposal]]


def data_changes(source: Source, scope: tuple[str, ...]) -> tuple[list[Change], list[str]]:
    """Changes to one data file, and the places (`file:line operator`) where none could be made.

    `scope` is the path under which OPA keeps the file's values.
    """
    value = read(source.text)
    changes, unplaced = [], []
    for entry in entries(source.text):
        for operator in DATA_OPERATORS:
            for name, edit, wanted, what in operator(entry, value):
                if not _reads_as(source.apply([edit]), wanted):
                    unplaced.append(f"{source.path}:{source.line(entry.start)} {name}")
                    continue
                changes.append(Change(name, _scope(scope, entry.path, value), (edit,), "", what))
    return changes, unplaced


def remove_entry(entry: Entry, value: Any) -> Iterator[Proposal]:
    """A list item or a field is left out.

    Not made: of equal items one less, for sets do not notice; a field that holds entries, for whoever notices one of
    those missing notices all of them missing.
    """
    if not entry.path or entry.removal is None:
        return
    around, key = _get(value, entry.path[:-1]), entry.path[-1]
    if isinstance(around, list) and around.count(around[int(key)]) > 1:
        return
    if isinstance(around, dict) and isinstance(around[key], dict | list) and around[key]:
        return
    wanted = copy.deepcopy(value)
    del _get(wanted, entry.path[:-1])[key]
    yield "remove-entry", entry.removal, wanted, f"without {_words(entry.path)}"


def wildcard_entry(entry: Entry, value: Any) -> Iterator[Proposal]:
    """A list of texts gets an entry that stands for everything."""
    items = _get(value, entry.path)
    if not isinstance(items, list) or entry.append is None or not all(isinstance(item, str) for item in items):
        return
    wild = "/**" if any(item.startswith("/") for item in items) else "*"
    if wild in items:
        return
    wanted = copy.deepcopy(value)
    _get(wanted, entry.path).append(wild)
    edit = Edit(entry.append.start, entry.append.end, entry.append.new.replace("\0", json.dumps(wild)))
    yield "wildcard-entry", edit, wanted, f"{_words(entry.path)} also holds {wild}"


def scalar(entry: Entry, value: Any) -> Iterator[Proposal]:
    """A number is one more or less, a boolean the other one, a text another one, a pattern wider."""
    old = _get(value, entry.path)
    if not entry.is_scalar or not entry.path:
        return
    in_list = isinstance(_get(value, entry.path[:-1]), list)
    proposals: list[tuple[str, Any]] = []
    if isinstance(old, bool):
        proposals.append(("boolean", not old))
    elif isinstance(old, int | float):
        proposals += [("bound", old + 1), ("bound", old - 1)]
    elif isinstance(old, str):
        if (wide := widened_glob(old)) is not None:
            proposals.append(("glob-widen", wide))
        proposals += [("regex-anchor", loose) for loose in unanchored(old)]
        # Another text in a list is an entry too few: that mutant exists. Wording decides nothing.
        if not in_list and entry.path[-1] not in PROSE_KEYS:
            proposals.append(("string", f"{old}_mutant"))
    for name, new in proposals:
        wanted = copy.deepcopy(value)
        _get(wanted, entry.path[:-1])[entry.path[-1]] = new
        text = json.dumps(new, ensure_ascii=False)
        what = f"{_words(entry.path)}: {json.dumps(old)} becomes {text}"
        yield name, Edit(entry.start, entry.end, text), wanted, what


DATA_OPERATORS: Final[tuple[DataOperator, ...]] = (remove_entry, wildcard_entry, scalar)
DATA_OPERATOR_NAMES: Final = (
    "remove-entry",
    "wildcard-entry",
    "bound",
    "boolean",
    "string",
    "glob-widen",
    "regex-anchor",
)


def _reads_as(text: str, wanted: Any) -> bool:
    try:
        return same_value(read(text), wanted)
    except yaml.YAMLError:
        return False


def same_value(one: Any, other: Any) -> bool:
    """Equality that does not take `true` for 1 nor 1.0 for 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other)


def _get(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _words(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "the file"


def _scope(scope: tuple[str, ...], path: Path, value: Any) -> str:
    """The path for an id: list items go by what they are, not by where, so that inserting one renames no other."""
    text = ".".join(scope)
    for number, part in enumerate(path):
        around = _get(value, path[:number])
        text += f"[{_label(around, int(part))}]" if isinstance(around, list) else f".{part}"
    return text


def _label(items: list[Any], index: int) -> str:
    item = items[index]
    if isinstance(item, dict) and item:
        item = next(iter(item.values()))
    if isinstance(item, list | dict) or item is None:
        return str(index)
    return " ".join(str(item).split())[:LABEL_LENGTH]

"""YAML without its surprises: plain data plus the place of every value.

PyYAML's C parser composes the nodes; this module turns them into data itself and refuses what YAML 1.1 guesses:

1. bounds first: text size, nodes after aliases are expanded (a bomb grows by doubling), depth;
2. no tags but the plain kinds, no merge keys;
3. keys are text and appear once;
4. `true` and `false` are the only booleans: `no`, `on`, `y` and their like must be quoted;
5. integers are decimal, 0x or 0o; a leading zero, sexagesimal, underscore, date, .inf and .nan must be quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from harness.errors import Place, Problem, ScenarioError

Path = tuple[str | int, ...]
"""Where a value is in its document: keys and list positions."""

MAX_TEXT: Final = 1024 * 1024
"""Characters of a file; scenarios take a few thousand."""
MAX_NODES: Final = 20_000
"""Values in one document, aliases expanded."""
MAX_DEPTH: Final = 40
"""Nesting; the schema itself needs 8."""

_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][+-]?[0-9]+)?")
_NULL: Final = frozenset({"", "~", "null"})


@dataclass(slots=True)
class Document:
    """One YAML document as data, with the place of each value and of each key."""

    value: Any
    place: Place
    last_line: int
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)

    def place_of(self, path: Path) -> Place:
        """Where the value at `path` stands; for one that is not there, the nearest value around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, self.place)


def path_text(path: Path) -> str:
    """`path` as people write it: `intent.commands[0].argv`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def load_documents(text: str, file: str) -> list[Document]:
    """Every document of `text`; raises `ScenarioError` for the first thing that is not strict YAML. `file` names it."""
    if len(text) > MAX_TEXT:
        raise ScenarioError([Problem(Place(file, 1, 1), "", f"{len(text)} characters are over {MAX_TEXT}")])
    _bound_depth(text, file)
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, file) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ScenarioError([Problem(Place(file, 1, 1), "", f"not YAML: {error}".split("\n", 1)[0])]) from None
    return [_Builder(file).build(node) for node in nodes]


def _bound_depth(text: str, file: str) -> None:
    """Refuse deep nesting from the flat event stream, before anything recurses over it."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise ScenarioError([Problem(_place(file, event.start_mark), "", f"nested over {MAX_DEPTH} deep")])
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, file) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ScenarioError([Problem(Place(file, 1, 1), "", f"not YAML: {error}".split("\n", 1)[0])]) from None


def _place(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)


def _syntax(error: yaml.MarkedYAMLError, file: str) -> ScenarioError:
    mark = error.problem_mark or error.context_mark
    place = _place(file, mark)
    context = f" {error.context}" if error.context else ""
    return ScenarioError([Problem(place, "", f"not YAML: {error.problem or 'cannot be read'}{context}")])


class _Builder:
    """Turns one composed tree into a `Document`."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0
        self._open: set[int] = set()

    def build(self, root: yaml.Node) -> Document:
        document = Document(None, _place(self._file, root.start_mark), root.end_mark.line + 1)
        if root.end_mark.column == 0 and root.end_mark.line > root.start_mark.line:
            document.last_line -= 1  # a block ends at the start of the line after it
        document.value = self._value(root, (), document)
        return document

    def _value(self, node: yaml.Node, path: Path, into: Document) -> Any:
        into.values[path] = _place(self._file, node.start_mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refuse(node, path, f"over {MAX_NODES} values once aliases are expanded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise self._refuse(node, path, "an alias refers to the value it is in")
        if len(path) > MAX_DEPTH:
            raise self._refuse(node, path, f"nested over {MAX_DEPTH} deep once aliases are expanded")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path, into)
            if node.tag != f"{_TAG}seq":
                raise self._refuse(node, path, f"tags are not read here: {_short(node.tag)}")
            return [self._value(item, (*path, number), into) for number, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path, into: Document) -> dict[str, Any]:
        if node.tag != f"{_TAG}map":
            raise self._refuse(node, path, f"tags are not read here: {_short(node.tag)}")
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            where = (*path, key)
            if key in result:
                first = into.keys[where]
                raise self._refuse(key_node, where, f"appears twice; first in line {first.line}")
            into.keys[where] = _place(self._file, key_node.start_mark)
            result[key] = self._value(value_node, where, into)
        return result

    def _key(self, node: yaml.Node, path: Path) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refuse(node, path, "a field's name is text")
        if node.tag == f"{_TAG}merge":
            raise self._refuse(node, path, "merge keys (<<) are not read here; write the fields out")
        key = self._scalar(node, path)
        if not isinstance(key, str):
            raise self._refuse(node, path, f"a field's name is text; quote it: {_quoted(node.value)}")
        return key

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        if node.tag == f"{_TAG}str":
            # YAML 1.1 does not know 0o755 and takes it for text; written without quotes it is meant as a number.
            plain_octal = not node.style and _INTEGER.fullmatch(text)
            return int(text, 0) if plain_octal else text
        for guess in _GUESSES:
            if node.tag == _TAG + guess.tag:
                if (value := guess.read(text)) is not guess.refused:
                    return value
                raise self._refuse(node, path, guess.advice.format(text=_short(text), quoted=_quoted(text)))
        raise self._refuse(node, path, f"tags are not read here: {_short(node.tag)}")

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> ScenarioError:
        return ScenarioError([Problem(_place(self._file, node.start_mark), path_text(path), message)])


def _short(text: str) -> str:
    return text.removeprefix(_TAG)[:60]


def _quoted(text: str) -> str:
    return '"' + text[:60].replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class _Guess:
    """What YAML 1.1 takes a plain scalar for, the spellings that are accepted, and what to say of the others."""

    tag: str
    advice: str
    refused: object = field(default_factory=object)

    def read(self, text: str) -> object:
        if self.tag == "bool" and text in {"true", "false"}:
            return text == "true"
        if self.tag == "null" and text in _NULL:
            return None
        if self.tag == "int" and _INTEGER.fullmatch(text) and len(text) <= 20:
            return int(text, 0)
        if self.tag == "float" and _FLOAT.fullmatch(text):
            return float(text)
        return self.refused


_GUESSES: Final = (
    _Guess("bool", "YAML would read {text} as a boolean: write true or false, or quote it: {quoted}"),
    _Guess("null", "YAML would read {text} as nothing: write null, or quote it: {quoted}"),
    _Guess(
        "int", "YAML would read {text} as a number nobody expects: write it decimal, 0x or 0o, or quote it: {quoted}"
    ),
    _Guess("float", "{text} is no plain decimal fraction: quote it: {quoted}"),
    _Guess("timestamp", "YAML would read {text} as a date: quote it: {quoted}"),
    _Guess("value", "YAML gives {text} a meaning of its own: quote it: {quoted}"),
    _Guess("merge", "YAML gives {text} a meaning of its own: quote it: {quoted}"),
)


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside `value` with its path, outermost first."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, (*path, number))

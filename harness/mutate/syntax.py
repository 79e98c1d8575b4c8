"""The syntax tree of a Rego file as a flat list of nodes that know their place in the text.

OPA's tree gives every node a row, a column and its text. A few places are not what they say (a one-line `else` claims
its whole self for each part): a node whose text is not found at its place, or that is not shaped like its kind, is
marked `unplaced` and never edited.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.mutate.text import Source

Kind = Literal["rule", "else", "head", "expr", "term", "with"]
Json = dict[str, Any]

_SHAPES: Final = {
    "string": re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`', re.DOTALL),
    "number": re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"),
    "boolean": re.compile(r"true|false"),
    "var": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
}


@dataclass(slots=True)
class Node:
    """One node; `start` and `end` are offsets in the source's text."""

    kind: Kind
    raw: Json
    start: int
    end: int
    text: str
    parent: Node | None
    role: str
    """The field of the parent it stands in: `body`, `terms`, `value`, `key`, `args`, ..."""
    placed: bool
    children: list[Node] = field(default_factory=list)

    @property
    def type(self) -> str:
        """OPA's term type: string, number, boolean, var, ref, call, ...; empty for what is no term."""
        return str(self.raw.get("type", "")) if self.kind == "term" else ""

    def up(self, *kinds: Kind) -> Node | None:
        """The nearest node around this one of one of `kinds`."""
        node = self.parent
        while node is not None and node.kind not in kinds:
            node = node.parent
        return node

    def siblings(self) -> list[Node]:
        """The nodes in the same list of the same parent, itself included, in order."""
        return [] if self.parent is None else [node for node in self.parent.children if node.role == self.role]


@dataclass(slots=True)
class Module:
    """One Rego file: where it is, its package, every node, and what data it refers to."""

    source: Source
    package: tuple[str, ...]
    nodes: list[Node]
    uses: frozenset[tuple[str, ...]]
    """Paths below `data` that the file refers to, as far as they are constant."""
    names: frozenset[str]
    """First parts of the names of its rules."""
    weights: Weights
    """Of tests; empty for what is none."""

    @property
    def is_test(self) -> bool:
        """Whether the file holds tests, which are never mutated."""
        return self.source.path.endswith("_test.rego")

    def rules(self) -> list[Node]:
        """The file's rules in order."""
        return [node for node in self.nodes if node.kind == "rule"]


@dataclass(frozen=True, slots=True)
class Weights:
    """What the rules of a file are made of, to tell a test that looks at one case from one that looks at hundreds."""

    sizes: dict[str, int]
    """By name, how much of the tree is written for it."""
    asks: dict[str, frozenset[str]]
    """By name, the first names of what it refers to."""
    odd: frozenset[str]
    """Names that stand for more than a plain value: functions, sets, objects by key."""


def rule_name(node: Node) -> str:
    """The name of the rule `node` is in, for example `deny` or `limits.memory`."""
    rule = node if node.kind == "rule" else node.up("rule")
    return "" if rule is None else _head_name(rule.raw["head"])


def _head_name(head: Json) -> str:
    parts = head.get("ref") or [{"value": head.get("name", "")}]
    constant = [str(part["value"]) for part in parts if part.get("type", "var") in ("var", "string")]
    return ".".join(constant[:1] + [part for part in constant[1:] if part.isidentifier()])


def read_module(source: Source, tree: Json) -> Module:
    """The module of OPA's `tree` for `source`."""
    builder = _Builder(source)
    for rule in tree.get("rules", []):
        builder.add("rule", rule, None, "rules")
    package = tuple(str(part["value"]) for part in tree["package"]["path"][1:])
    names = frozenset(_head_name(rule["head"]).partition(".")[0] for rule in tree.get("rules", []))
    weights = _weights(tree.get("rules", []) if source.path.endswith("_test.rego") else [])
    return Module(source, package, builder.nodes, _uses(tree), names, weights)


def _weights(rules: list[Json]) -> Weights:
    sizes: dict[str, int] = {}
    asks: dict[str, frozenset[str]] = {}
    odd = set()
    for rule in rules:
        head = rule["head"]
        name = _head_name(head).partition(".")[0]
        sizes[name] = sizes.get(name, 0) + len(json.dumps(rule))
        used = frozenset(str(ref[0].get("value")) for ref in _refs(rule))
        asks[name] = asks.get(name, frozenset()) | used
        if "args" in head or "key" in head or len(head.get("ref") or [None]) > 1:
            odd.add(name)
    return Weights(sizes, asks, frozenset(odd))


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes: list[Node] = []

    def add(self, kind: Kind, raw: Json, parent: Node | None, role: str) -> None:
        if raw.get("generated"):
            return
        location = raw.get("location")
        if location is None:  # operators of `every` and `some` have none; their parts do
            self._inside(raw, parent)
            return
        text = base64.b64decode(location.get("text", "")).decode()
        start = self.source.offset(location["row"], location["col"])
        shape = _SHAPES.get(raw.get("type", "")) if kind == "term" else None
        placed = self.source.text.startswith(text, start) and (shape is None or shape.fullmatch(text) is not None)
        node = Node(kind, raw, start, start + len(text), text, parent, role, placed)
        self.nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        self._inside(raw, node)

    def _inside(self, raw: Json, parent: Node | None) -> None:
        """Everything below `raw`, in the order of the tree."""
        for role, value in raw.items():
            if role not in ("location", "annotations"):
                self._any(value, parent, role)

    def _any(self, value: Any, parent: Node | None, role: str) -> None:
        if isinstance(value, list):
            for item in value:
                self._any(item, parent, role)
        elif isinstance(value, dict):
            kind = _kind(value, role)
            if kind is None:
                self._inside(value, parent)
            else:
                self.add(kind, value, parent, role)


def _kind(raw: Json, role: str) -> Kind | None:
    if role in ("head", "else", "with"):
        return role  # type: ignore[return-value] # the three names are kinds
    if role == "body" and "terms" in raw:
        return "expr"
    return "term" if "type" in raw and "location" in raw else None


def _uses(tree: Json) -> frozenset[tuple[str, ...]]:
    """Paths below `data` that the rules refer to; an imported name stands for its path, which alone is no use."""
    aliases: dict[str, tuple[str, ...]] = {}
    for one in tree.get("imports") or []:
        path = _constant_path(one["path"]["value"])
        aliases[one.get("alias") or path[-1]] = path
    found = set()
    for ref in _refs(tree.get("rules", [])):
        head, *rest = _constant_path(ref) or ("",)
        path = (*aliases.get(head, (head,)), *rest)
        if path[0] == "data":
            found.add(path[1:])
    return frozenset(found)


def _refs(value: Any) -> Iterator[list[Json]]:
    """Every reference in a tree, as its parts; a variable on its own counts as one: it may be `data` or an import."""
    if isinstance(value, list):
        for item in value:
            yield from _refs(item)
    elif isinstance(value, dict):
        if value.get("type") == "ref":
            yield value["value"]
        elif value.get("type") == "var":
            yield [value]
        for key, inner in value.items():
            if key == "value" and value.get("type") == "ref":
                # The head is accounted for; the parts may hold references of their own: a[data.b.c]
                yield from _refs(inner[1:])
            elif key not in ("location", "annotations"):
                yield from _refs(inner)


def _constant_path(parts: list[Json]) -> tuple[str, ...]:
    path: list[str] = []
    for number, part in enumerate(parts):
        if part.get("type") != ("var" if number == 0 else "string"):
            break
        path.append(str(part["value"]))
    return tuple(path)

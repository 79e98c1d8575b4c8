"""Operators on terms: the wrong comparison, number, text, pattern or function in an otherwise right rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from harness.mutate.change import Change
from harness.mutate.rule_ops import COMPARISONS, RuleOperator, RuleView
from harness.mutate.syntax import Node
from harness.mutate.text import Edit
from harness.mutate.widen import unanchored, widened_glob

_ARITHMETIC: Final = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"}
_SETS: Final = {"&": "|", "|": "&"}
_CALLS: Final = {
    "startswith": "contains",
    "endswith": "contains",
    "strings.any_prefix_match": "strings.any_suffix_match",
    "min": "max",
    "max": "min",
    "ceil": "floor",
    "floor": "ceil",
    "round": "floor",
    "intersection": "union",
    "union": "intersection",
    "object.union": "object.remove",
}
"""Functions that take the same arguments and answer something near."""
_TRANSPARENT: Final = frozenset({"lower", "upper", "trim_space", "abs"})
"""Functions of one argument whose result has the argument's type: they can be left out."""


def compare(view: RuleView, node: Node) -> Iterator[Change]:
    """`==` and `!=` change places, an order takes its boundary in or leaves it out."""
    yield from _operator(view, node, "compare", COMPARISONS)


def arithmetic(view: RuleView, node: Node) -> Iterator[Change]:
    """`+` and `-`, `*` and `/` change places."""
    yield from _operator(view, node, "arithmetic", _ARITHMETIC)


def set_operation(view: RuleView, node: Node) -> Iterator[Change]:
    """Intersection and union change places."""
    yield from _operator(view, node, "set-operation", _SETS)


def call_swap(view: RuleView, node: Node) -> Iterator[Change]:
    """A function is replaced by one that is near it."""
    yield from _operator(view, node, "call-swap", _CALLS)


def _operator(view: RuleView, node: Node, name: str, table: dict[str, str]) -> Iterator[Change]:
    """The function position of a call is a reference whose text is the operator as written."""
    if node.type != "ref" or not node.placed or node.text not in table or not _is_function(node):
        return
    new = table[node.text]
    yield view.change(name, node, [Edit(node.start, node.end, new)], f"`{node.text}` becomes `{new}`")


def _is_function(node: Node) -> bool:
    """Whether `node` is the first part of a call, as an expression or as a term."""
    in_call = node.role == "terms" or (node.parent is not None and node.parent.type == "call")
    return in_call and node.siblings()[:1] == [node]


def unwrap(view: RuleView, node: Node) -> Iterator[Change]:
    """`lower(x)` becomes `x`."""
    if node.type != "call" or not node.placed or len(node.children) != 2:
        return
    function, argument = node.children
    if function.text in _TRANSPARENT and argument.placed:
        what = f"without `{function.text}`"
        yield view.change("unwrap", node, [Edit(node.start, node.end, argument.text)], what)


def bound(view: RuleView, node: Node) -> Iterator[Change]:
    """A number is one more, or one less."""
    if node.type != "number" or not node.placed:
        return
    for step in (1, -1):
        new = json.dumps(json.loads(node.text) + step)
        yield view.change("bound", node, [Edit(node.start, node.end, new)], f"{node.text} becomes {new}")


def boolean(view: RuleView, node: Node) -> Iterator[Change]:
    """`true` and `false` change places, defaults aside."""
    if node.type != "boolean" or not node.placed:
        return
    rule = node.up("rule")
    if rule is None or not rule.raw.get("default"):
        new = "false" if node.text == "true" else "true"
        yield view.change("boolean", node, [Edit(node.start, node.end, new)], f"{node.text} becomes {new}")


def string(view: RuleView, node: Node) -> Iterator[Change]:
    """A text constant is another one."""
    if _is_text(node):
        new = _literal(node, f"{node.raw['value']}_mutant")
        yield view.change("string", node, [Edit(node.start, node.end, new)], f"{node.text} becomes {new}")


def glob(view: RuleView, node: Node) -> Iterator[Change]:
    """A pattern in a rule matches more."""
    if _is_text(node) and (wide := widened_glob(str(node.raw["value"]))) is not None:
        new = _literal(node, wide)
        yield view.change("glob-widen", node, [Edit(node.start, node.end, new)], f"{node.text} becomes {new}")


def anchor(view: RuleView, node: Node) -> Iterator[Change]:
    """A regular expression matches anywhere instead of from the start or to the end."""
    if _is_text(node):
        for loose in unanchored(str(node.raw["value"])):
            new = _literal(node, loose)
            yield view.change("regex-anchor", node, [Edit(node.start, node.end, new)], f"{node.text} becomes {new}")


def _is_text(node: Node) -> bool:
    return node.type == "string" and node.placed and node.text[:1] in ('"', "`")


def _literal(node: Node, value: str) -> str:
    """`value` written the way `node` is, so that a raw string stays one."""
    if node.text.startswith("`") and "`" not in value:
        return f"`{value}`"
    return json.dumps(value, ensure_ascii=False)


TERM_OPERATORS: Final[dict[str, RuleOperator]] = {
    "compare": compare,
    "arithmetic": arithmetic,
    "set-operation": set_operation,
    "call-swap": call_swap,
    "unwrap": unwrap,
    "bound": bound,
    "boolean": boolean,
    "string": string,
    "glob-widen": glob,
    "regex-anchor": anchor,
}

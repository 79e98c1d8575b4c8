"""Operators on rules and their bodies: a condition, a negation or a whole rule is missing or wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.mutate.change import Change
from harness.mutate.syntax import Module, Node, rule_name
from harness.mutate.text import Edit

COMPARISONS: Final = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
"""Equality is negated; an order is moved by its boundary only, the mistake people make."""

_UNNEGATABLE: Final = frozenset({":=", "=", *COMPARISONS})
"""Assignments cannot be negated; a comparison has a mutant of its own that says the same."""


@dataclass(frozen=True, slots=True)
class RuleView:
    """What an operator sees: the file, and the names that conditions of its package refer to."""

    module: Module
    helpers: Sequence[str]
    """Rules of the package that stand alone as a condition somewhere in it, sorted."""

    def change(self, operator: str, node: Node, edits: Sequence[Edit], what: str) -> Change:
        """A change at `node`, identified by the expression (or else the head) it is in."""
        around = node if node.kind in ("expr", "rule", "else") else node.up("expr", "head") or node
        scope = ".".join((*self.module.package, rule_name(node)))
        return Change(operator, scope, tuple(edits), around.text, what)


RuleOperator = Callable[[RuleView, Node], Iterator[Change]]


def default_flip(view: RuleView, node: Node) -> Iterator[Change]:
    """`default allow := false` becomes true, and the other way round."""
    if node.kind != "rule" or not node.raw.get("default"):
        return
    for head in node.children:
        for value in head.children:
            if value.type == "boolean" and value.placed and value.role == "value":
                new = _other(value.text)
                yield view.change("default-flip", node, [Edit(value.start, value.end, new)], f"default is {new}")


def drop_line(view: RuleView, node: Node) -> Iterator[Change]:
    """A condition is left out; the only one becomes `true`. A bare declaration (`some x`) is no condition."""
    if node.kind != "expr" or not node.placed or node.text == "true" or re.fullmatch(r"some\s+[\w\s,]+", node.text):
        return
    alone = len(node.siblings()) == 1
    edit = None if alone else view.module.source.without_lines(node.start, node.end)
    yield view.change("drop-line", node, [edit or Edit(node.start, node.end, "true")], f"without `{_short(node.text)}`")


def drop_not(view: RuleView, node: Node) -> Iterator[Change]:
    """`not x` becomes `x`."""
    if node.kind == "expr" and node.placed and node.raw.get("negated") and (found := re.match(r"not\s+", node.text)):
        yield view.change("drop-not", node, [Edit(node.start, node.start + found.end(), "")], "`not` dropped")


def add_not(view: RuleView, node: Node) -> Iterator[Change]:
    """`x` becomes `not x`, where that is another condition than its comparison turned round."""
    if node.kind != "expr" or not node.placed or node.raw.get("negated") or re.match(r"(some|every)\b", node.text):
        return
    operator = next((child for child in node.children if child.role == "terms"), None)
    if isinstance(node.raw["terms"], list) and operator is not None and operator.text in _UNNEGATABLE:
        return
    yield view.change("add-not", node, [Edit(node.start, node.start, "not ")], "`not` added")


def every_to_some(view: RuleView, node: Node) -> Iterator[Change]:
    """`every x in xs { ... }` becomes `some x in xs` with the conditions after it: one is enough."""
    if node.kind != "expr" or not node.placed or not node.text.startswith("every"):
        return
    domain = next((child for child in node.children if child.role == "domain"), None)
    after = node.text[domain.end - node.start :] if domain is not None else ""
    if not after.lstrip().startswith("{") or not after.endswith("}"):
        return
    brace = len(node.text) - len(after.lstrip())
    one_line = "\n" not in node.text[brace:]
    bare = view.module.source.text[: node.start].rstrip().endswith("if")  # a body without braces needs them now
    edits = [
        Edit(node.start, node.start + len("every"), "{ some" if bare else "some"),
        Edit(node.start + brace, node.start + brace + 1, ";" if one_line else ""),
        *([] if bare else [Edit(node.end - 1, node.end, "")]),
    ]
    yield view.change("every-to-some", node, edits, "one element is enough where every one was asked for")


def never(view: RuleView, node: Node) -> Iterator[Change]:
    """A rule never holds: its set stays empty, its value undefined."""
    if node.kind != "rule" or node.raw.get("default") or not node.placed:
        return
    source = view.module.source
    body = [child for child in node.children if child.role == "body" and child.kind == "expr"]
    if not body:
        if "else" not in node.raw:
            yield view.change("never", node, [Edit(node.end, node.end, " if false")], "the rule never holds")
        return
    first = body[0]
    head = next(child for child in node.children if child.kind == "head")
    if not first.placed or [expr.text for expr in body] == ["false"]:
        return
    if "{" in source.text[head.end : first.start]:
        begin = source.line_start(first.start)
        own_line = not source.text[begin : first.start].strip()
        joint = f"\n{source.text[begin : first.start]}" if own_line else "; "
        edit = Edit(first.start, first.start, f"false{joint}")
    else:
        edit = Edit(first.start, first.end, "false")
    yield view.change("never", node, [edit], "the rule never holds")


def drop_else(view: RuleView, node: Node) -> Iterator[Change]:
    """An `else` branch, with those after it, is left out."""
    if node.kind == "else" and node.placed and node.text.startswith("else"):
        yield view.change("drop-else", node, [Edit(node.start, node.end, "")], "without the else branch")


def helper_swap(view: RuleView, node: Node) -> Iterator[Change]:
    """A condition that is a rule's bare name becomes the package's next such name."""
    if node.kind != "expr" or not (name := helper_of(node)) or name not in view.helpers or len(view.helpers) < 2:
        return
    new = view.helpers[(view.helpers.index(name) + 1) % len(view.helpers)]
    start = node.end - len(name)
    yield view.change("helper-swap", node, [Edit(start, node.end, new)], f"asks `{new}` instead of `{name}`")


def helper_of(node: Node) -> str:
    """The bare name a condition consists of, `not` aside; empty when it is anything else."""
    found = re.fullmatch(r"(?:not\s+)?([a-z_][A-Za-z0-9_]*)", node.text)
    return found.group(1) if node.kind == "expr" and node.placed and found and found.group(1) not in _WORDS else ""


_WORDS: Final = frozenset({"true", "false", "null", "not", "some", "every", "input", "data"})


def _other(boolean: str) -> str:
    return "false" if boolean == "true" else "true"


def _short(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


RULE_OPERATORS: Final[dict[str, RuleOperator]] = {
    "default-flip": default_flip,
    "drop-line": drop_line,
    "drop-not": drop_not,
    "add-not": add_not,
    "every-to-some": every_to_some,
    "never": never,
    "drop-else": drop_else,
    "helper-swap": helper_swap,
}

"""Which rules of a policy directory look at what differs from one request to the next: its id, the time, what is left.

Two inputs that agree in everything else are answered alike when these rules have the same values for both. That is so
because the value of a rule follows from data, from the input it refers to, and from the values of other rules: whatever
does not itself refer to the differing part can only hear of it through a rule that does.

Found in the syntax tree. A reference counts when it is to the part, to something in it, or to something around it
(`input`, `input.intent`, `input.intent[field]`). Who calls a function that refers to it refers to it; a function has no
value that could be compared. Where that reasoning does not hold (a rule that changes its input by `with`, or asks the
clock), there are no such rules to be had and every input is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.policydir import OpaTool

Json = dict[str, Any]
Parts = tuple[str, ...]

VARYING: Final[tuple[Parts, ...]] = (
    ("now",),
    ("intent", "id"),
    ("facts", "budget"),
    ("facts", "history"),
    ("facts", "host"),
    ("facts", "active_leases"),
)
"""Parts of the input that differ between requests for the same thing (DESIGN 5.1)."""
FICKLE: Final = ("time.now_ns", "rand.intn", "uuid.rfc4122", "http.send", "opa.runtime", "net.lookup_ip_addr")
"""Built-ins whose answer does not follow from their arguments."""
PACKAGE: Final = "cordon.replay_reads"


@dataclass(slots=True)
class _Rule:
    """What is known of all definitions of one rule."""

    is_function: bool = False
    reads: bool = False
    refers: set[Parts] = field(default_factory=set)
    """Paths below `data` it refers to."""


def reading_rules(trees: Sequence[Json]) -> list[Parts] | None:
    """The rules, by path below `data`, that refer to something `VARYING`; None when their values are not enough."""
    rules: dict[Parts, _Rule] = {}
    for tree in trees:
        package = tuple(str(part["value"]) for part in tree["package"]["path"][1:])
        aliases = dict(_aliases(tree))
        for one in tree.get("rules") or []:
            rule = rules.setdefault((*package, _name(one)), _Rule())
            rule.is_function |= "args" in one["head"]
            for path in _paths(one):
                if ".".join(path) in FICKLE or path == ("with",):
                    return None
                whole = aliases.get(path[0], path[:1]) + path[1:]
                if whole[0] == "input":
                    rule.reads |= any(_overlap(whole[1:], part) for part in VARYING)
                else:
                    rule.refers.add(whole[1:] if whole[0] == "data" else (*package, whole[0]))
    _through_functions(rules)
    return sorted(path for path, rule in rules.items() if rule.reads and not rule.is_function)


def _through_functions(rules: dict[Parts, _Rule]) -> None:
    """Who calls a function that reads, reads."""
    found = True
    while found:
        reading = {path for path, rule in rules.items() if rule.reads and rule.is_function}
        callers = [
            r for r in rules.values() if not r.reads and any(one[: len(p)] == p for one in r.refers for p in reading)
        ]
        for rule in callers:
            rule.reads = True
        found = bool(callers)


def _name(rule: Json) -> str:
    head = rule["head"]
    first = (head.get("ref") or [{"value": head.get("name")}])[0]
    return str(first["value"])


def _aliases(tree: Json) -> Iterator[tuple[str, Parts]]:
    for one in tree.get("imports") or []:
        path = tuple(str(part["value"]) for part in one["path"]["value"])
        yield one.get("alias") or path[-1], path


def _paths(value: Any) -> Iterator[Parts]:
    """The constant beginning of every reference below `value`; `("with",)` where an input is changed."""
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)
    elif isinstance(value, dict):
        if value.get("with"):
            yield ("with",)
        if value.get("type") == "ref":
            yield _constant(value["value"])
            yield from _paths(value["value"] if value["value"][0].get("type") != "var" else value["value"][1:])
            return
        if value.get("type") == "var":
            yield (str(value["value"]),)
        for item in value.values():
            yield from _paths(item)


def _constant(parts: list[Json]) -> Parts:
    if parts[0].get("type") != "var":  # a call or a literal, which is looked at on its own
        return ("",)
    path = [str(parts[0]["value"])]
    for part in parts[1:]:
        if part.get("type") != "string":
            break
        path.append(str(part["value"]))
    return tuple(path)


def _overlap(one: Parts, other: Parts) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def reads_module(policies: Path, opa: OpaTool) -> str | None:
    """Rego that gives a fingerprint of the values of the reading rules for each row of a batch; None: there is none."""
    trees = [
        opa.parse(path.relative_to(policies).as_posix(), cwd=policies, locations=False)
        for path in sorted(policies.rglob("*.rego"))
        if not path.name.endswith("_test.rego")
    ]
    rules = reading_rules(trees)
    if rules is None:
        return None
    members = [f'read contains ["{".".join(path)}", {_ref(path)}]\n' for path in rules]
    return (
        f"package {PACKAGE}\n\n"
        'answers := [crypto.sha256(sprintf("%v", [seen])) | some row in input.rows; seen := read with input as row]\n\n'
        + "\n".join(members or ["read := set()\n"])
    )


def _ref(path: Parts) -> str:
    return "data" + "".join(f'["{part}"]' for part in path)


def without_varying(document: Any, parts: Sequence[Parts] = VARYING) -> Any:
    """A copy of `document` that lacks the parts; everything else is shared with it."""
    if not isinstance(document, dict):
        return document
    heads = {part[0] for part in parts}
    result = {}
    for key, value in document.items():
        if key not in heads:
            result[key] = value
        elif (key,) not in parts:
            result[key] = without_varying(value, [part[1:] for part in parts if part[0] == key])
    return result

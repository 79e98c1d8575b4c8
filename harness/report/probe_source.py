"""The code of an attempt, for its reviewer: what was carried to the guest, or which procedure was called.

Of a batch's file only what concerns one mechanism: the statement that registers it, and its harmless twin.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from harness.document.drill import AnyDrill
from harness.document.procedure import Procedure
from harness.document.scenario import Scenario

MOST: Final = 20_000
"""Characters of one scenario's code in the report."""
PROBES: Final = "/workspace/probes.py"


def source_of(drill: AnyDrill) -> str:
    """The code of `drill`; empty where the document itself says all."""
    if isinstance(drill, Procedure):
        return inspect.getsource(drill.called.call)[:MOST]
    if not isinstance(drill, Scenario):
        return ""
    files = {file.path: file.content.decode("utf-8", "backslashreplace") for file in drill.intent.files}
    if drill.member and PROBES in files:
        return (of_mechanism(files[PROBES], drill.member.mechanism) or files[PROBES])[:MOST]
    return "\n".join(f"# {path}\n{text}" for path, text in files.items())[:MOST]


def of_mechanism(text: str, mechanism: str) -> str:
    """The statements of the probes' file `text` that are about `mechanism`; empty when there are none."""
    return "\n\n".join(_by_constant(text).get(mechanism, ()))


@lru_cache(maxsize=8)
def _by_constant(text: str) -> Mapping[object, Sequence[str]]:
    """Constant -> the statements that have it, each with its twins; a batch asks for each of its scenarios."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    lines = text.splitlines()
    found: dict[object, list[str]] = {}
    for node in tree.body:
        inside = list(ast.walk(node))
        twins = [
            functions[word.value.id]
            for word in inside
            if isinstance(word, ast.keyword) and isinstance(word.value, ast.Name) and word.value.id in functions
        ]
        said = [_whole(lines, one) for one in (node, *twins)]
        for word in {one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)}:
            found.setdefault(word, []).extend(said)
    return found


def _whole(lines: Sequence[str], node: ast.stmt) -> str:
    """A statement's lines, decorators included."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    return "\n".join(lines[first - 1 : node.end_lineno])

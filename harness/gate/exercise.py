"""Is every cell of the matrix and every entry of every list exercised? Each is changed, and a test must notice.

All changes are tried in one run of OPA: a generated module evaluates the tests of the concern that a list belongs to,
`with` that list changed. A change under which all of them still pass is one that no test exercises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from executor.errors import OutsideError
from harness.document.strict_yaml import Path as DataPath
from harness.document.strict_yaml import path_text, walk
from harness.gate.source import CONCERNS, PolicySource

_DEADLINE_S: Final = 240
MATRIX: Final = f"{CONCERNS}/matrix/data.yaml"


@dataclass(frozen=True, slots=True)
class Flip:
    """One change of one data document: what it is called in reports, its concern, the top key, the key's new value."""

    label: str
    concern: str
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Exercise:
    """What was tried and what no test noticed."""

    tried: int
    cells: int
    unnoticed: tuple[str, ...]


def flips(source: PolicySource) -> list[Flip]:
    """Every change to try: each cell of the matrix turned over, each entry of each list taken out."""
    found: list[Flip] = []
    for name, document in source.judged_data().items():
        concern = name.split("/")[-2]
        if name == MATRIX:
            found.extend(_cells(document.value))
        for path, value in walk(document.value):
            if isinstance(value, list) and not (name == MATRIX and path[0] == "rows"):
                found.extend(_removals(concern, document.value, path, value))
    return found


def exercise(source: PolicySource, tests: Mapping[str, Sequence[str]]) -> Exercise:
    """Try all flips; `tests` are the names of each concern's tests, cheapest first."""
    tried = flips(source)
    lines = ["package cordon_exercise", "", "import rego.v1", ""]
    for index, flip in enumerate(tried):
        target = f"data.cordon.rules.{flip.concern}.{flip.key}"
        value = json.dumps(flip.value)
        names = tests.get(flip.concern, ())
        body = [f"\tdata.cordon.rules.{flip.concern}_test.{name} with {target} as mutant_{index}" for name in names]
        lines += [f"mutant_{index} := {value}", "", f"unnoticed contains {index} if {{", *(body or ["\ttrue"]), "}", ""]
    with TemporaryDirectory(prefix="cordon-exercise-") as scratch:
        module = Path(scratch) / "exercise.rego"
        module.write_text("\n".join(lines), encoding="utf-8")
        done = source.opa.run(
            [
                "eval",
                "--bundle",
                str(source.root),
                "--data",
                str(module),
                "--format",
                "json",
                "data.cordon_exercise.unnoticed",
            ],
            cwd=Path(scratch),
            deadline_s=_DEADLINE_S,
        )
    if done.code != 0 or done.timed_out:
        raise OutsideError(f"opa eval: {done.stderr.strip() or done.stdout.decode(errors='replace')[:2000]}")
    indexes = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    cells = sum(flip.label.startswith("cell ") for flip in tried)
    return Exercise(len(tried), cells, tuple(sorted(tried[index].label for index in indexes)))


def _removals(concern: str, data: Mapping[str, Any], path: DataPath, entries: list[Any]) -> Iterator[Flip]:
    for index, entry in enumerate(entries):
        changed = deepcopy(dict(data))
        parent = _at(changed, path)
        del parent[index]
        key = str(path[0])
        yield Flip(f"entry {concern}.{path_text(path)}[{index}] {_short(entry)}", concern, key, changed[key])


def _cells(data: Mapping[str, Any]) -> Iterator[Flip]:
    """Each capability of each row given or taken, each group of programs likewise."""
    tokens = list(data["capabilities"])
    groups = sorted({group for path, group in walk(data["rows"]) if path and len(path) > 1 and path[-2] == "programs"})
    for path, row in walk(data["rows"]):
        if not (isinstance(row, dict) and "capabilities" in row):
            continue
        for field, choices in (("capabilities", tokens), ("programs", groups)):
            for choice in choices:
                changed = deepcopy(data["rows"])
                cells = _at(changed, path)[field]
                cells.remove(choice) if choice in cells else cells.append(choice)
                yield Flip(f"cell {'/'.join(map(str, path))} x {choice}", "matrix", "rows", changed)


def _at(value: Any, path: DataPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _short(entry: Any) -> str:
    return entry if isinstance(entry, str) else json.dumps(entry)[:60]

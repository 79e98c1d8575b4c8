"""A policy directory read for mutation: its modules, its data files, and which files a package's tests need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from executor.errors import InvalidInputError
from harness.mutate.change import Change, Mutant, mutants
from harness.mutate.data_ops import DATA_OPERATOR_NAMES, data_changes
from harness.mutate.rule_ops import RULE_OPERATORS, RuleView, helper_of
from harness.mutate.syntax import Module, Weights, read_module
from harness.mutate.term_ops import TERM_OPERATORS
from harness.mutate.text import Source
from harness.policydir import OpaTool

DATA_NAMES: Final = frozenset({"data.yaml", "data.yml", "data.json"})
"""The only data files a bundle directory has."""
OPERATORS: Final = tuple(sorted({*RULE_OPERATORS, *TERM_OPERATORS, *DATA_OPERATOR_NAMES}))

DataPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything of a policy directory that mutation looks at. Paths of files are relative to `root`."""

    root: Path
    modules: tuple[Module, ...]
    data: tuple[Source, ...]
    others: tuple[str, ...]
    """Files that are neither Rego nor data but belong to the bundle, such as `.manifest`."""
    _by_path: dict[str, Module] = field(default_factory=dict)

    def rules(self) -> list[Module]:
        """Modules that are mutated: no tests."""
        return [module for module in self.modules if not module.is_test]

    def mutable(self) -> list[str]:
        """Files that are mutated."""
        return [module.source.path for module in self.rules()] + [source.path for source in self.data]

    def near_tests(self, path: str) -> list[str]:
        """The test files in the directory of `path`: they are run first."""
        folder = PurePosixPath(path).parent
        return [m.source.path for m in self.modules if m.is_test and PurePosixPath(m.source.path).parent == folder]

    def reaching_tests(self, path: str) -> list[str]:
        """Every test file that can notice a change of `path`: those that need it."""
        return [m.source.path for m in self.modules if m.is_test and path in self.needed([m.source.path])]

    def ordered_tests(self, paths: Iterable[str]) -> tuple[str, ...]:
        """The tests of the files `paths` that are plain rules, by dotted name, those with the fewest cases first.

        A test asks the more the more is written for it and for what it refers to in its own package.
        """
        found = []
        for path in sorted(paths):
            module = self._by_path[path]
            package = [other.weights for other in self.modules if other.is_test and other.package == module.package]
            odd = frozenset[str]().union(*(weights.odd for weights in package))
            plain = (name for name in module.names - odd if name.startswith("test_"))
            found += [(_weight(name, package), f"{'.'.join(module.package)}.{name}") for name in plain]
        return tuple(dict.fromkeys(name for _, name in sorted(found)))

    def needed(self, paths: Iterable[str]) -> frozenset[str]:
        """`paths` and every file whose rules or data those refer to, directly or through others.

        A reference needs the packages and data files below it (`data.cordon.rules[_].deny` needs all of them), the data
        files above it, and a package above it that has a rule of the name that follows. Names without `data.` are of
        the file's own package. Test files are needed by test files only, and only where they are named.
        """
        todo = list(paths)
        found: set[str] = set()
        while todo:
            path = todo.pop()
            if path in found:
                continue
            found.add(path)
            if (module := self._by_path.get(path)) is not None:
                todo += self._direct(module)
        return frozenset(found)

    def _direct(self, module: Module) -> list[str]:
        """Files `module` refers to."""
        result = []
        for other in self.modules:
            if other.is_test and not module.is_test:
                continue
            if other.package == module.package or any(_reaches(used, other) for used in module.uses):
                result.append(other.source.path)
        result += [s.path for s in self.data if any(_related(used, data_path(s.path)) for used in module.uses)]
        return result


def _weight(name: str, package: Sequence[Weights]) -> int:
    todo, seen, total = [name], {name}, 0
    while todo:
        one = todo.pop()
        for weights in package:
            total += weights.sizes.get(one, 0)
            todo += weights.asks.get(one, frozenset()) - seen
            seen |= weights.asks.get(one, frozenset())
    return total


def _reaches(used: DataPath, module: Module) -> bool:
    """Whether the reference `used` can be answered by a rule of `module`."""
    depth = len(module.package)
    if len(used) < depth and module.is_test:
        return False
    if len(used) <= depth:
        return used == module.package[: len(used)]
    return used[:depth] == module.package and used[depth] in module.names


def data_path(path: str) -> DataPath:
    """Where a bundle keeps what the data file `path` holds."""
    return PurePosixPath(path).parent.parts


def _related(one: DataPath, other: DataPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def read_tree(root: Path, opa: OpaTool, *, jobs: int) -> Tree:
    """Read and parse every file below `root`; raises `InvalidInputError` when there is no rule in it."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    rego = [path for path in files if path.endswith(".rego")]
    if not any(not path.endswith("_test.rego") for path in rego):
        raise InvalidInputError(f"{root}: no Rego rules here")

    def parse(path: str) -> Module:
        # Of tests only the references matter: without places their trees are a tenth of the size.
        return read_module(_source(root, path), opa.parse(path, cwd=root, locations=not path.endswith("_test.rego")))

    with ThreadPoolExecutor(jobs) as pool:
        modules = tuple(pool.map(parse, rego))
    data = tuple(_source(root, path) for path in files if PurePosixPath(path).name in DATA_NAMES)
    known = {*rego, *(source.path for source in data)}
    others = tuple(path for path in files if path not in known and PurePosixPath(path).name == ".manifest")
    return Tree(root, modules, data, others, {module.source.path: module for module in modules})


def _source(root: Path, path: str) -> Source:
    # Read as bytes: Python would turn \r\n into \n, and the columns would no longer be OPA's.
    return Source(path, (root / path).read_bytes().decode())


def all_mutants(tree: Tree, skipped: frozenset[str] = frozenset()) -> tuple[list[Mutant], list[str]]:
    """Every mutant of every rule and data file, by file and line, and the places that could not be changed."""
    result: list[Mutant] = []
    unplaced: list[str] = []
    for module in tree.rules():
        if module.source.path not in skipped:
            result += mutants(module.source, _rule_changes(module, tree))
    for source in tree.data:
        if source.path in skipped:
            continue
        changes, missed = data_changes(source, data_path(source.path))
        result += mutants(source, changes)
        unplaced += missed
    return sorted(result, key=lambda mutant: (mutant.source.path, mutant.line, mutant.id)), unplaced


def _rule_changes(module: Module, tree: Tree) -> list[Change]:
    same_package = [other for other in tree.rules() if other.package == module.package]
    names = {rule.raw["head"].get("name", "") for other in same_package for rule in other.rules()}
    asked = {helper_of(node) for other in same_package for node in other.nodes}
    view = RuleView(module, sorted(names & asked - {""}))
    operators = (*RULE_OPERATORS.values(), *TERM_OPERATORS.values())
    return [change for node in module.nodes for operator in operators for change in operator(view, node)]

"""Runs the tests against one mutant: near ones first, all that could notice only when those did not.

A mutant is tried in up to two steps, each one `opa test` over a directory of its own:

1. near: the tests beside the mutated file, with the files they need and no others (tens of milliseconds);
2. all: every test file that refers to the mutated file, directly or through others, with what they need.

A failing test in either kills it. What does not compile, in either or under the strict check of the policy gate, is
invalid and is not counted. Before anything is mutated, each directory must pass: a smaller one that does not (some
reference was not constant) is replaced by the whole policy directory.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from executor.errors import OutsideError, RefusedError
from harness.mutate.change import Mutant
from harness.mutate.tree import Tree
from harness.policydir import OpaTool
from harness.policydir.opa import Finished

TEST_DEADLINE_S: Final = 120
"""One `opa test` over everything; ours takes seconds. A mutant beyond it has made the policy unusable: killed."""
CASE_TIMEOUT: Final = "10s"
"""One test case; OPA's default is 5 s, too near on a machine that runs mutants on every core."""
SCHEMAS: Final = "schemas"

Step = Literal["near", "all"]
Status = Literal["killed", "survived", "invalid", "timeout"]
CODE_COMPILE: Final = 1
CODE_FAILED: Final = 2


class RedTestsError(RefusedError):
    """The tests fail before anything is mutated: no mutant could be told from the original."""

    code = "mutate.red"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant; `killed_by` names the tests that failed, sorted, of the step that killed it."""

    mutant: Mutant
    status: Status
    killed_by: tuple[str, ...] = ()
    step: Step = "all"


@dataclass(slots=True)
class Workshop:
    """One worker's directories: the whole policy directory, and one smaller one for each group of near tests."""

    tree: Tree
    opa: OpaTool
    scratch: Path
    strict: bool = False
    """Whether the original passes the strict check, so that failing it makes a mutant invalid."""
    _dirs: dict[frozenset[str], Path] = field(default_factory=dict)
    _steps: dict[str, list[tuple[Step, Path]]] = field(default_factory=dict)

    def judge(self, mutant: Mutant) -> Verdict:
        """Try one mutant."""
        verdict = Verdict(mutant, "survived")
        for step, folder in self._steps_for(mutant.source.path):
            verdict = self._try(mutant, folder, step)
            if verdict.status != "survived":
                break
        return verdict

    def everything(self) -> Path:
        """A copy of the whole policy directory."""
        paths = [module.source.path for module in self.tree.modules] + [source.path for source in self.tree.data]
        return self._dir(frozenset(paths))

    def test(self, folder: Path) -> Finished:
        """`opa test` over one of the directories."""
        args = ["test", "--bundle", "--format", "json", "--parallel", "1", "--timeout", CASE_TIMEOUT, "."]
        return self.opa.run(args, cwd=folder, deadline_s=TEST_DEADLINE_S, quiet=True)

    def passes_strict(self, folder: Path) -> bool:
        """Whether the policy gate's compiler takes it: unused names, unsafe built-ins, fields the schema lacks."""
        args = ["check", "--strict", "--bundle", "."]
        if (schemas := self.tree.root / SCHEMAS).is_dir():
            args[1:1] = ["--schema", str(schemas.absolute())]
        return self.opa.run(args, cwd=folder, deadline_s=TEST_DEADLINE_S, quiet=True).code == 0

    def _try(self, mutant: Mutant, folder: Path, step: Step) -> Verdict:
        file = folder / mutant.source.path
        file.write_bytes(mutant.text().encode())
        try:
            done = self.test(folder)
            if done.timed_out:  # the machine may have stood still; what is slow is slow again
                done = self.test(folder)
            if done.timed_out:
                return Verdict(mutant, "timeout", step=step)
            if done.code == CODE_FAILED:
                return Verdict(mutant, "killed", failed_tests(done), step)
            if done.code == CODE_COMPILE:
                return Verdict(mutant, "invalid", step=step)
            if done.code != 0:
                raise OutsideError(f"{mutant.id}: opa test ended with {done.code}: {done.stderr.strip()[:400]}")
            if step == "all" and self.strict and not self.passes_strict(folder):
                return Verdict(mutant, "invalid", step=step)
            return Verdict(mutant, "survived", step=step)
        finally:
            file.write_bytes(mutant.source.text.encode())

    def _steps_for(self, path: str) -> list[tuple[Step, Path]]:
        """The directories a mutant of `path` is tried in; the last one has every test that can notice."""
        if path not in self._steps:
            near, reaching = self.tree.near_tests(path), self.tree.reaching_tests(path)
            last = self._green(self.tree.needed([*reaching, path])) or self.everything()
            steps: list[tuple[Step, Path]] = [("all", last)]
            if near and set(near) < set(reaching) and (first := self._green(self.tree.needed([*near, path]))):
                steps.insert(0, ("near", first))
            self._steps[path] = steps
        return self._steps[path]

    def _green(self, paths: frozenset[str]) -> Path | None:
        """The directory of `paths`, when the tests in it pass."""
        folder = self._dir(paths)
        return folder if self.test(folder).code == 0 else None

    def _dir(self, paths: frozenset[str]) -> Path:
        if paths not in self._dirs:
            folder = self.scratch / str(len(self._dirs))
            for path in (*paths, *self.tree.others):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.tree.root / path, target)
            self._dirs[paths] = folder
        return self._dirs[paths]


def failed_tests(done: Finished) -> tuple[str, ...]:
    """Names of the tests that did not pass, sorted: `cordon.paths_test.test_dotdot`."""
    results = json.loads(done.stdout)
    bad = [one for one in results if one.get("fail") or one.get("error")]
    return tuple(sorted({f"{one['package'].removeprefix('data.')}.{one['name']}" for one in bad}))


def require_green(workshop: Workshop) -> None:
    """Raise unless the tests pass on the original; learn whether the strict check does."""
    folder = workshop.everything()
    done = workshop.test(folder)
    if done.timed_out:
        raise RedTestsError(f"the tests take over {TEST_DEADLINE_S} s before anything is mutated")
    if done.code == CODE_FAILED:
        names = failed_tests(done)
        raise RedTestsError(f"{len(names)} tests fail before anything is mutated, make them pass first: {names[0]}")
    if done.code != 0:
        raise RedTestsError(f"the policies do not compile: {(done.stderr or done.stdout.decode()).strip()[:600]}")
    workshop.strict = workshop.passes_strict(folder)

"""Runs the tests against mutants: near ones first, all that could notice when those did not, and who survives all.

A mutant is tried in up to three steps:

1. near: a quick look (`harness.mutate.quick`) at the tests beside the mutated file, with the files they need and no
   others (a tenth of a second); mutants of one data file are looked at together;
2. all: a quick look at every test file that refers to the mutated file, directly or through others;
3. `opa test` over the whole policy directory. Nothing is a survivor that has not passed it.

A failing test in any of them kills. Where a look cannot tell (an error, no answer in time), `opa test` over the same
files does. What does not compile there or under the strict check of the policy gate is invalid and is not counted.
Before anything is mutated each directory must pass; one that does not (some reference was not constant) is not used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from executor.errors import OutsideError, RefusedError
from harness.mutate.change import Mutant
from harness.mutate.quick import Look, QuickLook, swap_of
from harness.mutate.tree import Tree, data_path
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
    """What became of one mutant; `killed_by` names the test a look stopped at, or all that failed under `opa test`."""

    mutant: Mutant
    status: Status
    killed_by: tuple[str, ...] = ()
    step: Step = "all"


class Greens:
    """Which directories pass before anything is mutated; found out once for all workers."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._asking: Final[dict[Hashable, Lock]] = {}
        self._known: Final[dict[Hashable, bool]] = {}

    def passes(self, key: Hashable, ask: Callable[[], bool]) -> bool:
        """What `ask` says, or said for the same key."""
        with self._lock:
            asking = self._asking.setdefault(key, Lock())
        with asking:
            if key not in self._known:
                self._known[key] = ask()
            return self._known[key]


@dataclass(frozen=True, slots=True)
class Stage:
    """The tests of one step: their files with what those need, and the quick look at them, where there is one."""

    step: Step
    paths: frozenset[str]
    quick: QuickLook | None


@dataclass(slots=True)
class Workshop:
    """One worker's directories: the whole policy directory, and smaller ones for groups of tests."""

    tree: Tree
    opa: OpaTool
    scratch: Path
    strict: bool = False
    """Whether the original passes the strict check, so that failing it makes a mutant invalid."""
    greens: Greens = field(default_factory=Greens)
    quickly: bool = True
    """Whether to look before `opa test`; without, the outcome is the same and takes several times as long."""
    _dirs: dict[Hashable, Path] = field(default_factory=dict)
    _stages: dict[str, list[Stage]] = field(default_factory=dict)

    def judge(self, mutants: Sequence[Mutant], expected: frozenset[str] = frozenset()) -> list[Verdict]:
        """Try mutants of one file. Those whose ids are `expected` to survive all are not looked at twice."""
        stages = self._stages_for(mutants[0].source.path)
        looks = self._looks_at_data(stages[0], mutants)
        return [self._judge(one, stages, looks.get(one.id), one.id in expected) for one in mutants]

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

    def _judge(self, mutant: Mutant, stages: Sequence[Stage], looked: Look, expected: bool) -> Verdict:  # noqa: FBT001 - not for others
        for number, stage in enumerate(stages):
            if stage.step == "all" and expected:
                break
            if stage.quick is None:
                look = None
            elif number == 0 and looked is not None:
                look = looked
            else:
                with _mutated(stage.quick.folder, mutant):
                    look = stage.quick.look()
            if look:
                return Verdict(mutant, "killed", (look,), stage.step)
            if look is None and stage.step == "near" and (folder := self._green(stage.paths)) is not None:
                verdict = self._try(mutant, folder, stage.step)
                if verdict.status != "survived":
                    return verdict
        return self._try(mutant, self.everything(), "all")

    def _looks_at_data(self, stage: Stage, mutants: Sequence[Mutant]) -> dict[str, Look]:
        """What a look at all of `mutants` together said of each, as far as it could be asked that way."""
        source = mutants[0].source
        if stage.quick is None or source.path.endswith(".rego"):
            return {}
        swaps = {one.id: swap_of(data_path(source.path), source.text, one.text()) for one in mutants}
        able = {name: swap for name, swap in swaps.items() if swap is not None}
        return dict(zip(able, stage.quick.look_at_each(list(able.values())), strict=True)) if len(able) > 1 else {}

    def _try(self, mutant: Mutant, folder: Path, step: Step) -> Verdict:
        with _mutated(folder, mutant):
            done = self.test(folder)
            if done.timed_out:  # the machine may have stood still; what is slow is slow again
                done = self.test(folder)
            if done.timed_out:
                return Verdict(mutant, "timeout", step=step)
            if failed := failed_tests(done):
                return Verdict(mutant, "killed", failed, step)
            if done.code == CODE_COMPILE:
                return Verdict(mutant, "invalid", step=step)
            if not passed(done):
                raise OutsideError(f"{mutant.id}: opa test ended with {done.code}: {done.stderr.strip()[:400]}")
            if step == "all" and self.strict and not self.passes_strict(folder):
                return Verdict(mutant, "invalid", step=step)
            return Verdict(mutant, "survived", step=step)

    def _stages_for(self, path: str) -> list[Stage]:
        """The steps before `opa test` over everything for a mutant of `path`."""
        if path not in self._stages:
            near, reaching = self.tree.near_tests(path), self.tree.reaching_tests(path)
            stages = [self._stage("all", path, reaching, [name for name in reaching if name not in near])]
            if near and set(near) < set(reaching):
                stages.insert(0, self._stage("near", path, near, near))
            self._stages[path] = stages
        return self._stages[path]

    def _stage(self, step: Step, path: str, tests: Sequence[str], first: Sequence[str]) -> Stage:
        """The step that runs `tests`, beginning with those of `first`, cheap ones before dear ones."""
        paths = self.tree.needed([*tests, path])
        names = tuple(dict.fromkeys((*self.tree.ordered_tests(first), *self.tree.ordered_tests(tests))))
        if not names or not self.quickly:
            return Stage(step, paths, None)
        look = QuickLook(self.opa, self._dir(paths, names), names)
        return Stage(step, paths, look if self.greens.passes((paths, names), lambda: look.look() == "") else None)

    def _green(self, paths: frozenset[str]) -> Path | None:
        """The directory of `paths`, when the tests in it pass."""
        folder = self._dir(paths)
        return folder if self.greens.passes(paths, lambda: passed(self.test(folder))) else None

    def _dir(self, paths: frozenset[str], quick: tuple[str, ...] = ()) -> Path:
        """A copy of the files `paths`; for a quick look one of its own, whose manifest has room for the question."""
        if (paths, quick) not in self._dirs:
            folder = self.scratch / str(len(self._dirs))
            for path in (*paths, *self.tree.others):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                text = (self.tree.root / path).read_bytes()
                target.write_bytes(_without_roots(text) if quick and path in self.tree.others else text)
            self._dirs[paths, quick] = folder
        return self._dirs[paths, quick]


@contextmanager
def _mutated(folder: Path, mutant: Mutant) -> Iterator[None]:
    file = folder / mutant.source.path
    file.write_bytes(mutant.text().encode())
    try:
        yield
    finally:
        file.write_bytes(mutant.source.text.encode())


def _without_roots(manifest: bytes) -> bytes:
    return json.dumps({key: value for key, value in json.loads(manifest).items() if key != "roots"}).encode()


def failed_tests(done: Finished) -> tuple[str, ...]:
    """Names of the tests that did not pass, sorted: `cordon.paths_test.test_dotdot`; a `todo_` is none."""
    if done.code != CODE_FAILED:
        return ()
    results = json.loads(done.stdout)
    bad = [one for one in results if one.get("fail") or one.get("error")]
    return tuple(sorted({f"{one['package'].removeprefix('data.')}.{one['name']}" for one in bad}))


def passed(done: Finished) -> bool:
    """Whether no test failed. OPA ends with the code for failed tests also where it only left `todo_` tests out."""
    return done.code == 0 or (done.code == CODE_FAILED and not failed_tests(done))


def require_green(workshop: Workshop) -> None:
    """Raise unless the tests pass on the original; learn whether the strict check does."""
    folder = workshop.everything()
    done = workshop.test(folder)
    if done.timed_out:
        raise RedTestsError(f"the tests take over {TEST_DEADLINE_S} s before anything is mutated")
    if names := failed_tests(done):
        raise RedTestsError(f"{len(names)} tests fail before anything is mutated, make them pass first: {names[0]}")
    if not passed(done):
        raise RedTestsError(f"the policies do not compile: {(done.stderr or done.stdout.decode()).strip()[:600]}")
    workshop.strict = workshop.passes_strict(folder)

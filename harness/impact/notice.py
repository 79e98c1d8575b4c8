"""Which tests notice a change of policies: taken back as a whole, and piece by piece, some test has to fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from executor.errors import OutsideError
from harness.impact.hunks import Hunk, deciding_files
from harness.mutate.change import Change, Mutant
from harness.mutate.runner import CODE_COMPILE, CODE_FAILED, Workshop, failed_tests
from harness.mutate.tree import Tree, read_tree
from harness.policydir import OpaTool

State = Literal["NOTICED", "UNNOTICED", "TOGETHER", "WORDS"]
"""TOGETHER: taken back alone it does not compile, so only the whole change can be asked; WORDS: comments only."""
NOT_COMPILED = "(without the change the tests do not compile)"


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of the change, and who notices when it is taken back."""

    hunk: Hunk
    state: State
    by: tuple[str, ...] = ()
    """Tests that fail without it."""
    beside: tuple[str, ...] = ()
    """Test files in which one that notices would be looked for."""

    def to_json(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            "place": self.hunk.place,
            "lines": list(self.hunk.lines()),
            "state": self.state,
            "noticed_by": list(self.by),
            "beside": list(self.beside),
        }


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the tests say of a change."""

    red: tuple[str, ...]
    """Tests that fail with the change: they have caught it. First those beside what was changed."""
    whole: tuple[str, ...]
    """Tests, as they are with the change, that fail on the policies as they were."""
    notices: tuple[Notice, ...]
    """Piece by piece; empty where tests are red: those have to be looked at first."""

    @property
    def unnoticed(self) -> tuple[Notice, ...]:
        """What no test would miss."""
        lost = () if self.whole else ("TOGETHER",)
        return tuple(one for one in self.notices if one.state in ("UNNOTICED", *lost))

    def to_json(self) -> dict[str, Any]:
        """JSON-like."""
        return {"red": list(self.red), "whole": list(self.whole), "hunks": [one.to_json() for one in self.notices]}


def notice(
    found: Sequence[Hunk],
    base: Path,
    changed: Path,
    opa: OpaTool,
    scratch: Path,
    *,
    jobs: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Noticed:
    """Run the tests of `changed` with the change, without it, and without each piece of it, `found`.

    Raises `OutsideError` where the changed policies do not compile: then nothing else can be said of them.
    """
    tree = read_tree(changed, opa, jobs=jobs)
    workshop = Workshop(tree, opa, scratch / "pieces", quickly=False)  # every test that notices is named
    tell("tests with the change")
    if red := _failing(workshop, workshop.everything()):
        return Noticed(_nearest_first(red, found, tree), (), ())
    tell("tests without the change")
    whole = _failing(workshop, _taken_back(base, changed, scratch / "whole"), compiles=False)
    notices = []
    for number, hunk in enumerate(found, 1):
        tell(f"tests without {hunk.place} ({number} of {len(found)})")
        notices.append(_judged(hunk, tree, workshop))
    return Noticed((), whole, tuple(notices))


def _judged(hunk: Hunk, tree: Tree, workshop: Workshop) -> Notice:
    beside = tuple(tree.near_tests(hunk.path) or tree.reaching_tests(hunk.path))
    if not hunk.decides:
        return Notice(hunk, "WORDS")
    if hunk.back is None:
        return Notice(hunk, "TOGETHER", beside=beside)
    source = next(one for one in _sources(tree) if one.path == hunk.path)
    change = Change("take-back", hunk.path, (hunk.back,), "", "the change taken back")
    [verdict] = workshop.judge([Mutant(f"{hunk.place}/take-back", source, change, hunk.line, hunk.line)])
    if verdict.status == "invalid":
        return Notice(hunk, "TOGETHER", beside=beside)
    state: State = "UNNOTICED" if verdict.status == "survived" else "NOTICED"
    return Notice(hunk, state, verdict.killed_by, beside)


def _nearest_first(names: Iterable[str], found: Iterable[Hunk], tree: Tree) -> tuple[str, ...]:
    """Those first that stand beside what was changed: the others fail because much stands on it."""
    beside = {path for hunk in found for path in tree.near_tests(hunk.path)}
    near = tuple(f"{'.'.join(module.package)}." for module in tree.modules if module.source.path in beside)
    return tuple(sorted(names, key=lambda name: (not name.startswith(near), name)))


def _sources(tree: Tree) -> Iterable[Any]:
    return (*(module.source for module in tree.modules), *tree.data)


def _taken_back(base: Path, changed: Path, target: Path) -> Path:
    """The tests of `changed` over the rules and data of `base`."""
    shutil.copytree(changed, target)
    for path in deciding_files(target):
        (target / path).unlink()
    for path, file in deciding_files(base).items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / path)
    return target


def _failing(workshop: Workshop, folder: Path, *, compiles: bool = True) -> tuple[str, ...]:
    """Names of the tests that fail; where nothing compiles an error, or a word of its own."""
    done = workshop.test(folder)
    if done.code == CODE_FAILED:
        return failed_tests(done)
    if done.code == CODE_COMPILE and not compiles:
        return (NOT_COMPILED,)
    if done.timed_out or done.code != 0:
        words = "the tests run out of time" if done.timed_out else (done.stderr or done.stdout.decode()).strip()[:600]
        raise OutsideError(f"the changed policies cannot be tested: {words}")
    return ()

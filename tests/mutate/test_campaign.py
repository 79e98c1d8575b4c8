"""Whole runs with a real OPA: planted holes are found, complete tests leave none, and the outcome does not vary."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import InvalidInputError
from harness.mutate.allowlist import FILE_NAME
from harness.mutate.campaign import Campaign, Choice, run_campaign
from harness.mutate.runner import RedTestsError
from harness.mutate.since import parse_diff
from harness.mutate.tree import read_tree
from harness.policydir import OpaTool

Case = Callable[[str], Path]

HOLES = {
    ("gate/data.yaml", 1, "bound", "max_size: 10 becomes 9"),
    ("gate/data.yaml", 1, "bound", "max_size: 10 becomes 11"),
    ("gate/data.yaml", 4, "remove-entry", "without banned[1]"),
    ("gate/data.yaml", 4, "wildcard-entry", "banned also holds *"),
    ("gate/gate.rego", 7, "compare", "`<` becomes `<=`"),
    ("gate/gate.rego", 9, "every-to-some", "one element is enough where every one was asked for"),
}


def run(root: Path, opa: OpaTool, choice: Choice | None = None, jobs: int = 2) -> Campaign:
    return run_campaign(root, opa, choice or Choice(), jobs=jobs)


def survivors(campaign: Campaign) -> set[tuple[str, int, str, str]]:
    found = (verdict.mutant for verdict in campaign.of("survived"))
    return {(m.source.path, m.line, m.change.operator, m.change.what) for m in found}


def test_planted_holes_are_the_survivors(case: Case, opa: OpaTool) -> None:
    """Exactly the holes marked in the case survive, each at its line."""
    assert survivors(run(case("holes"), opa)) == HOLES


def test_complete_tests_leave_no_survivor(case: Case, opa: OpaTool) -> None:
    """Where every mutant is noticed the run is good, and says which test noticed."""
    campaign = run(case("whole"), opa)
    assert campaign.good
    assert campaign.counts() == {"killed": 15, "timeout": 0, "survived": 0, "invalid": 0, "unexplained": 0}
    assert all(verdict.killed_by for verdict in campaign.verdicts)


def test_same_outcome_every_time(case: Case, opa: OpaTool) -> None:
    """Ids, order, verdicts and the tests that killed are equal whatever the number of workers."""
    root = case("holes")
    first, second = run(root, opa, jobs=1).as_json(), run(root, opa, jobs=3).as_json()
    del first["seconds"], second["seconds"]
    assert first == second


def test_the_policies_are_not_touched(case: Case, opa: OpaTool) -> None:
    """Mutants are made in copies."""
    root = case("holes")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    run(root, opa)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_tests_of_other_packages_count(case: Case, opa: OpaTool) -> None:
    """A mutant no near test notices is killed by the far test that does, in the second step."""
    campaign = run(case("far"), opa, Choice(only=("base",), operators=("compare",)))
    assert [(v.status, v.step, v.killed_by) for v in campaign.verdicts] == [
        ("killed", "all", ("top_test.test_at_the_limit",))
    ]


def test_what_a_test_needs(case: Case, opa: OpaTool) -> None:
    """The files a test needs are those it refers to, through others too, and no test besides itself."""
    tree = read_tree(case("far"), opa, jobs=1)
    assert tree.needed(["top/top_test.rego"]) == {"top/top_test.rego", "top/top.rego", "base/base.rego"}
    assert tree.needed(["base/base_test.rego"]) == {"base/base_test.rego", "base/base.rego"}
    assert tree.reaching_tests("base/base.rego") == ["base/base_test.rego", "top/top_test.rego"]


def test_a_reference_that_is_not_constant_needs_everything_below(tmp_path: Path, opa: OpaTool) -> None:
    """`rules[_].deny` needs every package below `rules`, and their data, and nothing beside it but what is named."""
    files = {
        "all.rego": "package app\n\nimport data.app.words as w\n\nbad contains w.x if data.app.rules[_].deny\n",
        "rules/a/a.rego": "package app.rules.a\n\ndeny contains 1 if data.app.rules.a.on\n",
        "rules/a/data.yaml": "on: true\n",
        "words/words.rego": "package app.words\n\nx := 1\n",
        "beside/beside.rego": "package app.beside\n\nimport data.app.words\n\nx := 1\n",
    }
    for name, text in files.items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_text(text, "utf-8")
    tree = read_tree(tmp_path, opa, jobs=1)
    assert tree.needed(["app/all.rego"]) == {f"app/{name}" for name in files if not name.startswith("beside")}
    assert tree.needed(["app/beside/beside.rego"]) == {"app/beside/beside.rego"}


def test_mutants_that_do_not_compile_are_not_counted(case: Case, opa: OpaTool) -> None:
    """A mutant the compiler refuses is invalid: neither killed nor a survivor."""
    campaign = run(case("holes"), opa)
    invalid = [verdict.mutant for verdict in campaign.of("invalid")]
    assert [(m.line, m.change.operator) for m in invalid] == [(10, "drop-line")]


def test_red_tests_are_refused(case: Case, opa: OpaTool) -> None:
    """Where a test fails without any mutant nothing can be learnt, and the test is named."""
    root = case("whole")
    (root / "gate/red_test.rego").write_text("package red_test\n\ntest_red if false\n", "utf-8")
    with pytest.raises(RedTestsError, match=r"red_test\.test_red"):
        run(root, opa)


def test_explained_survivors_pass(case: Case, opa: OpaTool) -> None:
    """A reason for each survivor makes the run good; a missing one does not."""
    root = case("holes")
    ids = [verdict.mutant.id for verdict in run(root, opa).of("survived")]
    explain(root, ids)
    assert run(root, opa).good
    explain(root, ids[1:])
    campaign = run(root, opa)
    assert ([verdict.mutant.id for verdict in campaign.unexplained], campaign.good) == (ids[:1], False)


def test_stale_explanations_fail(case: Case, opa: OpaTool) -> None:
    """An explanation of a mutant that is gone, or that a test now kills, fails the run."""
    root = case("whole")
    killed = run(root, opa).verdicts[0].mutant.id
    explain(root, ["gate.gone/bound/00000000", killed])
    campaign = run(root, opa)
    assert campaign.stale == tuple(sorted(["gate.gone/bound/00000000", killed]))
    assert not campaign.good


def test_one_reason_for_many(case: Case, opa: OpaTool) -> None:
    """A star in an entry stands for anything; it is stale when all it fits were run and killed, or nothing fits."""
    root = case("holes")
    explain(root, ["gate.*"])
    assert run(root, opa).good
    explain(root, ["gate.*", "gate.allow/default-flip/*", "nothing.*"])
    campaign = run(root, opa)
    assert (campaign.unexplained, campaign.stale) == ([], ("gate.allow/default-flip/*", "nothing.*"))


def test_skipped_files_are_not_mutated(case: Case, opa: OpaTool) -> None:
    """A file that holds no judgement is left out with a reason; an entry for a file that is not there is stale."""
    root = case("holes")
    words = "mutation_skip:\n  gate/data.yaml: nothing here decides, for this test\n"
    (root / FILE_NAME).write_text(words, "utf-8")
    campaign = run(root, opa)
    assert {verdict.mutant.source.path for verdict in campaign.verdicts} == {"gate/gate.rego"}
    assert campaign.stale == ()
    (root / FILE_NAME).write_text(f"{words}  gate/gone.yaml: nothing here decides, for this test\n", "utf-8")
    assert run(root, opa).stale == ("gate/gone.yaml",)


def test_explanations_outside_the_choice_are_not_stale(case: Case, opa: OpaTool) -> None:
    """A run of a part says nothing about explanations of the rest."""
    root = case("holes")
    explain(root, [verdict.mutant.id for verdict in run(root, opa).of("survived")])
    assert run(root, opa, Choice(operators=("drop-not",))).good


@pytest.mark.parametrize(
    "text",
    [
        "mutation_allow: [a]\n",
        "other: {}\n",
        "mutation_skip: [a]\n",
        "mutation_allow: {a/b/00000000: short}\n",
        "mutation_allow: {a/b/00000000: long enough to count, a/b/00000000: twice in the file}\n",
    ],
)
def test_malformed_explanations_are_refused(text: str, case: Case, opa: OpaTool) -> None:
    """The file of explanations is read strictly: one mapping, each id once, each with a sentence."""
    root = case("whole")
    (root / FILE_NAME).write_text(text, "utf-8")
    with pytest.raises(InvalidInputError if "twice" not in text else Exception, match=FILE_NAME):
        run(root, opa)


def explain(root: Path, ids: list[str]) -> None:
    lines = [f"  {name!r}: a hole left here on purpose, for this test\n" for name in ids]
    (root / FILE_NAME).write_text("mutation_allow:\n" + "".join(lines), "utf-8")


@pytest.mark.parametrize(
    ("choice", "files"),
    [
        (Choice(only=("gate",)), {"gate/gate.rego", "gate/data.yaml"}),
        (Choice(only=("gate/data.yaml",)), {"gate/data.yaml"}),
        (Choice(operators=("compare",)), {"gate/gate.rego"}),
        (Choice(only=("gate/gate.rego",), operators=("bound",)), set()),
    ],
)
def test_choice(choice: Choice, files: set[str], case: Case, opa: OpaTool) -> None:
    """Packages, files and operators narrow a run."""
    campaign = run(case("holes"), opa, choice)
    assert {verdict.mutant.source.path for verdict in campaign.verdicts} == files
    assert campaign.total == 21


@pytest.mark.parametrize("choice", [Choice(only=("nope",)), Choice(operators=("nope",)), Choice(ids=("nope",))])
def test_unknown_names_are_refused(choice: Choice, case: Case, opa: OpaTool) -> None:
    """A package, operator or id that does not exist is wrong use, not an empty run."""
    with pytest.raises(InvalidInputError, match="nope"):
        run(case("holes"), opa, choice)


def test_since_takes_changed_lines_only(case: Case, opa: OpaTool) -> None:
    """With a revision only mutants on lines that changed since then are run; a new file counts as a whole."""
    root = case("holes")

    def git(*args: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *args], cwd=root, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "before")
    assert run(root, opa, Choice(since="HEAD")).verdicts == ()
    rego = root / "gate/gate.rego"
    rego.write_text(rego.read_text("utf-8").replace("input.size <", "input.size <="), "utf-8")
    (root / "gate/new.rego").write_text("package gate\n\nnew if input.new\n", "utf-8")
    campaign = run(root, opa, Choice(since="HEAD", operators=("compare", "never")))
    places = [(v.mutant.place, v.mutant.change.operator) for v in campaign.verdicts]
    assert places == [("gate/gate.rego:7", "compare"), ("gate/gate.rego:7", "never"), ("gate/new.rego:3", "never")]
    with pytest.raises(InvalidInputError, match="--since"):
        run(root, opa, Choice(since="no-such-revision"))


def test_parse_diff() -> None:
    """Hunks of one line, of several, and of removed lines are ranges on the new side."""
    diff = "+++ b/a.rego\n@@ -1 +1 @@\n-x\n+y\n@@ -5,0 +7,3 @@\n@@ -9,2 +12,0 @@\n"
    assert parse_diff(diff) == {"a.rego": [(1, 1), (7, 9), (12, 13)]}

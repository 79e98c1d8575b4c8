"""The quick look comes to the verdicts `opa test` comes to, and leaves to it what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from executor.policy import default_policies_dir
from harness.mutate.campaign import TOGETHER, Choice, groups, run_campaign
from harness.mutate.quick import Swap, swap_of
from harness.mutate.tree import all_mutants, read_tree
from harness.policydir import OpaTool

Case = Callable[[str], Path]

EVERY: Final = 389
"""One mutant in so many of our own policies is tried both ways."""

ODD = {
    "app/app.rego": (
        "package app\n\nallow if input.n < 5\n\nlimit := data.app.limit_of\n\nkind := 1 if input.n < 5\n\n"
        "kind := 2 if input.n >= 5\n\nlong := count([1 | some a in numbers.range(1, data.app.turns); a > 0])\n"
    ),
    "app/data.yaml": "limit_of: 5\nturns: 3\nunused: 1\ngone: [a]\n",
    "app/app_test.rego": (
        "package app_test\n\nimport data.app\n\n"
        'test_cases[name] if {\n\tsome name, n in {"small": 1, "edge": 4}\n\tapp.allow with input as {"n": n}\n}\n\n'
        'test_kind if app.kind == 2 with input as {"n": 5}\n\n'
        "test_limit if app.limit == 5\n\n"
        'test_gone if data.app.gone == ["a"]\n\n'
        "test_long if app.long == 3\n\n"
        "todo_test_never if false\n"
    ),
}
"""Tests of every kind: by case, one that a contradiction ends, one not yet to be run; data that may be missing."""


def statuses(root: Path, opa: OpaTool, choice: Choice, *, quickly: bool) -> dict[str, str]:
    """What became of each mutant, by id."""
    campaign = run_campaign(root, opa, choice, jobs=2, quickly=quickly)
    return {verdict.mutant.id: verdict.status for verdict in campaign.verdicts}


@pytest.mark.parametrize("name", ["holes", "whole", "far"])
def test_both_ways_agree(name: str, case: Case, opa: OpaTool) -> None:
    """Every mutant of the cases has the status that `opa test` alone gives it."""
    root = case(name)
    assert statuses(root, opa, Choice(), quickly=True) == statuses(root, opa, Choice(), quickly=False)


def test_both_ways_agree_on_tests_of_every_kind(tmp_path: Path, opa: OpaTool) -> None:
    """Tests by case are left to `opa test`; contradictions, missing data and tests not yet to be run judge alike."""
    for path, text in ODD.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    quick = statuses(tmp_path, opa, Choice(), quickly=True)
    assert quick == statuses(tmp_path, opa, Choice(), quickly=False)
    assert {"killed", "survived"} <= set(quick.values())
    assert read_tree(tmp_path, opa, jobs=1).ordered_tests(["app/app_test.rego"]) == (
        "app_test.test_long",
        "app_test.test_limit",
        "app_test.test_gone",
        "app_test.test_kind",
    )


def test_both_ways_agree_on_a_sample_of_our_policies(opa: OpaTool) -> None:
    """Of our own policies every so manieth mutant, rules and data, has the same status both ways."""
    root = default_policies_dir()
    everything, _ = all_mutants(read_tree(root, opa, jobs=2))
    sample = Choice(ids=tuple(mutant.id for mutant in everything[::EVERY]))
    quick = statuses(root, opa, sample, quickly=True)
    assert quick == statuses(root, opa, sample, quickly=False)
    assert len(quick) == len(sample.ids)


@pytest.mark.parametrize(
    ("after", "swap"),
    [
        ("a: 1\nb: [x, y]\n", None),
        ("a: 2\nb: [x, y]\n", Swap(("p", "a"), 2)),
        ("a: true\nb: [x, y]\n", Swap(("p", "a"), value=True)),
        ("a: 1\nb: [x]\n", Swap(("p", "b"), ["x"])),
        ("a: 1\nb: {7: x}\n", None),
        ("a: 1\nb: 2026-01-01\n", None),
        ("a: 1\nb: 1.5\n", None),
        ("b: [x, y]\n", None),
        ("a: 2\nb: []\n", None),
        ("[a]\n", None),
    ],
)
def test_what_can_be_put_in_place(after: str, swap: Swap | None) -> None:
    """One field whose value is plain JSON can be tried beside others; a field gone, two fields, and odd values not."""
    assert swap_of(("p",), "a: 1\nb: [x, y]\n", after) == swap


def test_groups_keep_the_order(opa: OpaTool) -> None:
    """Rules are tried one by one, data files some at a time, and no group is of two files."""
    everything, _ = all_mutants(read_tree(default_policies_dir(), opa, jobs=2))
    found = list(groups(everything))
    assert [mutant for group in found for mutant in group] == everything
    assert all(len({mutant.source.path for mutant in group}) == 1 for group in found)
    assert {len(g) for g in found if g[0].source.path.endswith(".rego")} == {1}
    assert max(map(len, found)) == TOGETHER

"""`cordon mutate` as people and programs call it: exit status, text, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cordon.__main__ import main

Case = Callable[[str], Path]


def test_survivors_are_listed_with_diff_place_and_id(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A survivor shows file:line, what was changed, its id and a unified diff; the exit status is 1."""
    assert main(["mutate", "--policies", str(case("holes")), "--operator", "compare"]) == 1
    out = capsys.readouterr().out
    assert "gate/gate.rego:7: survived: `<` becomes `<=`" in out
    assert "  id: gate.allow/compare/" in out
    assert "  -\tinput.size < data.gate.max_size" in out.replace("    ", "  ")
    assert "1 of 21 mutants" in out


def test_no_survivor_is_good(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 when every mutant is noticed."""
    assert main(["mutate", "--policies", str(case("whole"))]) == 0
    assert "15 killed" in capsys.readouterr().out


def test_json_has_everything(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """--json tells counts, each mutant's fate and each survivor's diff."""
    assert main(["mutate", "--policies", str(case("holes")), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "cordon.mutate/1"
    assert told["counts"] == {"killed": 14, "timeout": 0, "survived": 6, "invalid": 1, "unexplained": 6}
    assert (len(told["mutants"]), len(told["survivors"]), told["unplaced"]) == (21, 6, [])
    assert {"id", "operator", "file", "line", "diff", "what", "scope", "reason"} == set(told["survivors"][0])


def test_list_runs_nothing(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """--list names the mutants in order, one a line."""
    assert main(["mutate", "--policies", str(case("whole")), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert lines[0].startswith("gate/data.yaml:1: ")


@pytest.mark.parametrize("words", [["--policies", "/nonexistent"], ["--jobs", "0"], ["--operator", "nope"]])
def test_wrong_use(words: list[str], case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong use is exit status 2 and one line."""
    policies = [] if "--policies" in words else ["--policies", str(case("whole"))]
    assert main(["mutate", *policies, *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_red_tests_fail(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Tests that fail without a mutant are a failed check: exit status 1."""
    root = case("whole")
    (root / "gate/red_test.rego").write_text("package red_test\n\ntest_red if false\n", "utf-8")
    assert main(["mutate", "--policies", str(root)]) == 1
    assert "mutate.red" in capsys.readouterr().err

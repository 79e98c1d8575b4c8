"""Which tests notice a change: every piece is taken back alone, and a real OPA runs the tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.errors import OutsideError
from executor.policy import find_opa
from harness.impact.hunks import hunks
from harness.impact.notice import Noticed, notice
from harness.policydir import OpaTool
from tests.impact.conftest import LOOSER, Edit, change


@pytest.fixture
def noticed(tmp_path: Path, small: Path) -> Callable[..., Noticed]:
    """What is said of edits to a small policy directory."""

    def found(*edits: Edit) -> Noticed:
        changed = Path(shutil.copytree(small, tmp_path / "changed"))
        for edit in edits:
            edit(changed)
        return notice(hunks(small, changed), small, changed, OpaTool(find_opa()), tmp_path / "scratch", jobs=1)

    return found


FINER = change("gate/data.yaml", "max_size: 10", "max_size: 9.5")
WORDS = change("gate/gate.rego", "default", "# Refused unless something grants it.\ndefault")
TESTED = change(
    "gate/gate_test.rego",
    "test_too_large",
    'test_between if not gate.allow with input as {"size": 9.7, "name": "bob"}\n\ntest_too_large',
)


def test_a_change_that_tests_fail_with_is_caught_by_those(noticed: Callable[..., Noticed]) -> None:
    """Red tests come first; pieces are not judged by tests that fail anyway."""
    found = noticed(change("gate/data.yaml", "10", "11"))
    assert (found.red, found.notices) == (("gate_test.test_too_large",), ())


def test_each_piece_is_judged_alone(noticed: Callable[..., Noticed]) -> None:
    """One that a test of its own came with, one that nobody would miss, one that is only words."""
    found = noticed(WORDS, LOOSER, FINER, TESTED)
    assert [(one.hunk.place, one.state, one.by) for one in found.notices] == [
        ("gate/data.yaml:1", "NOTICED", ("gate_test.test_between",)),
        ("gate/gate.rego:3", "WORDS", ()),
        ("gate/gate.rego:7", "UNNOTICED", ()),
    ]
    assert found.red == ()
    assert found.whole == ("gate_test.test_between",)
    assert [one.hunk.place for one in found.unnoticed] == ["gate/gate.rego:7"]
    assert found.unnoticed[0].beside == ("gate/gate_test.rego",)


def test_pieces_that_need_each_other_are_judged_together(noticed: Callable[..., Noticed]) -> None:
    """A helper and its use do not compile apart: the tests see both or neither."""
    helper = change("gate/gate.rego", "allow if {", "allow if {\n\tsmall\n")
    used = change("gate/gate.rego", "default", "small if input.size < data.gate.max_size\n\ndefault")
    found = noticed(helper, used)
    assert {one.state for one in found.notices} >= {"TOGETHER"}
    assert found.whole == ()
    assert {"TOGETHER", "UNNOTICED"} >= {one.state for one in found.unnoticed} >= {"TOGETHER"}


def test_a_new_file_is_judged_by_the_tests_that_need_it(noticed: Callable[..., Noticed]) -> None:
    """It cannot be taken back line by line; a test that is about it fails, or does not compile, without it."""

    def more(root: Path) -> None:
        (root / "gate/more.rego").write_text("package gate.more\n\nlimit := 3\n")
        (root / "gate/more_test.rego").write_text(
            "package gate.more_test\n\nimport data.gate.more\n\ntest_limit if more.limit == 3\n"
        )

    found = noticed(more)
    assert [(one.hunk.place, one.state) for one in found.notices] == [("gate/more.rego:1", "TOGETHER")]
    assert found.whole
    assert found.unnoticed == ()


@pytest.mark.parametrize(("wrong", "said"), [("input.size <<", r"gate\.rego"), ("inputt.size <", r"gate\.rego:6")])
def test_policies_that_do_not_compile_are_an_error(wrong: str, said: str, noticed: Callable[..., Noticed]) -> None:
    """In OPA's words, with the file."""
    with pytest.raises(OutsideError, match=said):
        noticed(change("gate/gate.rego", "input.size <", wrong))

"""CP18: the plan that validates a change, and the judgement of what came of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from executor.intent import Command, FileIn, Intent
from executor.outcome import CommandResult
from executor.sentinel import validation
from executor.sentinel.validation import PATCH_FILE, RUNNER

CODE = "--- a/calc.py\n+++ b/calc.py\n@@ -1 +1,2 @@\n def add(a, b):\n+    return a + b\n"
TEST = "--- /dev/null\n+++ b/tests/test_calc.py\n@@ -0,0 +1 @@\n+def test_add(): pass\n"
PROSE = "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-old\n+new\n"
INTENT = Intent("i-1", "cbo", (Command(("true",)),), patch=CODE + TEST)
APPLY = Command(
    ("patch", "--unified", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", "-p1",
     f"--input={PATCH_FILE}"),
)  # fmt: skip


def ended(command: Command, exit_code: int = 0, cause: str = "exited", stderr: bytes = b"") -> CommandResult:
    return CommandResult(command.argv, cause, exit_code, 0, b"", stderr, 1)


def test_the_plan_applies_compiles_and_tests() -> None:
    """Patch first, then every Python file is compiled, then each test file is run, make's tests before them."""
    intent = replace(
        INTENT, files=(FileIn("/workspace/Makefile", b"all:\ntest: all\n"), FileIn("/workspace/t_test.sh", b""))
    )
    apply, compiled, *tests = validation.plan(intent)
    assert apply == APPLY
    assert compiled.argv[-2:] == ("calc.py", "tests/test_calc.py")
    assert [test.argv for test in tests] == [
        ("make", "test"), ("sh", "t_test.sh"), ("python3", "-B", "-c", RUNNER, "tests/test_calc.py"),
    ]  # fmt: skip
    assert validation.files(intent)[-1] == FileIn(PATCH_FILE, INTENT.patch.encode())
    assert validation.capabilities(intent) == ("base:execute", "dev:compiler", "dev:python")


def test_a_file_the_change_takes_away_is_not_tested() -> None:
    """Removed tests cannot run, and do not count as tests."""
    gone = "--- a/test_old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n"
    intent = replace(INTENT, patch=gone, files=(FileIn("/workspace/test_old.py", b"x = 1\n"),))
    assert validation.plan(intent) == (APPLY,)
    assert [item.rule for item in validation.judge(intent, [ended(APPLY)]).findings] == ["test.none"]


@pytest.mark.parametrize("name", ["../test_x.py", "/etc/test_x.py", "-c/test_x.py"])
def test_a_name_that_leads_elsewhere_is_not_run(name: str) -> None:
    """No command of the plan names a path outside the workspace or one that reads as an option."""
    intent = replace(INTENT, patch=f"--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+x = 1\n")
    assert not [command for command in validation.plan(intent)[1:] if name in command.argv]


def test_all_good_results_pass() -> None:
    """Every command ended with 0: PASS, given by cp18."""
    review = validation.judge(INTENT, [ended(command) for command in validation.plan(INTENT)])
    assert (review.actor, review.verdict, review.findings, review.holder) == ("cp18", "PASS", (), "cp18")


@pytest.mark.parametrize(
    ("at", "result", "rule", "message"),
    [
        (0, {"exit_code": 1, "stderr": b"Hunk #1 FAILED"}, "patch.rejected", "patch: exit code 1: Hunk #1 FAILED"),
        (1, {"exit_code": 1, "stderr": b"SyntaxError"}, "test.failed", "python3: exit code 1: SyntaxError"),
        (2, {"exit_code": 1, "stderr": b"x\nFAILED\n"}, "test.failed", "python3: exit code 1: FAILED"),
        (2, {"exit_code": 5}, "test.failed", "python3: exit code 5"),
        (2, {"cause": "wallclock"}, "test.failed", "python3: wallclock"),
        (2, {"cause": "seccomp", "exit_code": 0}, "test.failed", "python3: seccomp"),
    ],
)  # fmt: skip
def test_the_first_bad_end_fails_the_change(at: int, result: dict[str, object], rule: str, message: str) -> None:
    """A hunk that does not apply, code that does not compile, a test that fails or hangs: FAIL, and which."""
    plan = validation.plan(INTENT)
    results = [*(ended(command) for command in plan[:at]), ended(plan[at], **result)]  # type: ignore[arg-type]
    review = validation.judge(INTENT, results)
    assert (review.verdict, [(item.rule, item.message) for item in review.findings]) == ("FAIL", [(rule, message)])


def test_missing_or_foreign_results_are_an_error() -> None:
    """Good results of fewer or of other commands are no validation."""
    plan = validation.plan(INTENT)
    short = validation.judge(INTENT, [ended(command) for command in plan[:-1]])
    foreign = validation.judge(INTENT, [*(ended(command) for command in plan[:-1]), ended(Command(("true",)))])
    assert {short.verdict, foreign.verdict, validation.judge(INTENT, []).verdict} == {"ERROR"}


def test_code_without_a_test_fails_and_prose_need_only_apply() -> None:
    """There must be something to validate code by; a text only has to apply."""
    assert validation.judge(replace(INTENT, patch=CODE), [ended(APPLY)] * 2).verdict == "FAIL"
    prose = replace(INTENT, patch=PROSE)
    assert validation.plan(prose) == (APPLY,)
    assert validation.judge(prose, [ended(APPLY)]).verdict == "PASS"


def test_an_unreadable_patch_has_no_plan_and_fails() -> None:
    """Nothing is run for it, and the review says why."""
    intent = replace(INTENT, patch="1c1\n< a\n---\n> b\n")
    assert validation.plan(intent) == ()
    assert [item.rule for item in validation.judge(intent, []).findings] == ["patch.unreadable"]


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [
        ("def test_ok():\n    assert 1 + 1 == 2\n", 0),
        ("def test_bad():\n    assert 1 + 1 == 3\n", 1),
        ("import unittest\nclass T(unittest.TestCase):\n    def test_ok(self): self.assertTrue(True)\n", 0),
        ("import unittest\nclass T(unittest.TestCase):\n    def test_bad(self): self.fail('no')\n", 1),
        ("x = 1\n", 5),
        ("import nothing_of_this_name\n", 1),
    ],
)
def test_the_runner_tells_passing_failing_and_empty_apart(tmp_path: Path, source: str, exit_code: int) -> None:
    """The text sent to the sandbox's Python, run by this one: only tests that ran and passed end with 0."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(source)
    command = [sys.executable, "-B", "-c", RUNNER, "tests/test_it.py"]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == exit_code


def test_names_without_gits_prefixes_are_stripped_of_nothing() -> None:
    """A removed line that reads like a header does not change how names are read."""
    plain = "--- q.sql\n+++ q.sql\n@@ -1,2 +1 @@\n--- a/comment\n select 1;\n"
    assert "-p0" in validation.plan(replace(INTENT, patch=plain))[0].argv
    prefixed = plain.replace("--- q.sql", "--- a/q.sql").replace("+++ q.sql", "+++ b/q.sql")
    assert "-p1" in validation.plan(replace(INTENT, patch=prefixed))[0].argv

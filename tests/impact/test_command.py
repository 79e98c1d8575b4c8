"""`cordon impact` as a policy author uses it: real policies, the simulator, recorded decisions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cordon.__main__ import main
from cordon.commands._conform import opened
from harness.conform import corpus, what_if
from harness.impact.affected import READ_BY_EXECUTOR, touched
from harness.impact.hunks import hunks
from tests.impact.conftest import LOOSER
from tests.replay.conftest import document, event

ROOT = Path(__file__).resolve().parents[2]
HELLO = ROOT / "scenarios/hello_staging.yaml"
LEASES = ROOT / "scenarios/plan_b_allowlist/layers.yaml"
MATRIX = "cordon/rules/matrix/data.yaml"
Edited = Callable[..., Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """A copy of the project's policies with one text replaced, once."""

    def copy(path: str, old: str, new: str) -> Path:
        folder = Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1))
        return folder

    return copy


def impact(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Exit status and JSON of the command."""
    status = main(["impact", "--json", *map(str, words)])
    return status, json.loads(capsys.readouterr().out)


def test_a_right_taken_away_turns_a_scenario_and_tests_red(
    edited: Edited, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scenario that stood on it, the recorded decision that flips, the test beside the line: in one answer."""
    log = tmp_path / "log.jsonl"
    log.write_text(event({"input": document(1), "decision": {"allow": True, "reasons": []}}))
    folder = edited(MATRIX, '"base:execute", ', "")
    words = ["--since", ROOT / "policies", "--policies", folder, "--log", log, "--scenarios", HELLO]
    status, found = impact(*words, capsys=capsys)
    assert status == 1
    assert [one["place"].partition(":")[0] for one in found["places"]] == [MATRIX]
    assert found["scenarios"]["red"] == ["hello-staging"]
    assert found["decisions"]["newly_denied"] == 1
    assert "cordon.rules.matrix_test" in found["tests"]["red"][0]


def test_a_change_nobody_notices_is_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test fails with it or without it: where one belongs is said, and the status is 1."""
    changed = Path(shutil.copytree(small, tmp_path / "changed"))
    LOOSER(changed)
    monkeypatch.chdir(tmp_path)  # no drills were run here
    monkeypatch.setenv("CORDON_STATE", str(tmp_path / "state"))
    words = ["impact", "--since", str(small), "--policies", str(changed), "--no-scenarios"]
    assert main(words) == 1
    told = capsys.readouterr().out
    assert "gate/gate.rego:6: NO TEST NOTICES; one that does belongs into gate/gate_test.rego" in told
    assert "Past decisions: none on record here" in told
    assert main([*words, "--format", "markdown"]) == 1
    assert "NO TEST NOTICES" in capsys.readouterr().out


def test_nothing_changed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal rules and data need no run, in a directory or at a revision."""
    assert main(["impact", "--since", str(ROOT / "policies"), "--policies", str(ROOT / "policies")]) == 0
    assert "rules and data are the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policies", "gone"], "gone: not a directory"),
        (["--since", "git:no-such-revision"], "no-such-revision"),
        (["--since", "gone"], "gone: not a directory"),
        (["--scenarios", "gone.yaml"], "there is no gone.yaml"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is named, with status 2."""
    monkeypatch.chdir(ROOT)
    assert main(["impact", *words]) == 2
    assert said in capsys.readouterr().err


def test_what_is_not_run_again_would_come_out_the_same(edited: Edited, tmp_path: Path) -> None:
    """Scenarios left out because their decisions stay are those that a whole second run finds unchanged."""
    found = corpus.load([HELLO, LEASES])
    folder = edited(MATRIX, '"base:execute", ', "")
    with opened("sim", ROOT / "policies", lambda _: None, tmp_path / "state") as executor:
        before = what_if.by(found, executor)
    again = touched(found, before, hunks(ROOT / "policies", folder), tmp_path / "state/logs/svf_audit", folder)
    with opened("sim", folder, lambda _: None) as executor:
        after = what_if.by(found, executor)
    changed = {one.id for one in what_if.changes(found, before, after) if one.change == "CHANGED"}
    assert changed == {one.id for group in again.groups for one in group.scenarios} == {"hello-staging"}


def test_data_that_the_executor_reads_touches_everything(edited: Edited, tmp_path: Path) -> None:
    """A secret's pattern acts before any decision: nothing on record tells what it would change."""
    path = min(READ_BY_EXECUTOR)
    folder = edited(path, "\n", "\n# changed\n")
    found = corpus.load([HELLO])
    assert touched(found, {}, hunks(ROOT / "policies", folder), tmp_path, folder) == found
    assert all((ROOT / "policies" / one).is_file() for one in READ_BY_EXECUTOR)

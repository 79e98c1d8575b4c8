"""`cordon simulate --what-if`: policies that cannot be loaded are told before anything has been run by them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cordon.__main__ import main
from harness.conform import what_if
from harness.conform.corpus import Corpus, load
from harness.conform.seen import Seen

ROOT = Path(__file__).resolve().parents[2]
HELLO = "scenarios/hello_staging.yaml"


@pytest.mark.parametrize(
    ("broken", "told"), [("allow if { nope(", "rego_parse_error"), ("allow if { nope(1) }", "rego_type_error")]
)
def test_policies_that_do_not_compile_are_told_before_a_scenario_runs(
    broken: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is OPA's, with the file's name; no side has been run by then."""
    policies = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", policies)
    with (policies / "cordon" / "decision.rego").open("a", encoding="utf-8") as file:
        file.write(f"\n{broken}\n")
    ran: list[object] = []
    monkeypatch.setattr(what_if, "by", lambda *given: ran.append(given))
    monkeypatch.chdir(ROOT)
    assert main(["simulate", "--what-if", str(policies), "--scenarios", HELLO]) == 1
    said = capsys.readouterr().err
    assert told in said
    assert "cordon/decision.rego" in said
    assert not ran


def test_runs_are_compared_by_role_and_what_was_not_asked_is_told() -> None:
    """A run that one side has no answer to shifts nothing; what is on neither side is counted, procedures apart."""
    corpus = load([ROOT / HELLO, *(ROOT / "scenarios" / plan for plan in ("plan_b_allowlist", "plan_g_cleanup"))])
    (hello, *rest) = [scenario for group in corpus.groups for scenario in group.scenarios]
    attempt = Seen("attempt", "allow", "failed", (), ("exec_event.FINISHED",), "exited 1/0")
    positive, twin = replace(attempt, role="positive", effect="completed"), replace(attempt, role="twin")
    before = {hello.id: what_if.Side("BLOCKED", (attempt, positive, twin))}
    after = {hello.id: what_if.Side("BLOCKED", (attempt, twin))}
    compared = what_if.changes(corpus, before, after)
    assert [(one.id, one.change, one.how) for one in compared] == [(hello.id, "SAME", ())]
    assert what_if.not_asked(corpus, compared) == {"unmodelled": len(rest), "procedures": len(corpus.others)}
    assert min(len(rest), len(corpus.others)) > 0
    nothing = {"unmodelled": 0, "procedures": 0}
    assert what_if.not_asked(Corpus(corpus.groups[:1], ()), compared) == nothing


def test_an_empty_name_is_no_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a variable that was not set: wrong use, and not the current folder taken for policies."""
    monkeypatch.chdir(ROOT)
    assert main(["simulate", "--what-if", "", "--scenarios", HELLO]) == 2
    assert "nothing: not a directory; name one" in capsys.readouterr().err

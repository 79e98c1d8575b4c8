"""`cordon simulate --what-if`: policies that cannot be loaded are told before anything has been run by them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cordon.__main__ import main
from harness.conform import what_if

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

"""Studies: claims hold, controls break them, and mistakes in the file are told with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from harness.errors import ScenarioError
from harness.simulate.study import judge, parse_file

STUDY: Final = """\
schema: cordon.study/1
id: two-workers
title: Two workers
description: Enough for one task a second of half a second.
load:
  tasks: 500
  executor: {workers: 2}
  sources:
    - name: all
      arrivals: {poisson: {per_s: 1}}
      service_s: {exponential: {mean: 0.5}}
expect:
  - {figure: wait_s.all.p95, at_most: 1}
  - {figure: requesters.cbo.completed, at_least: 500}
controls:
  - why: tasks that take longer
    change: {sources.0.service_s: {constant: 3}}
    fails: [wait_s.all.p95]
"""
ROOT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = sorted(ROOT.glob("scenarios/studies/*.yaml"))


def ruling(tmp_path: Path, text: str) -> tuple[str, list[str]]:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    (study,) = parse_file(path, name="study.yaml")
    judgement, _ = judge(study)
    return judgement.ruling, [str(finding) for finding in judgement.findings]


def test_claims_that_hold_with_a_control_that_breaks_them_pass(tmp_path: Path) -> None:
    """The good case."""
    assert ruling(tmp_path, STUDY) == ("PASSED", [])


def test_a_claim_that_does_not_hold_fails(tmp_path: Path) -> None:
    """With the figure and its bound in words."""
    found, findings = ruling(tmp_path, STUDY.replace("at_most: 1}", "at_most: 0.001}"))
    assert found == "FAILED"
    assert findings[0].startswith("attempt: expectation: wait_s.all.p95 is ")


def test_a_figure_that_is_not_there_fails(tmp_path: Path) -> None:
    """A typing mistake is no success: what there is instead is told."""
    found, findings = ruling(tmp_path, STUDY.replace("wait_s.all.p95", "wait_s.everybody.p95"))
    assert found == "FAILED"
    assert "wait_s has no everybody.p95; there are all, CRITICAL" in findings[0]


def test_a_control_that_breaks_nothing_is_vacuous(tmp_path: Path) -> None:
    """A claim that cannot fail proves nothing."""
    found, findings = ruling(tmp_path, STUDY.replace("{constant: 3}", "{constant: 0.1}"))
    assert (found, len(findings)) == ("VACUOUS", 1)
    assert "the claim on wait_s.all.p95 holds all the same" in findings[0]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("fails: [wait_s.all.p95]", "fails: [wait_s.all.p99]", "wait_s.all.p99 is no figure of expect"),
        ("sources.0.service_s:", "sources.7.service_s:", "the load has no such field"),
        ("{constant: 3}", "{constant: three}", "expected a number, found the text 'three'"),
        ("workers: 2", "workers: 0", "study.yaml:7:23: executor.workers: 0 is under 1"),
        ("at_most: 1}", "at_mots: 1}", "unknown field; did you mean at_most?"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str, tmp_path: Path) -> None:
    """In the study's own words or in the load's."""
    (tmp_path / "study.yaml").write_text(STUDY.replace(old, new))
    with pytest.raises(ScenarioError, match=r"^study\.yaml:") as caught:
        parse_file(tmp_path / "study.yaml", name="study.yaml")
    assert told in str(caught.value)


def test_pytest_collects_studies_beside_scenarios(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """One item for each document; a failing one is red with its figures, and no executor is started for either."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\n")
    pytester.path.joinpath("conftest.py").write_text((ROOT / "conftest.py").read_text("utf-8"))
    folder = pytester.mkdir("scenarios")
    bad = STUDY.replace("id: two-workers", "id: bad").replace("at_most: 1}", "at_most: 0.001}")
    folder.joinpath("one.yaml").write_text(f"{STUDY}---\n{bad}")
    found = pytester.runpytest_subprocess("scenarios", "--engine", "tcg", "--state", str(pytester.path / "state"))
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["*FAILED: bad (Two workers)*", "*attempt: expectation: wait_s.all.p95 is*"])
    assert not list((pytester.path / "state").rglob("svf_audit"))


def test_every_shipped_study_has_a_control_for_each_of_its_claims() -> None:
    """Read only: that they pass is for `pytest scenarios`. One held without its cause until each had one."""
    studies = [study for path in SHIPPED for study in parse_file(path, name=path.name)]
    assert len(studies) >= 6
    for study in studies:
        broken = {figure for control in study.controls for figure in control.fails}
        assert {claim.figure for claim in study.claims} <= broken, study.id

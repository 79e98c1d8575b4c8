"""The truth table's expectation is what the profile says, for every call the project knows."""

from __future__ import annotations

import json

import pytest

from harness.reference import truth_table


def test_the_scenario_expects_what_the_profile_says() -> None:
    """`python -m harness.reference.truth_table --write` has been run since the profile changed."""
    text = truth_table.SCENARIO.read_text(encoding="utf-8")
    assert truth_table.written(text) == text


def test_every_call_of_the_profile_has_a_number_or_is_none_of_x86_64() -> None:
    """No rule speaks of a call the table leaves out."""
    profile = json.loads(truth_table.PROFILE.read_text(encoding="utf-8"))
    named = {name for rule in profile["syscalls"] for name in rule["names"]} | set(profile["cordon"]["newer"]["names"])
    assert sorted(named - set(truth_table.calls().values())) == []


def test_calls_whose_arguments_decide_are_tried_with_arguments() -> None:
    """Every condition of the profile has a case."""
    profile = json.loads(truth_table.PROFILE.read_text(encoding="utf-8"))
    conditional = {name for rule in profile["syscalls"] if "args" in rule for name in rule["names"]}
    cases = json.loads((truth_table.FOLDER / "cases.json").read_text(encoding="utf-8"))
    assert conditional - {name for name, _ in cases} == set()


def test_rules_that_contradict_each_other_are_refused() -> None:
    """Two answers to one call are a mistake of the profile, not a matter of taste."""
    rules = [{"names": ["x"], "action": "SCMP_ACT_ALLOW"}, {"names": ["x"], "action": "SCMP_ACT_KILL_PROCESS"}]
    profile = {"syscalls": rules, "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}
    with pytest.raises(ValueError, match="contradict"):
        truth_table.verdict(profile, "x", ())

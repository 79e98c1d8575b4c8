"""The pytest plugin as its users meet it: selection, parallel runs, failures, summaries."""

from __future__ import annotations

import json
from typing import Any

import pytest


def nodes(result: pytest.RunResult) -> list[str]:
    """The node ids that `--collect-only -q` printed."""
    return [line for line in result.outlines if "::" in line]


def test_scenarios_are_collected_with_stable_ids(project: Any) -> None:
    """Every document of every YAML file below scenarios/ is an item called file::id, and nothing else is."""
    project.write("a.yaml", project.hello("one"), project.hello("two"))
    project.write("plan_b/c.yml", project.attempt)
    (project.path / "elsewhere").mkdir()
    (project.path / "elsewhere/d.yaml").write_text("not a scenario")
    found = project.pytester.runpytest_inprocess("--collect-only", "-q")
    assert nodes(found) == ["scenarios/a.yaml::one", "scenarios/a.yaml::two", "scenarios/plan_b/c.yml::attempt"]


def test_a_file_outside_scenarios_is_collected_when_it_is_named(project: Any) -> None:
    """A YAML file given on the command line is a scenario file wherever it is."""
    path = project.path / "draft.yaml"
    path.write_text(project.hello("draft"))
    found = project.pytester.runpytest_inprocess("--collect-only", "-q", str(path))
    assert nodes(found) == ["draft.yaml::draft"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("-k", "two"), ["two"]),
        (("-k", "some-call"), ["attempt"]),
        (("-m", "smoke"), ["one"]),
        (("-m", "plan_b"), ["two"]),
        (("-m", "breakout and class_k"), ["attempt"]),
        (("-m", "not breakout"), ["one", "two"]),
        (("--shard", "1/2"), ["one", "attempt"]),
        (("--shard", "2/2"), ["two"]),
        (("--deselect", "scenarios/a.yaml::one", "-k", "not attempt"), ["two"]),
    ],
)
def test_selection_works_as_pytest_users_expect(project: Any, arguments: tuple[str, ...], wanted: list[str]) -> None:
    """Names, tags, plans, classes, mechanisms and shards select scenarios."""
    project.write("a.yaml", project.hello("one", tags="smoke"), project.hello("two", plan="B"))
    project.write("b.yaml", project.attempt)
    assert [line.partition("::")[2] for line in nodes(project.run("--collect-only", "-q", *arguments))] == wanted


def test_drills_run_in_any_order_that_a_seed_stands_for(project: Any) -> None:
    """The same drills, shuffled the same way by the same seed; anything else is no order."""
    project.write("a.yaml", *(project.hello(f"drill-{number}") for number in range(8)))
    written, shuffled, again, other = (
        [line.partition("::")[2] for line in nodes(project.run("--collect-only", "-q", *arguments))]
        for arguments in ((), ("--order", "random:7"), ("--order", "random:7"), ("--order", "random:8"))
    )
    assert written == [f"drill-{number}" for number in range(8)]
    assert shuffled == again != written
    assert other not in (written, shuffled)
    assert sorted(other) == sorted(shuffled) == written
    assert project.run("--order", "sorted").ret == pytest.ExitCode.USAGE_ERROR


def test_an_empty_selection_is_not_green(project: Any) -> None:
    """Selecting nothing ends with pytest's status for no tests, not with success."""
    project.write("a.yaml", project.hello("one"))
    assert project.run("-m", "smoke").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_markers_of_the_schema_are_registered(project: Any) -> None:
    """`pytest --markers` lists plans, tags and classes with what they mean."""
    text = project.run("--markers").stdout.str()
    for line in ("plan_a: lease lifecycle", "smoke: a few that show", "class_k: kernel primitives"):
        assert f"@pytest.mark.{line}" in text


def test_mistakes_end_collection_without_a_traceback(project: Any) -> None:
    """A broken file is one collection error with file:line:column, and the good ones are not run by accident."""
    project.write("a.yaml", project.hello("one"))
    project.write("b.yaml", project.hello("two", plan="X"))
    found = project.run()
    assert found.ret == pytest.ExitCode.INTERRUPTED
    found.stdout.fnmatch_lines(["scenarios/b.yaml:4:7: plan: 'X' is none of the allowed values*"])
    assert "Traceback" not in found.stdout.str()
    assert project.executors() == []


def test_ids_are_unique_over_the_collection(project: Any) -> None:
    """The same id in two files is a mistake that names both places."""
    project.write("a.yaml", project.hello("one"))
    project.write("b.yaml", project.hello("one"))
    project.run().stdout.fnmatch_lines(["scenarios/b.yaml:1:1: id: one is taken; first at scenarios/a.yaml:1:1"])


def test_a_green_run_prints_the_table_and_closes_its_executor(project: Any) -> None:
    """Scenarios and an attempt with both controls pass; one executor was started, used for all, and closed."""
    project.write("a.yaml", project.hello("one"), project.hello("two", plan="B"), project.attempt)
    found = project.run()
    found.assert_outcomes(passed=3)
    text = found.stdout.str()
    assert "break-outs  1 BLOCKED" in text
    assert "0 missing, 0 unexpected, coverage 1.000" in text
    assert "figure      cold boot (tcg): 4000 ms (median of 6, 4000 to 7000)" in text
    assert "figure      warm start to first output (tcg): 450 ms" in text
    assert project.executors() == ["closed"]


def test_a_red_run_shows_yaml_decision_reasons_and_events(project: Any) -> None:
    """A scenario that is denied shows its YAML lines with numbers, the reason code, message and remedy, the events."""
    project.write("a.yaml", project.hello("one", argv="[denied]"))
    found = project.run()
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        [
            "FAILED: one - Scenario one",
            "  attempt: expectation: verdict: expected allow, got deny",
            "  attempt: expectation: reasons: unexpected rules.capability_not_granted",
            "scenarios/a.yaml:1",
            "     7 | intent: {requester: cbo, commands: [[]{argv: [[]denied]}]}",
            "  verdict     deny",
            "    rules.capability_not_granted: rules.capability_not_granted says no. Remedy: Ask for less.",
            "*intent_event.REJECTED*",
        ]
    )


def test_a_dropped_event_is_red_and_named(project: Any) -> None:
    """With one event left out by the executor the scenario is DIVERGENT and the message names the event."""
    project.write("a.yaml", project.hello("one"))
    found = project.run("--sabotage", "event_drop")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["DIVERGENT: one*", "  attempt: trail: missing vm_event.ACQUIRED"])


def test_sabotage_that_does_not_exist_is_misuse(project: Any) -> None:
    """An unknown control on the command line names those there are."""
    project.write("a.yaml", project.hello("one"))
    found = project.run("--sabotage", "gravity")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    assert "no such control: gravity" in found.stderr.str() + found.stdout.str()


def test_guest_text_cannot_steer_the_terminal(project: Any) -> None:
    """Escape sequences from a guest are spelled out in the failure message."""
    project.write("a.yaml", project.hello("one", argv="[evil]"))
    text = project.run("--color=no").stdout.str()
    assert "stdout | \\x1b[31mred\\x1b[0m <script>" in text
    assert "\x1b[31mred" not in text


def test_parallel_runs_give_the_same_records(project: Any) -> None:
    """Under -n 2 each worker has its own executor, all are closed, and the summary counts every scenario once."""
    project.write("a.yaml", *(project.hello(f"s{number}", plan="B") for number in range(6)), project.attempt)
    found = project.run("-n", "2", "--summary", "out.json")
    found.assert_outcomes(passed=7)
    summary = project.summary()
    assert summary["scenarios"] == {"total": 7, "passed": 7, "failed": 0, "unmeasured": 0}
    assert summary["plans"]["B"] == {"total": 6, "passed": 6}
    assert summary["attempts"]["blocked"] == summary["attempts"]["distinct"] == 1
    assert 1 <= len(project.executors()) <= 2
    assert set(project.executors()) == {"closed"}


def test_last_failed_and_exit_first_work(project: Any) -> None:
    """-x stops at the first red scenario, --lf runs only what was red."""
    project.write("a.yaml", project.hello("one", argv="[denied]"), project.hello("two"), project.hello("three"))
    project.run("-x").assert_outcomes(failed=1)
    project.run().assert_outcomes(failed=1, passed=2)
    project.run("--lf").assert_outcomes(failed=1)


def test_what_cannot_be_run_is_unmeasured_and_red(project: Any) -> None:
    """An executor that cannot run a scenario makes it UNMEASURED with the reason, and that is a failure."""
    project.write("a.yaml", project.hello("one", argv="[broken]"))
    found = project.run("--summary", "out.json")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["UNMEASURED: one*", "*hypervisor.failed: no such device"])
    assert project.summary()["scenarios"] == {"total": 1, "passed": 0, "failed": 0, "unmeasured": 1}


def test_listed_unmeasured_is_counted_and_never_a_pass(project: Any) -> None:
    """A scenario that lists this engine is not run, shown with its reason, counted apart; alone it is not green."""
    listed = project.hello("one") + "unmeasured: [{engine: tcg, reason: needs a real TSC}]\n"
    project.write("a.yaml", listed, project.hello("two"))
    both = project.run("--summary", "out.json")
    both.assert_outcomes(passed=1, skipped=1)
    assert both.ret == pytest.ExitCode.OK
    assert project.summary()["unmeasured"] == {"one": "needs a real TSC"}
    assert project.summary()["scenarios"]["unmeasured"] == 1
    assert project.run("-k", "one").ret == pytest.ExitCode.TESTS_FAILED


def test_the_summary_has_the_agreed_keys(project: Any) -> None:
    """summary.json holds exactly the documented figures, and those about the executor come from it."""
    project.write("a.yaml", project.hello("one", plan="A"), project.attempt)
    project.run("--summary", "out.json")
    found = project.summary()
    assert set(found) == {
        *("engine", "host", "versions", "digests", "scenarios", "plans", "attempts", "svf", "writes_outside"),
        *("sabotage", "figures", "unmeasured", "lost", "duration_s", "source"),
    }
    assert set(found["plans"]) == set("ABCDEFGHIJ")
    assert set(found["attempts"]) == {
        *("total", "distinct", "blocked", "escaped", "over_refused", "vacuous", "divergent", "unmeasured")
    }
    assert set(found["svf"]) == {
        *("expected", "seen", "missing", "unexpected", "coverage", "types_covered", "types_total"),
        *("transitions_covered", "transitions_total", "uncovered"),
    }
    assert found["svf"]["coverage"] == 1.0
    assert found["engine"] == "tcg"
    assert found["digests"] == {"policy": "sha256:p", "image": "sha256:i", "agent": "sha256:a"}
    assert found["versions"]["qemu"] == "9"
    assert found["writes_outside"] == 0


def test_junit_carries_the_ruling(project: Any) -> None:
    """JUnit XML names each scenario and has its ruling and engine as properties."""
    project.write("a.yaml", project.attempt)
    project.run("--junitxml=out.xml")
    text = (project.path / "out.xml").read_text()
    assert 'name="attempt"' in text
    assert '<property name="ruling" value="BLOCKED"' in text
    assert '<property name="engine" value="tcg"' in text


def test_allure_results_have_steps_labels_and_escaped_attachments(project: Any) -> None:
    """Per scenario: title, plan, unique parameter, steps for decision, lease, run, record and judge; text escaped."""
    project.write("a.yaml", project.attempt, project.hello("evil", argv="[evil]"))
    project.run("--alluredir=results")
    results = [json.loads(path.read_text()) for path in (project.path / "results").glob("*-result.json")]
    by_name = {result["name"]: result for result in results}
    assert set(by_name) == {"An attempt", "Scenario evil"}
    assert len({result["historyId"] for result in results}) == 2
    blocked = by_name["An attempt"]
    assert [step["name"] for step in blocked["steps"]] == [
        "the attempt",
        "positive control: the same in a weakened VM",
        "harmless twin",
        "judge: BLOCKED",
    ]
    assert [step["name"] for step in blocked["steps"][0]["steps"]] == [
        "decision: allow",
        "lease: lease-1",
        "run: killed on tcg",
        "record: 19 events",
    ]
    labels = {(label["name"], label["value"]) for label in blocked["labels"]}
    assert {("epic", "Break-out attempts"), ("feature", "seccomp"), ("tag", "class_k")} <= labels
    assert {"name": "scenario", "value": "'attempt'"} in blocked["parameters"]
    raw = b"".join(path.read_bytes() for path in (project.path / "results").iterdir())
    assert b"\x1b" not in raw
    assert "failed" in {result["status"] for result in results}

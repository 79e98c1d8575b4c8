"""Batches: members are judged on their own part of a shared run; one that is no evidence is evidence for nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor.outcome import Outcome
from fixtures import outcomes as make
from harness.document import batch
from harness.document.scenario import Scenario, parse_text
from harness.errors import ScenarioError
from harness.judgement.judge import Judgement, judge
from harness.judgement.runs import Role, Run, own_part, plans

TEXT = """\
schema: cordon.breakouts/1
id: calls
title: Calls
class: K
description: Tries.
intent: {requester: drill, capabilities: ["base:execute", "dev:python"]}
probes: probes.py
weaken: [seccomp]
attempts:
  - {mechanism: bpf, title: BPF, refusal: {signal: SIGSYS}}
  - {mechanism: clock, title: The clock, refusal: {errno: EPERM}}
  - {mechanism: config, title: The configuration, refusal: {absence: configuration}}
"""
NAMES = ("bpf", "clock", "config")


def scenarios(folder: Path, text: str = TEXT) -> dict[str, Scenario]:
    (folder / "probes.py").write_text("", encoding="utf-8")
    return {scenario.id: scenario for scenario in parse_text(text, "x.yaml", folder) if isinstance(scenario, Scenario)}


def line(mechanism: str, **changes: Any) -> dict[str, Any]:
    return {"probe": mechanism, "exit": 1, "signal": 0, "syscall": -1, "late": False, "out": "", **changes}


KILLED = line("bpf", exit=-1, signal=31, syscall=321)
REFUSED = line("clock", out="CORDON-PROBE errno=EPERM\n")
ABSENT = line("config", out="CORDON-PROBE absent=configuration\n")
SUCCESS = [line(name, exit=0, out="CORDON-PROBE escaped\n") for name in NAMES]
FINE = [line(name, exit=0, out="CORDON-PROBE fine\n") for name in NAMES]


def shared(
    lines: list[dict[str, Any]],
    *,
    audited: int | None = None,
    done: int = 3,
    code: int = 0,
    weaken: tuple[str, ...] = (),
) -> Outcome:
    """A run of the runner that printed `lines`; `audited` is the call of the first kill on record."""
    text = "".join(f"{batch.LINE}{json.dumps(one)}\n" for one in [*lines, {"done": done}])
    if audited is None:
        return make.executed(make.result(stdout=text.encode(), exit_code=code), weaken=weaken)
    return make.executed(make.result(cause="seccomp", exit_code=code, signal=31, syscall=audited, stdout=text.encode()))


def ruling(scenario: Scenario, **changed: Outcome) -> Judgement:
    """The judgement over good runs, `changed` by role."""
    outcomes: dict[Role, Outcome] = {
        "attempt": shared([KILLED, REFUSED, ABSENT], audited=321),
        "positive": shared(SUCCESS, weaken=("seccomp",)),
        "twin": shared(FINE),
    }
    outcomes.update(changed)  # type: ignore[arg-type] # roles are what the callers name
    return judge(scenario, [own_part(Run(plan, outcomes[plan.role]), scenario) for plan in plans(scenario)])


def test_each_attempt_becomes_a_scenario_of_its_own(tmp_path: Path) -> None:
    """Ids come from class and mechanism, and every member runs the same bytes."""
    found = scenarios(tmp_path)
    assert list(found) == ["k-bpf", "k-clock", "k-config"]
    assert all(scenario.intent is found["k-bpf"].intent for scenario in found.values())
    (command,) = found["k-clock"].intent.commands
    assert command.argv == ("python3", "/workspace/kit.py", "attempt", *NAMES)
    assert [file.path for file in found["k-bpf"].intent.files] == ["/workspace/kit.py", "/workspace/probes.py"]


@pytest.mark.parametrize("name", ["k-bpf", "k-clock", "k-config"])
def test_members_are_blocked_each_by_its_own_refusal(tmp_path: Path, name: str) -> None:
    """A signal, an error and an absence in one run."""
    assert ruling(scenarios(tmp_path)[name]).ruling == "BLOCKED"


def test_one_escape_does_not_colour_the_others(tmp_path: Path) -> None:
    """The member that got through is ESCAPED, its neighbours stay BLOCKED."""
    lines = [KILLED, line("clock", exit=0, out="CORDON-PROBE escaped\n"), ABSENT]
    found = scenarios(tmp_path)
    rulings = {name: ruling(found[name], attempt=shared(lines, audited=321)).ruling for name in found}
    assert rulings == {"k-bpf": "BLOCKED", "k-clock": "ESCAPED", "k-config": "BLOCKED"}


@pytest.mark.parametrize(
    ("lines", "audited", "done", "code"),
    [
        ([KILLED, REFUSED], 321, 3, 0),
        ([KILLED, REFUSED, ABSENT, ABSENT], 321, 3, 0),
        ([REFUSED, KILLED, ABSENT], 321, 3, 0),
        ([KILLED, REFUSED, ABSENT], 321, 2, 0),
        ([KILLED, REFUSED, ABSENT], None, 3, 0),
        ([KILLED, REFUSED, ABSENT], 101, 3, 0),
        ([KILLED, REFUSED, ABSENT], 321, 3, 1),
        ([line("bpf"), REFUSED, ABSENT], 321, 3, 0),
    ],
    ids=["lost", "doubled", "disorder", "miscounted", "no audit", "other call", "runner failed", "audit only"],
)
def test_a_run_that_contradicts_itself_is_no_evidence(
    tmp_path: Path, lines: list[dict[str, Any]], audited: int | None, done: int, code: int
) -> None:
    """Runner and audit record must agree, and every probe be told of once: else every member is DIVERGENT."""
    outcome = shared(lines, audited=audited, done=done, code=code)
    found = scenarios(tmp_path)
    assert {ruling(found[name], attempt=outcome).ruling for name in found} == {"DIVERGENT"}


def test_a_run_that_was_cut_short_is_no_evidence(tmp_path: Path) -> None:
    """A time-out in the middle proves nothing about the probes before it."""
    text = f"{batch.LINE}{json.dumps(KILLED)}\n".encode()
    outcome = make.executed(make.result(cause="wallclock", signal=9, stdout=text))
    found = scenarios(tmp_path)
    assert {ruling(found[name], attempt=outcome).ruling for name in found} == {"DIVERGENT"}


def test_a_control_that_does_not_succeed_makes_the_member_vacuous(tmp_path: Path) -> None:
    """The refusal of one probe proves nothing when the weakened VM refuses it too."""
    lines = [SUCCESS[0], REFUSED, SUCCESS[2]]
    found = scenarios(tmp_path)
    rulings = {name: ruling(found[name], positive=shared(lines, weaken=("seccomp",))).ruling for name in found}
    assert rulings == {"k-bpf": "BLOCKED", "k-clock": "VACUOUS", "k-config": "BLOCKED"}


def test_a_twin_that_does_not_work_is_over_refused(tmp_path: Path) -> None:
    """Each member has its own twin."""
    lines = [FINE[0], FINE[1], line("config", out="CORDON-PROBE errno=EACCES\n")]
    found = scenarios(tmp_path)
    rulings = {name: ruling(found[name], twin=shared(lines)).ruling for name in found}
    assert rulings == {"k-bpf": "BLOCKED", "k-clock": "BLOCKED", "k-config": "OVER_REFUSED"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"probe": 1}', '{"done": "x"}', "[" * 5000, '{"probe":"bpf"}', "1"])
def test_garbage_from_the_guest_is_ignored(text: str) -> None:
    """A line that is no report is none, whatever it holds."""
    outcome = make.executed(make.result(stdout=f"{batch.LINE}{text}\n".encode()))
    assert batch.reports(outcome) == ((), -1)


def test_an_attempt_nobody_can_try_is_listed_and_not_run(tmp_path: Path) -> None:
    """It has its reason on every engine, and the runner is not asked for it."""
    text = TEXT.replace(
        "refusal: {absence: configuration}}", "refusal: {absence: configuration}, unmeasured: no such VM}"
    )
    found = scenarios(tmp_path, text)
    assert found["k-config"].unmeasured == dict.fromkeys(("kvm", "tcg", "sim"), "no such VM")
    assert found["k-bpf"].intent.commands[0].argv[3:] == ("bpf", "clock")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("mechanism: clock", "mechanism: bpf", "tried twice: bpf"),
        ("signal: SIGSYS", "signal: SIGFOO", "no signal"),
        ("weaken: [seccomp]", "weaken: [secomp]", "seccomp"),
        ("probes: probes.py", "probes: nothing.py", "there is no file nothing.py"),
        ("probes: probes.py", "probes: ../x.py", "does not have the form"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, before: str, after: str, message: str) -> None:
    """A batch is checked at collection like any scenario."""
    with pytest.raises(ScenarioError, match=message):
        scenarios(tmp_path, TEXT.replace(before, after))


def test_narrowing_keeps_the_record(tmp_path: Path) -> None:
    """Only the command's own result is cut down; events, lease and decision are the shared run's."""
    scenario = scenarios(tmp_path)["k-clock"]
    assert scenario.member is not None
    whole = shared([KILLED, REFUSED, ABSENT], audited=321)
    part = batch.narrowed(whole, scenario.member)
    assert (part.effect, part.results[0].exit_code, part.results[0].stdout) == ("failed", 1, REFUSED["out"].encode())
    assert replace(part, effect=whole.effect, results=whole.results) == whole

"""Scenario files: frozen values, or every mistake with file, line, column, field and what would fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from executor import weaken
from harness import schema
from harness.document.expect import Match, Refusal
from harness.document.scenario import Scenario, parse_text
from harness.errors import ScenarioError

HELLO = """\
schema: cordon.scenario/1
id: hello
title: Hello
plan: hello
description: Says hello.
intent: {requester: cbo, commands: [{argv: [echo, hi]}]}
expect: {verdict: allow, effect: completed, stdout: {contains: hi}}
"""
ATTEMPT = """\
schema: cordon.scenario/1
id: attempt
title: Attempt
plan: seccomp
tags: [smoke]
description: Tries.
intent: {requester: drill, commands: [{argv: [probe]}]}
expect: {verdict: allow, effect: killed, signal: SIGSYS}
breakout: {class: K, mechanism: some-call, refusal: {signal: SIGSYS}}
controls:
  positive: {weaken: [seccomp], expect: {effect: completed, stdout: {contains: ESCAPED}}}
  twin: {commands: [{argv: [probe, harmless]}], expect: {effect: completed}}
"""


def parse(text: str, folder: Path = Path("/nonexistent")) -> list[Scenario]:
    return [drill for drill in parse_text(text, "s.yaml", folder) if isinstance(drill, Scenario)]


def problems(text: str, folder: Path = Path("/nonexistent")) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse(text, folder)
    return [str(problem) for problem in caught.value.problems]


def test_a_scenario_becomes_typed_values() -> None:
    """Every part of an attempt arrives as a frozen value with defaults filled in."""
    (found,) = parse(ATTEMPT)
    assert (found.id, found.plan, found.tags, found.approvals) == ("attempt", "seccomp", ("smoke",), ("cp14",))
    assert found.breakout is not None
    assert found.breakout.refusal == Refusal("signal", "SIGSYS")
    assert found.positive is not None
    assert found.positive.weaken == {"seccomp"}
    assert found.positive.expect.stdout == Match(contains="ESCAPED")
    assert found.twin is not None
    assert [command.argv for command in found.twin.commands] == [("probe", "harmless")]
    assert (found.expect.trail, found.positive.expect.trail) == ("killed", "executed")
    assert str(found.place) == "s.yaml:1:1"
    assert found.text == ATTEMPT.rstrip("\n")


def test_several_documents_keep_their_own_lines() -> None:
    """Each document of a file is a scenario with its own place and its own YAML lines."""
    first, second = parse(HELLO + "---\n" + ATTEMPT)
    assert (str(first.place), str(second.place)) == ("s.yaml:1:1", "s.yaml:9:1")
    assert second.text == ATTEMPT.rstrip("\n")


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("plan: hello", "plan: hallo", "s.yaml:4:7: plan: 'hallo' is none of the allowed values; did you mean hello?"),
        ("title: Hello", "titel: Hello", "s.yaml:3:1: titel: unknown field; did you mean title? (allowed: schema, id,"),
        ("title: Hello\n", "", "s.yaml:1:1: title: is required"),
        ("id: hello", "id: Hello_1", "s.yaml:2:5: id: 'Hello_1' does not have the form"),
        ("requester: cbo", "requester: 5", "s.yaml:6:21: intent.requester: expected text, found the number 5; quote"),
        ("[echo, hi]", "[]", "s.yaml:6:44: intent.commands[0].argv: must not be an empty list"),
        ("[{argv: [echo, hi]}]", "echo hi", "s.yaml:6:36: intent.commands: expected a list, found the text 'echo hi'"),
        (
            "allow",
            "allowed",
            "s.yaml:7:19: expect.verdict: 'allowed' is none of the allowed values; did you mean allow?",
        ),
        ("scenario/1", "scenario/2", "s.yaml:1:9: schema: 'cordon.scenario/2' is not cordon.scenario/1"),
        ("contains: hi", "matches: '('", "s.yaml:7:63: expect.stdout.matches: is no regular expression: missing )"),
        ("allow, effect", "deny, effect", "s.yaml:7:33: expect.effect: the verdict deny cannot lead to the effect"),
        ("effect: completed", "effect: completed, exit_code: 1", "expect.exit_code: the effect completed means exit"),
        ("effect: completed", "effect: refused", "s.yaml:7:9: expect.reasons: the effect refused has at least one"),
        (
            "effect: completed",
            "effect: killed, signal: SIGFOO",
            "expect.signal: SIGFOO is no signal; did you mean SIGIO?",
        ),
        ("requester: cbo", "requester: cbo, collect: no", "YAML would read no as a boolean"),
        ("requester: cbo", "requester: cbo, limits: {pids: 0}", "s.yaml:6:41: intent.limits.pids: 0 is under 1"),
        (
            "requester: cbo",
            "requester: cbo, files: [{path: /workspace/x}]",
            "intent.files[0]: give the content as either text or base64",
        ),
        ("requester: cbo", "requester: cbo, files: [{path: /w, base64: '*'}]", "intent.files[0].base64: "),
        ("requester: cbo", "requester: cbo, files: [{path: /w, source: ../x}]", "source: leaves the scenario's folder"),
        ("requester: cbo", "requester: cbo, files: [{path: /w, source: x}]", "there is no file x beside the scenario"),
    ],
)
def test_mistakes_are_located_and_explained(old: str, new: str, wanted: str) -> None:
    """A single mistake gives file, line, column, field, what is wrong and what would be right."""
    assert old in HELLO
    assert any(wanted in problem for problem in problems(HELLO.replace(old, new, 1))), problems(
        HELLO.replace(old, new, 1)
    )


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("[seccomp]", "[secomp]", "controls.positive.weaken[0]: 'secomp' is none of the allowed values; did you mean"),
        (ATTEMPT[ATTEMPT.index("controls") :], "", "controls: is required of a break-out attempt"),
        ("  twin:", "  twins:", "controls.twin: is required of a break-out attempt"),
        (
            "{signal: SIGSYS}}",
            "{signal: SIGSYS, errno: EPERM}}",
            "breakout.refusal: takes 1 of its fields, not several",
        ),
        (", stdout: {contains: ESCAPED}", "", "controls.positive.expect: must say what success looks like"),
        ("signal: SIGSYS}}", "signal: SIGNO}}", "breakout.refusal.signal: SIGNO is no signal"),
    ],
)
def test_mistakes_in_attempts_are_located_and_explained(old: str, new: str, wanted: str) -> None:
    """Controls and refusals of an attempt are checked as closely as the rest."""
    assert old in ATTEMPT
    assert any(wanted in problem for problem in problems(ATTEMPT.replace(old, new, 1))), problems(
        ATTEMPT.replace(old, new, 1)
    )


def test_every_mistake_is_reported_at_once_in_file_order() -> None:
    """Three mistakes in two documents give three lines, sorted by place."""
    text = (
        HELLO.replace("plan: hello", "plan: x") + "---\n" + ATTEMPT.replace("[smoke]", "[smoky]").replace(": K", ": Q")
    )
    assert [problem.split(": ")[1] for problem in problems(text)] == ["plan", "tags[0]", "breakout.class"]


def test_ids_are_unique_in_a_file() -> None:
    """A second document with the same id names the first."""
    assert problems(HELLO + "---\n" + HELLO) == ["s.yaml:9:1: id: hello is taken; first at s.yaml:1:1"]


def test_sources_are_read_beside_the_scenario(tmp_path: Path) -> None:
    """`source` puts a file's bytes into the intent, with its mode."""
    (tmp_path / "probe.py").write_bytes(b"print(1)\n")
    text = HELLO.replace(
        "requester: cbo", "requester: cbo, files: [{path: /workspace/p, source: probe.py, mode: 0o755}]"
    )
    (found,) = parse(text, tmp_path)
    assert [(file.path, file.content, file.mode) for file in found.intent.files] == [
        ("/workspace/p", b"print(1)\n", 0o755)
    ]


def test_sources_do_not_follow_links_out_of_the_folder(tmp_path: Path) -> None:
    """A symbolic link that leads out of the scenario's folder is refused like a path that does."""
    outside = tmp_path / "outside"
    outside.write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    text = HELLO.replace("requester: cbo", "requester: cbo, files: [{path: /w, source: link}]")
    assert any("leaves the scenario's folder" in problem for problem in problems(text, inside))


@given(
    st.sampled_from([HELLO, ATTEMPT]),
    st.integers(0, 700),
    st.integers(0, 12),
    st.text("{}[]:,- \nax0&*\"'", max_size=8),
)
def test_a_damaged_scenario_is_read_or_refused(text: str, at: int, cut: int, put: str) -> None:
    """However a good file is damaged, the answer is scenarios or located problems: nothing else gets out."""
    at = min(at, len(text))
    found: list[Scenario] = []
    files: set[str] = set()
    try:
        found = parse(text[:at] + put + text[at + cut :])
    except ScenarioError as error:
        files = {problem.place.file for problem in error.problems}
    assert bool(found) != bool(files)
    assert files <= {"s.yaml"}


def test_the_schema_knows_exactly_the_controls_there_are() -> None:
    """The published list of controls is the executor's list."""
    assert {name for name, _ in schema.choices("control")} == weaken.ALL


def test_the_schema_is_itself_valid_and_describes_every_field() -> None:
    """Editors can load the schema, and hovering over any field shows a sentence."""
    Draft202012Validator.check_schema(schema.load())
    bare = []

    def look(node: object, where: str) -> None:
        if isinstance(node, dict):
            for name, entry in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
                target = schema.load()["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
                if where != "if" and "description" not in target and "required" not in entry:
                    bare.append(f"{where}.{name}")
            for name, entry in node.items():
                look(entry, f"{where}.{name}")
        elif isinstance(node, list):
            for entry in node:
                look(entry, where)

    look(schema.load(), "")
    assert bare == []
    assert json.loads(schema.text())["$id"]


@pytest.mark.parametrize(
    ("trail", "wanted"),
    [
        ("exectued", "expect.trail: no trail 'exectued'"),
        ("{events: [exec_event.BEGUN]}", "expect.trail: trail: no event type 'exec_event.BEGUN'"),
        ("{events: [begun]}", "expect.trail.events[0]: 'begun' does not have the form"),
    ],
)
def test_trails_are_known_to_the_state_machine(trail: str, wanted: str) -> None:
    """A trail that the state machine does not know is a mistake of the scenario, found at collection."""
    text = HELLO.replace("{contains: hi}", f"{{contains: hi}}, trail: {trail}")
    assert any(wanted in problem for problem in problems(text)), problems(text)

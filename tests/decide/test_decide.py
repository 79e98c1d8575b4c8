"""`cordon decide` on the project's own policies: the decision, and an explanation a person can act on."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.intent import Intent
from executor.policy import DecisionRequest, Facts, Review, default_policies_dir, find_opa
from harness.policydir import OpaTool
from harness.reasons.ask import question
from harness.reasons.checks import read_catalogue

Decide = Callable[..., Any]
HELLO = {
    "intent_id": "hello-1",
    "requester": "cbo",
    "capabilities": ["base:execute"],
    "commands": [{"argv": ["echo", "hello"]}],
}


TWICE = (
    '{"requester": "cbo", "requester": "eve", "commands": [{"argv": ["echo"]}]}',
    '{"requester": "cbo", "commands": [{"argv": ["echo"], "argv": ["bash"]}]}',
)
"""Requests that say one thing to one reader of JSON and another to the next."""
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


def write(path: Path, value: Any) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return str(path)


def line_of(place: str) -> str:
    """The line of the policies that `file:line` names."""
    file, _, line = place.rpartition(":")
    return (default_policies_dir() / file).read_text("utf-8").splitlines()[int(line) - 1]


def test_allowed_names_grants_checks_and_obligations(decide: Decide) -> None:
    """An allowed request: exit 0, the cell that grants each thing, every check passed, what must be kept."""
    said = decide("--requester", "cbo", "--cap", "base:execute", "--cap", "dev:python", "--", "python3", "x.py")
    assert said.status == 0
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[0] == "ALLOWED: cbo, staging: python3 x.py with base:execute, dev:python"
    assert any(line.startswith("capability dev:python") and "matrix cbo/none/staging" in line for line in lines)
    assert any(line.startswith("program python3") and "programs python" in line for line in lines)
    assert "FAIL" not in said.out
    assert "0 failed" in said.out
    assert any(line.startswith("reviewers") and line.endswith("cp14") for line in lines)
    assert "decided by cordon/decision.rego:" in said.out


def test_denied_names_rule_message_remedy_and_line(decide: Decide) -> None:
    """A denied request: exit 1, and for each failed check code, message, what to do, and the rule's own line."""
    said = decide("--requester", "cbo", "--cap", "base:execute", "--cap", "dev:gpu", "--", "echo", "x")
    assert said.status == 1
    assert said.out.startswith("DENIED: cbo, staging: echo x with base:execute, dev:gpu\n")
    after = said.out.partition("FAIL  matrix.always_refused: This capability is refused to everyone")[2]
    assert after.splitlines()[1].strip().startswith("to do: Do without it")
    place = after.splitlines()[2].partition("rule:")[2].strip()
    assert line_of(place).startswith("deny contains")
    assert f"decided by {place}" in said.out or place in said.out.partition("decided by")[2]


def test_json_carries_every_check(decide: Decide) -> None:
    """--json: the decision as recorded, every check of the policies with its outcome and line, the input asked."""
    said = decide("--json", "--requester", "cbo", "--phase", "production", "--", "echo", "x")
    told = said.json
    assert (said.status, told["schema"], told["decision"]["verdict"]) == (1, "cordon.decide/1", "deny")
    failed = {check["code"] for check in told["checks"] if not check["passed"]}
    assert failed == {reason["code"] for reason in told["decision"]["reasons"]} >= {"reviews.missing"}
    assert told["decided_by"] == [check["place"] for check in told["checks"] if not check["passed"]]
    assert all(line_of(check["place"]).startswith("deny contains") for check in told["checks"])
    assert told["input"]["intent"]["phase"] == "production"


def test_catalogue_lists_every_denial() -> None:
    """Every `deny` rule of the policies is a check with title and remedy: none is missing from the tree."""
    policies = default_policies_dir()
    catalogue = read_catalogue(policies, OpaTool(find_opa()))
    checks = [check for concern in catalogue.concerns for check in concern.checks]
    sources = [path for path in policies.rglob("*.rego") if not path.name.endswith("_test.rego")]
    written = sum(line.startswith("deny contains") for path in sources for line in path.read_text("utf-8").splitlines())
    assert len(checks) == written > 50
    assert len({check.code for check in checks}) == len(checks)
    assert all(check.title and check.remedy for check in checks)


@pytest.mark.parametrize("shape", ["intent", "scenario", "input", "recorded"])
def test_forms_of_a_request(shape: str, tmp_path: Path, decide: Decide) -> None:
    """An intent, a scenario's intent, a policy input, and a line with both are all decided alike."""
    facts = Facts(reviews=(Review("cp14", "PASS"),))
    document = DecisionRequest(Intent.parse(HELLO), facts).document(now=1_700_000_000)
    value = {"intent": HELLO, "scenario": {"id": "x", "intent": HELLO}, "input": document}.get(
        shape, {"input": document, "decision": {"allow": True}}
    )
    said = decide("--json", write(tmp_path / "request.json", value))
    assert said.status == 0
    assert said.json["input"]["intent"] == document["intent"]
    assert (said.json["assumed"] == []) == (shape in {"input", "recorded"})


def test_yaml_and_standard_input(tmp_path: Path, decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may be YAML, in a file or on standard input."""
    text = "intent_id: a-1\nrequester: cbo\ncommands: [{argv: [echo, hello]}]\n"
    assert decide(write(tmp_path / "request.yaml", text)).status == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert decide("-").status == 0


def test_a_line_of_a_log(tmp_path: Path, decide: Decide) -> None:
    """LOG:LINE decides the input recorded there, and refuses a line without one."""
    document = DecisionRequest(Intent.parse(HELLO), Facts(reviews=(Review("cp14", "PASS"),))).document(now=1)
    event = {"type": "policy_event.DECIDED", "data": {"input": document, "decision": {"allow": False}}, "prev": ""}
    other = {"type": "vm_event.READY", "data": {}, "prev": ""}
    log = write(tmp_path / "log.jsonl", f"{json.dumps(other)}\n{json.dumps(event)}\n")
    assert decide(f"{log}:2").status == 0
    assert decide(f"{log}:1").status == 2
    assert decide(f"{log}:9").status == 2


def test_assumptions_are_told_and_can_be_changed(decide: Decide) -> None:
    """What an intent does not say is listed; --approve replaces who is taken to have approved."""
    words = ("--requester", "cbo", "--", "echo", "x")
    assert "reviews: cp14 passed it" in decide(*words).out
    nobody = decide("--approve", "nobody", *words)
    assert (nobody.status, "reviews: none" in nobody.out, "reviews.missing" in nobody.out) == (1, True, True)
    production = ("--requester", "cbo", "--phase", "production")
    both = decide("--approve", "cp14", "--approve", "human", *production, "--", "echo", "x")
    assert both.status == 0
    assert "signatures: cp14, human, valid" in both.out


def test_other_policies(tmp_path: Path, decide: Decide) -> None:
    """--policies asks another directory; what it denies is explained from its own rules."""
    copy = Path(shutil.copytree(default_policies_dir(), tmp_path / "policies"))
    rego = copy / "cordon/rules/shape/shape.rego"
    rule = (
        "# METADATA\n# title: Closed on Sundays\n# custom:\n#   short_name: sunday\n#   remedy: Come on Monday.\n"
        "deny contains reason.from(rego.metadata.chain(), []) if input.now >= 0\n"
    )
    rego.write_text(f"{rego.read_text('utf-8')}\n{rule}", "utf-8")
    said = decide("--policies", str(copy), "--requester", "cbo", "--", "echo", "x")
    assert said.status == 1
    assert "FAIL  shape.sunday: Closed on Sundays" in said.out
    assert "to do: Come on Monday." in said.out
    concerns = read_catalogue(default_policies_dir(), OpaTool(find_opa())).concerns
    assert f"checks: {sum(len(concern.checks) for concern in concerns)} passed, 1 failed" in said.out


def test_no_answer_is_denied_and_no_check_has_passed(tmp_path: Path, decide: Decide) -> None:
    """Where the policies have no answer the request is denied, with the cause, and nothing is said to have passed."""
    copy = Path(shutil.copytree(default_policies_dir(), tmp_path / "policies"))
    rego = copy / "cordon/decision.rego"
    rego.write_text(rego.read_text("utf-8").replace("decision := {", "decided := {", 1), "utf-8")
    words = ("--policies", str(copy), "--requester", "cbo", "--", "echo", "x")
    said = decide(*words)
    assert said.status == 1
    assert said.out.startswith("DENIED (no answer): ")
    assert "undefined" in said.out
    assert "pass  " not in said.out
    told = decide("--json", *words).json
    assert {check["passed"] for check in told["checks"]} == {None}
    assert told["decided_by"] == []


def test_hostile_words_stay_on_their_line(decide: Decide) -> None:
    """What a requester wrote cannot move the cursor or forge a line of the explanation."""
    said = decide("--requester", "cbo", "--", "echo", "x\nALLOWED: \x1b[2J")
    assert "\x1b" not in said.out
    assert not any(line.startswith("ALLOWED") for line in said.out.splitlines()[1:])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a", "b"),
        ("/nonexistent.yaml",),
        ("--requester", "cbo"),
        ("--requester", "../x", "--", "echo"),
        ("--policies", "/nonexistent", "--requester", "cbo", "--", "echo"),
        ("--phase", "nope", "--requester", "cbo", "--", "echo"),
        ("--phase", "production", "REQUEST"),
        ("--cap", "dev:python", "REQUEST"),
        ("--persona", "architect", "REQUEST"),
        ("--cwd", "/", "REQUEST"),
        ("--approve", "human", "INPUT"),
    ],
)
def test_wrong_use(words: tuple[str, ...], tmp_path: Path, decide: Decide) -> None:
    """A request that is not one is wrong use: exit 2; so is a flag that what a file says would leave without effect."""
    document = DecisionRequest(Intent.parse(HELLO), Facts()).document(now=1)
    files = {"REQUEST": write(tmp_path / "request", HELLO), "INPUT": write(tmp_path / "input", document)}
    said = decide(*(files.get(word, word) for word in words))
    assert (said.status, said.out) == (2, "")


@pytest.mark.parametrize("text", ["[1, 2]", "{", "a: 1\n---\nb: 2\n", "intent_id: x\n", '{"intent": 1}', *TWICE, DEEP])
def test_files_that_are_no_request(text: str, tmp_path: Path, decide: Decide) -> None:
    """Files that hold no request are wrong use, said in one line."""
    said = decide(write(tmp_path / "request", text))
    assert (said.status, said.err.count("\n")) == (2, 1)


def test_assumed_facts_are_exactly_those_told() -> None:
    """The input for an intent holds the default facts and the approvals, nothing else."""
    asked = question(HELLO, ["cp14", "architect"], now_s=5)
    facts = asked.document["facts"]
    assert facts["reviews"] == [{"actor": "cp14", "verdict": "PASS", "holder": "cp14"}]
    assert [(one["role"], one["valid"]) for one in facts["signatures"]] == [("cp14", True), ("architect", True)]
    assert (facts["secrets_found"], facts["presented"], asked.document["now"]) == ([], [], 5)
    assert len(asked.assumed) == 6

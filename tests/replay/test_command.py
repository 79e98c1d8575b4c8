"""`cordon replay` as people, pipelines and pull requests use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon.__main__ import main
from harness.replay.bulk import Answer
from harness.replay.records import Intake, Row
from harness.replay.report import MAX_MARKDOWN, as_json, markdown, text
from harness.replay.run import Replay
from harness.replay.tally import MAX_GROUPS, Tally
from tests.replay.conftest import document, event, write_log
from tests.replay.test_replay import grant_gpu, take_python

Json = dict[str, Any]
Decided = Callable[[list[Json]], list[Answer]]
Changed = Callable[[Callable[[Any], None]], Path]


@pytest.fixture
def log(tmp_path: Path, recorded: Decided) -> str:
    """One request that is allowed, one that is not."""
    documents = [
        document(1),
        document(2, capabilities=["base:execute", "dev:gpu"], commands=[{"argv": ["echo", "x"]}]),
    ]
    return str(write_log(tmp_path / "log.jsonl", documents, recorded(documents)))


@pytest.mark.parametrize(
    ("edit", "fail_on", "status"),
    [
        (grant_gpu, "newly-allowed", 1),
        (grant_gpu, "any", 1),
        (grant_gpu, None, 0),
        (take_python, "newly-allowed", 0),
        (take_python, "any", 1),
    ],
)
def test_exit_status(edit: Callable[[Any], None], fail_on: str | None, status: int, log: str, changed: Changed) -> None:
    """--fail-on decides which flips are a failure; without it none is."""
    words = ["--fail-on", fail_on] if fail_on else []
    assert main(["replay", log, "--against", str(changed(edit)), *words]) == status


def test_nothing_compared_is_no_pass(
    tmp_path: Path, policies: Path, recorded: Decided, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --fail-on a log without a decision fails and says so; an empty file and one of other events alike."""
    log = tmp_path / "log.jsonl"
    told = event({"input": document(1), "decision": recorded([document(1)])[0]}, kind="lease_event.ISSUED")
    for content in ("", "\n", told):
        log.write_text(content, "utf-8")
        assert main(["replay", str(log), "--against", str(policies), "--fail-on", "newly-allowed"]) == 1
        assert "nothing could be compared" in capsys.readouterr().err
        assert main(["replay", str(log), "--against", str(policies)]) == 0


def test_unreadable_lines_fail(log: str, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that cannot be read is told and, with --fail-on, a failure: a flip may hide in it."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write("garbage\n")
    assert main(["replay", log, "--against", str(policies), "--fail-on", "newly-allowed"]) == 1
    assert "1 lines could not be read" in capsys.readouterr().out
    assert main(["replay", log, "--against", str(policies)]) == 0


def test_text_names_rule_actor_and_example(log: str, changed: Changed, capsys: pytest.CaptureFixture[str]) -> None:
    """The text says what flipped, by which rule, for whom, with an example's place and the reason in words."""
    assert main(["replay", log, "--against", str(changed(grant_gpu))]) == 0
    out = capsys.readouterr().out
    assert "Newly allowed: 1" in out
    assert "matrix.always_refused" in out
    assert "by cbo" in out
    assert f"e.g. intent-2 ({log}:2): staging: echo x with base:execute, dev:gpu" in out
    assert "matrix.always_refused: This capability is refused to everyone" in out
    assert "2 decisions, compared with the recording: 1 newly allowed, 0 newly denied" in out


def test_json_has_everything(log: str, changed: Changed, capsys: pytest.CaptureFixture[str]) -> None:
    """--format json carries counts, groups and each example's input and both answers."""
    assert main(["replay", log, "--against", str(changed(take_python)), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["decisions"], told["newly_denied"]) == ("cordon.replay/1", 2, 1)
    example = told["groups"][0]["example"]
    assert (example["before"]["allow"], example["after"]["allow"]) == (True, False)
    assert example["input"] == document(1)


def test_markdown_is_a_comment(log: str, changed: Changed, capsys: pytest.CaptureFixture[str]) -> None:
    """--format markdown has a headline, a table, and the input of what is newly allowed."""
    assert main(["replay", log, "--against", str(changed(grant_gpu)), "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("### :warning: Policy replay\n")
    assert "#### Newly allowed (1)" in out
    assert "| count | rule | actor | example |" in out
    assert "<details>" in out


def test_changes_are_listed_on_request(log: str, changed: Changed, capsys: pytest.CaptureFixture[str]) -> None:
    """Changes without a flip are counted always, listed with --changes."""

    def edit(matrix: Any) -> None:
        matrix["capabilities"]["dev:python"]["atp"] += 1

    against = str(changed(edit))
    assert main(["replay", log, "--against", against]) == 0
    out = capsys.readouterr().out
    assert "1 changed without a flip" in out
    assert "obligations" not in out
    assert main(["replay", log, "--against", against, "--changes"]) == 0
    assert "obligations" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["/nonexistent", "--against", "policies"], ["LOG", "--against", "/nonexistent"], ["LOG", "--against", "git:nope"]],
)
def test_wrong_use(words: list[str], log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Logs and policies that are not there are wrong use: exit status 2 and one line."""
    assert main(["replay", *(log if word == "LOG" else word for word in words)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("replay: ")]
    assert len(said) == 1  # beside the progress that a slow machine lets one see


def hostile(number: int) -> Row:
    """A request whose words try to be markup."""
    words = f"|@everyone <script>alert(1)</script> `x` ![i](http://x) {number}"
    intent = {"id": words, "requester": words, "phase": "staging", "capabilities": [words], "commands": []}
    return Row("log:1", {"intent": intent}, None)


def test_hostile_words_stay_words() -> None:
    """What requesters wrote cannot close a table cell, mention people, or load a picture in a comment."""
    tally = Tally()
    before = {"allow": False, "reasons": [{"code": "x.y", "msg": "m"}]}
    tally.add(hostile(1), before, {"allow": True, "reasons": []})
    out = markdown(Replay(tally, Intake(), "", "", 0.0), changes=True)
    table = next(line for line in out.splitlines() if line.startswith("| 1 |"))
    assert table.replace("\\|", "").count("|") == 5
    outside = out.partition("```json")[0]  # inside the block the words are the input's own, shown as code
    for markup in ("<script>", "![i]", "@everyone", " `x` "):
        assert markup not in outside


def test_groups_and_comment_are_bounded() -> None:
    """Requesters' names are theirs to choose: neither the groups nor the comment grow with them without end."""
    tally = Tally()
    for number in range(MAX_GROUPS + 50):
        tally.add(hostile(number), {"allow": False, "reasons": []}, {"allow": True, "reasons": []})
    assert len(tally.groups) <= MAX_GROUPS + 3
    assert sum(group.count for group in tally.ordered()) == MAX_GROUPS + 50
    out = markdown(Replay(tally, Intake(), "", "", 0.0), changes=False)
    assert len(out) < MAX_MARKDOWN + 200
    assert "too long for a comment" in out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
INTENT = st.dictionaries(st.sampled_from(["id", "requester", "persona", "phase", "commands", "capabilities"]), JSON)
DECISION = st.dictionaries(st.sampled_from(["reasons", "obligations", "grants", "risk", "policy_digest"]), JSON)


@given(INTENT | JSON, DECISION, st.booleans())
def test_whatever_a_log_holds_is_told(intent: Any, decision: Json, allow: bool) -> None:  # noqa: FBT001 - drawn
    """A log is not trusted: no shape of input or recorded decision stops the comparison or the report."""
    tally = Tally()
    after = {"allow": False, "reasons": [{"code": "a.b", "msg": "m", "remedy": "r"}]}
    tally.add(Row("log:1", {"intent": intent}, None), {**decision, "allow": allow}, after)
    told = Replay(tally, Intake(), "", "", 0.0)
    assert tally.rows == 1
    assert json.dumps(as_json(told))
    assert markdown(told, changes=True)
    assert list(text(told, changes=True))

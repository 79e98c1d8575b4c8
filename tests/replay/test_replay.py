"""Replays with a real OPA: what was planted flips, what was not stays, and nothing unreadable is passed over."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.errors import InvalidInputError
from executor.policy import PolicyEngine
from harness.policydir import OpaTool, materialize
from harness.replay.brief import denials_stand_alone
from harness.replay.bulk import Answer, BulkDecider
from harness.replay.records import Intake, read_rows
from harness.replay.run import BATCH, replay
from tests.replay.conftest import document, event, write_log

Json = dict[str, Any]
Decided = Callable[[list[Json]], list[Answer]]
Changed = Callable[[Callable[[Any], None]], Path]


def grant_gpu(matrix: Any) -> None:
    """A change that lets something through: the GPU no longer refused, and in cbo's line."""
    matrix["capabilities"]["dev:gpu"] |= {"refused": "", "risk": 0, "atp": 1}
    matrix["rows"]["cbo"]["none"]["staging"]["capabilities"].append("dev:gpu")


def take_python(matrix: Any) -> None:
    """A change that stops something: Python taken from cbo."""
    matrix["rows"]["cbo"]["none"]["staging"]["capabilities"].remove("dev:python")


def test_planted_flips_are_found(tmp_path: Path, recorded: Decided, changed: Changed) -> None:
    """Newly allowed and newly denied requests are found, grouped by rule and actor, with the first as example."""
    documents = [
        document(1),
        document(2, capabilities=["base:execute", "dev:gpu"], commands=[{"argv": ["echo", "x"]}]),
        document(3, requester="cp18"),
        document(4, capabilities=["base:execute", "dev:gpu"], commands=[{"argv": ["echo", "y"]}]),
        document(5),
    ]
    log = write_log(tmp_path / "log.jsonl", documents, recorded(documents))

    def edit(matrix: Any) -> None:
        grant_gpu(matrix)
        take_python(matrix)

    result = replay([str(log)], changed(edit), jobs=1)
    groups = [(g.direction, g.codes, g.actor, g.count, g.example.intent_id) for g in result.tally.ordered()]
    assert [group[0] for group in groups] == ["newly-allowed", "newly-denied"]
    assert [(group[2], group[3], group[4]) for group in groups] == [("cbo", 2, "intent-2"), ("cbo", 2, "intent-1")]
    assert "matrix.always_refused" in groups[0][1]
    assert "matrix.not_granted" in groups[1][1]
    assert (result.tally.rows, result.tally.directions["changed"]) == (5, 0)


def test_same_policies_flip_nothing(tmp_path: Path, recorded: Decided, policies: Path) -> None:
    """Replayed against the policies that decided, no decision differs in any section."""
    documents = [document(n, phase="production" if n % 2 else "staging") for n in range(20)]
    log = write_log(tmp_path / "log.jsonl", documents, recorded(documents))
    result = replay([str(log)], policies, jobs=2)
    assert (result.tally.rows, dict(result.tally.directions), result.tally.malformed) == (20, {}, 0)


def test_the_engines_own_record_replays_unchanged(tmp_path: Path, policies: Path) -> None:
    """A decision as the policy engine records it equals what the bulk query answers."""
    documents = [document(1), document(2, requester="nobody"), document(3, phase="production")]
    with PolicyEngine(policies) as engine:
        answers = [engine.decide_document(one).to_json() for one in documents]
    result = replay([str(write_log(tmp_path / "log.jsonl", documents, answers))], policies, jobs=1)
    assert (result.tally.rows, dict(result.tally.directions)) == (3, {})


def test_changes_without_a_flip_are_counted(tmp_path: Path, recorded: Decided, changed: Changed) -> None:
    """Another cost or risk is a change, not a flip, and says which part of the decision differs."""
    documents = [document(1)]
    log = write_log(tmp_path / "log.jsonl", documents, recorded(documents))

    def edit(matrix: Any) -> None:
        matrix["capabilities"]["dev:python"]["atp"] += 1

    result = replay([str(log)], changed(edit), jobs=1)
    assert [(g.direction, g.codes, g.count) for g in result.tally.ordered()] == [("changed", ("obligations",), 1)]


def test_baseline_replaces_the_recording(tmp_path: Path, policies: Path, changed: Changed) -> None:
    """Bare inputs are compared between two policies; without a baseline they are refused."""
    log = tmp_path / "inputs.jsonl"
    log.write_text(json.dumps(document(1)) + "\n", "utf-8")
    against = changed(take_python)
    result = replay([str(log)], against, baseline=policies, jobs=1)
    assert [g.direction for g in result.tally.ordered()] == ["newly-denied"]
    with pytest.raises(InvalidInputError, match="--baseline"):
        replay([str(log)], against, jobs=1)


def test_order_and_outcome_do_not_depend_on_workers(tmp_path: Path, recorded: Decided, changed: Changed) -> None:
    """With more batches than workers, counts and examples are those of the log's order."""
    documents = [document(n) for n in range(3 * BATCH + 7)]
    answers = recorded(documents[:1]) * len(documents)
    log = write_log(tmp_path / "log.jsonl", documents, answers)
    against = changed(take_python)
    results = [replay([str(log)], against, jobs=jobs) for jobs in (1, 3)]
    told = [[(g.codes, g.count, g.example.intent_id) for g in r.tally.ordered("newly-denied")] for r in results]
    assert told[0] == told[1]
    assert [(count, example) for _, count, example in told[0]] == [(len(documents), "intent-0")]


def test_undefined_failing_and_unfit_answers_are_malformed(tmp_path: Path, policies: Path) -> None:
    """A row whose decision is undefined, contradicts itself, or does not fit the schema denies; the others count."""
    copy = Path(shutil.copytree(policies, tmp_path / "broken"))
    rego = copy / "cordon/decision.rego"
    words = rego.read_text("utf-8")
    assert words.count("decision := {") == 1
    rego.write_text(
        words.replace("decision := {", 'decision := 1 if input.intent.id == "intent-1"\n\ndecision := {')
        # Undefined for intent-2: a division by zero.
        .replace('"score": risk.score', '"score": risk.score + (0 / (2 - count(split(input.intent.id, "2"))))'),
        "utf-8",
    )
    unfit = {**document(3), "surprise": True}
    with BulkDecider(copy) as decider:
        answers = decider.answers([document(0), document(1), document(2), unfit, document(4)])
    verdicts = [answer.get("verdict", "answered") for answer in answers]
    assert verdicts == ["answered", "malformed", "malformed", "malformed", "answered"]
    codes = [answer["reasons"][0]["code"] for answer in answers[1:4]]
    assert codes == ["policy.conflict", "policy.undefined", "policy.input_invalid"]
    assert not any(answer["allow"] for answer in answers[1:4])


def test_a_misshapen_allow_is_no_allow(tmp_path: Path, recorded: Decided, policies: Path) -> None:
    """An answer the executor would not take for a decision allows nothing, neither newly nor still."""
    copy = Path(shutil.copytree(policies, tmp_path / "misshapen"))
    rego = copy / "cordon/decision.rego"
    rego.write_text(rego.read_text("utf-8").replace('"allow": allow,', '"allow": true,\n\t"extra": 1,'), "utf-8")
    documents = [document(1, requester="nobody"), document(2)]
    log = str(write_log(tmp_path / "log.jsonl", documents, recorded(documents)))
    for changes in (False, True):
        result = replay([log], copy, jobs=1, changes=changes)
        flips = [g for g in result.tally.ordered() if g.direction != "changed"]
        assert [(g.direction, g.codes, g.example.intent_id) for g in flips] == [
            ("newly-denied", ("policy.garbage",), "intent-2")
        ]
        assert result.tally.malformed == (2 if changes else 1)


def test_brief_denials_are_taken_only_where_they_mean_the_same(tmp_path: Path, policies: Path, opa: OpaTool) -> None:
    """Where the decision's reasons are another rule's, denials are asked whole."""
    assert denials_stand_alone(policies, opa)
    copy = Path(shutil.copytree(policies, tmp_path / "other"))
    rego = copy / "cordon/decision.rego"
    rego.write_text(rego.read_text("utf-8").replace('"reasons": reasons,', '"reasons": reasons | set(),'), "utf-8")
    assert not denials_stand_alone(copy, opa)


def test_what_a_denial_would_have_owed_is_compared_on_request(
    tmp_path: Path, recorded: Decided, changed: Changed
) -> None:
    """A denied request's obligations are carried out by nobody: they are compared with `changes` only."""
    documents = [document(1, capabilities=["base:execute", "dev:python", "dev:gpu"])]
    log = write_log(tmp_path / "log.jsonl", documents, recorded(documents))

    def edit(matrix: Any) -> None:
        matrix["capabilities"]["dev:python"]["atp"] += 1

    against = changed(edit)
    counts = [replay([str(log)], against, jobs=1, changes=changes).tally.directions for changes in (False, True)]
    assert [dict(count) for count in counts] == [{}, {"changed": 1}]


def test_every_kind_of_line(tmp_path: Path) -> None:
    """SVF events, decision-log lines and bare inputs are rows; other events are passed over; the rest is counted."""
    one = document(1)
    decision = {"allow": True, "reasons": []}
    lines = [
        event({"input": one, "decision": decision}),
        event({"from": 1}, kind="vm_event.READY"),
        json.dumps({"input": one, "result": decision}) + "\n",
        json.dumps(one) + "\n",
        "\n",
        event({"input": {"too_long": 99999, "sha256": "0" * 64}, "decision": decision}),
        event({"input": one, "decision": {"allow": False, "verdict": "malformed"}}),
        "not json\n",
        "[1]\n",
        json.dumps({"input": one, "decision": {"allow": "yes"}}) + "\n",
        json.dumps({"other": 1}) + "\n",
        '{"input": {"intent": {}}, "decision": {"allow": true',
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(lines), "utf-8")
    intake = Intake()
    rows = list(read_rows([str(log)], intake))
    assert [row.where.rpartition(":")[2] for row in rows] == ["1", "3", "4"]
    assert [row.decision for row in rows] == [decision, decision, None]
    assert intake.lacking == {"too_long": 1, "malformed": 1, "unreadable": 5}
    assert [line.partition(": ")[2] for line in intake.shown] == [
        "not JSON", "not an object", "holds a decision without `allow`", "holds no policy input", "not JSON",
    ]  # fmt: skip


def test_directories_and_compressed_files(tmp_path: Path) -> None:
    """A directory is read in the order of its names, packed files too; one without logs is wrong use."""
    (tmp_path / "svf-000000000002.jsonl").write_text(json.dumps(document(2)) + "\n", "utf-8")
    (tmp_path / "svf-000000000001.jsonl.gz").write_bytes(gzip.compress(json.dumps(document(1)).encode()))
    (tmp_path / "notes.txt").write_text("not a log\n", "utf-8")
    assert [row.intent_id for row in read_rows([str(tmp_path)], Intake())] == ["intent-1", "intent-2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=r"no \.jsonl"):
        list(read_rows([str(tmp_path / "empty")], Intake()))
    with pytest.raises(InvalidInputError, match="absent"):
        list(read_rows([str(tmp_path / "absent.jsonl")], Intake()))


def test_git_revisions(tmp_path: Path, policies: Path, changed: Changed) -> None:
    """`git:REV` names the policies as committed; the work tree is not touched; unknown revisions are refused."""
    repository = tmp_path / "repository"
    shutil.copytree(policies, repository / "policies")

    def git(*args: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *args], cwd=repository, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    shutil.rmtree(repository / "policies")
    unpacked = materialize("git:HEAD", tmp_path / "a", repository=repository)
    named = materialize("git:HEAD:policies/cordon", tmp_path / "b", repository=repository)
    assert (unpacked / "cordon/decision.rego").read_bytes() == (policies / "cordon/decision.rego").read_bytes()
    assert (named / "decision.rego").is_file()
    assert not (repository / "policies").exists()
    for wrong in ("git:nope", "git:", "git:--output=x", "git:HEAD:nope"):
        with pytest.raises(InvalidInputError):
            materialize(wrong, tmp_path / "c", repository=repository)


MEMORY = """
import resource, sys
from pathlib import Path
from harness.replay.run import replay
result = replay([sys.argv[1]], Path(sys.argv[2]), jobs=1)
print(result.tally.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_log(tmp_path: Path, recorded: Decided, policies: Path) -> None:
    """A log ten times as long, far larger than the allowance, takes no more memory: rows are not kept."""
    small = tmp_path / "small"
    # A directory whose policies are one rule: what is measured is this side, not OPA.
    shutil.copytree(policies / "schemas", small / "schemas")
    (small / ".manifest").write_text('{"roots": ["cordon"], "rego_version": 1}', "utf-8")
    (small / "cordon").mkdir()
    (small / "cordon/d.rego").write_text('package cordon\n\ndecision := {"allow": false, "reasons": []}\n', "utf-8")
    line = event({"input": {**document(1), "now": 1}, "decision": {"allow": False, "reasons": [], "note": "x" * 2000}})
    used = []
    for rows in (2_000, 20_000):
        log = tmp_path / f"{rows}.jsonl"
        with log.open("w", encoding="utf-8") as file:
            file.writelines(line for _ in range(rows))
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(log), str(small)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        counted, kilobytes = map(int, done.stdout.split())
        assert counted == rows
        used.append(kilobytes)
    assert log.stat().st_size > 60_000_000
    assert used[1] - used[0] < 15_000, used

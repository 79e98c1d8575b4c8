"""The input: what is in it, what is not, and how a mistake is worded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.intent import Command, FileIn, Intent
from executor.policy import DecisionRequest, Facts, Review
from executor.policy.patch import touched_paths
from executor.policy.schema import input_schema

NOW = 1_700_000_000


def test_document_fits_the_schema(hello: DecisionRequest, policies: Path) -> None:
    """Hello, Staging is a valid input, whatever else is valid."""
    input_schema(policies).validate(hello.document(now=NOW))


def test_environment_values_are_not_in_the_document() -> None:
    """A variable's value never leaves the executor: its size and whether it is printable do."""
    intent = Intent("i", "cbo", (Command(("true",)),), env={"TASK_A": "sesame", "TASK_B": "a\nb", "TASK_C": "\ud800"})
    document = DecisionRequest(intent).document(now=NOW)
    assert "sesame" not in json.dumps(document)
    assert document["intent"]["env"] == [
        {"name": "TASK_A", "size": 6, "control": False},
        {"name": "TASK_B", "size": 3, "control": True},
        {"name": "TASK_C", "size": 3, "control": True},
    ]


def test_file_contents_are_not_in_the_document() -> None:
    """A file is judged by path, mode and size; what is in it is for the scanners."""
    intent = Intent("i", "cbo", (Command(("true",)),), files=(FileIn("/workspace/a", b"sesame", 0o600),))
    document = DecisionRequest(intent).document(now=NOW)
    assert "sesame" not in json.dumps(document)
    assert document["intent"]["files"] == [{"path": "/workspace/a", "mode": 0o600, "size": 6}]


def test_reviewer_holds_its_own_key_unless_said() -> None:
    """A review without a holder is the actor's own."""
    reviews = (Review("cp14", "PASS"), Review("human", "PASS", "ada"))
    document = DecisionRequest(Intent("i", "cbo", ()), Facts(reviews=reviews)).document(now=NOW)
    assert [review["holder"] for review in document["facts"]["reviews"]] == ["cp14", "ada"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("intent", "phase"), "prod", "policy input.intent.phase: 'prod' is not one of ['staging', 'production']"),
        (("intent", "commands", 0, "argv", 0), 7, "policy input.intent.commands[0].argv[0]: 7 is not of type 'string'"),
        (("facts", "budget"), {}, "policy input.facts.budget: 'atp' is a required property"),
        (("now",), "soon", "policy input.now: 'soon' is not of type 'integer'"),
    ],
    ids=["phase", "argument", "budget", "now"],
)
def test_mistakes_are_located(
    hello: DecisionRequest, policies: Path, path: tuple[Any, ...], value: object, message: str
) -> None:
    """An input that does not fit is refused with the field and what would fit."""
    document = json.loads(json.dumps(hello.document(now=NOW)))
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(InvalidInputError) as refused:
        input_schema(policies).validate(document)
    assert str(refused.value) == message


PATCH = """diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,2 +1,3 @@
 one
--- a/not-a-header
+++ b/not-a-header
+two
diff --git a/old b/new
rename from old
rename to new
--- /dev/null
+++ b/../up
@@ -0,0 +1 @@
+three
"""


def test_patch_names_what_it_touches() -> None:
    """Headers name files, changed lines that look like headers do not; a path is kept as written."""
    assert touched_paths(PATCH) == ("/workspace/../up", "/workspace/a.py", "/workspace/new", "/workspace/old")


@given(st.text())
def test_any_patch_is_read(text: str) -> None:
    """No text makes the reader fail, and every path it gives is absolute."""
    assert all(path.startswith("/") for path in touched_paths(text))


@given(st.lists(st.sampled_from(["--- a/x", "+++ b/x", "@@ -1 +1 @@", "-a", "+b", " c", "rename to y", ""])))
def test_patch_lines_in_any_order(lines: list[str]) -> None:
    """Whatever the order of its lines, a patch touches nothing that no line of it names."""
    assert set(touched_paths("\n".join(lines))) <= {"/workspace/x", "/workspace/y"}

"""Operators on data files: what is spliced into YAML reads as exactly the value that was meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.mutate.change import mutants
from harness.mutate.data_ops import data_changes
from harness.mutate.text import Source
from harness.mutate.widen import unanchored, widened_glob

TEXTS = st.text("ab/*.^$: #-'\"é", min_size=1, max_size=8)
SCALARS = st.one_of(TEXTS, st.integers(-5, 5), st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
FILES = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4)


def removable(value: dict[str, list[str]]) -> int:
    """List items, and fields that hold none."""
    return sum(len(items) or 1 for items in value.values())


@settings(deadline=None)  # a hundred YAML files a case; how long that takes says nothing
@given(FILES, st.sampled_from([True, False, None]))
def test_every_change_reads_as_meant(value: Any, flow: bool | None) -> None:  # noqa: FBT001 - hypothesis gives it
    """Whatever is in a file, in block, flow or mixed style: no place is missed, and each mutant is another value."""
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    source = Source("data.yaml", text)
    changes, unplaced = data_changes(source, ("x",))
    assert unplaced == []
    for mutant in mutants(source, changes):
        assert json.dumps(yaml.safe_load(mutant.text())) != json.dumps(value)


@settings(deadline=None)
@given(st.dictionaries(TEXTS, st.lists(TEXTS, max_size=5, unique=True), min_size=1, max_size=4))
def test_every_entry_is_removed_once(value: dict[str, list[str]]) -> None:
    """Every list item, and every field that holds none, has exactly one mutant without it."""
    text = yaml.safe_dump(value, default_flow_style=False, allow_unicode=True)
    changes, _ = data_changes(Source("data.yaml", text), ("x",))
    assert sum(change.operator == "remove-entry" for change in changes) == removable(value)


def one(text: str, operator: str) -> list[str]:
    source = Source("data.yaml", text)
    return [m.text() for m in mutants(source, data_changes(source, ())[0]) if m.change.operator == operator]


@pytest.mark.parametrize(
    ("operator", "text", "wanted"),
    [
        (
            "remove-entry",
            "a:\n  - x # first\n  # second\n  - y\n",
            ["a:\n  # second\n  - y\n", "a:\n  - x # first\n  # second\n"],
        ),
        ("remove-entry", "a: [x, y]\n", ["a: [y]\n", "a: [x]\n"]),
        ("remove-entry", "- b: 1\n  c: 2\n", ["[]\n", "- c: 2\n", "- b: 1\n"]),
        ("remove-entry", "- x\n- x\n", []),
        ("wildcard-entry", "a:\n  - x\n", ['a:\n  - x\n  - "*"\n']),
        ("wildcard-entry", "a: [/x]\n", ['a: [/x, "/**"]\n']),
        ("wildcard-entry", "a: []\n", ['a: ["*"]\n']),
        ("wildcard-entry", 'a: ["*"]\n', []),
        ("wildcard-entry", "a: [1]\n", []),
        ("bound", "a: 5 # five\n", ["a: 4 # five\n", "a: 6 # five\n"]),
        ("boolean", "a: true\n", ["a: false\n"]),
        ("string", "a: x\n", ['a: "x_mutant"\n']),
        ("string", "title: any words\n", []),
        ("string", "a: [x]\n", []),
        ("glob-widen", "a: /tmp/*\n", ['a: "/tmp/**"\n']),
        ("regex-anchor", "a: ^x$\n", ['a: "^x"\n', 'a: "x$"\n']),
    ],
)  # fmt: skip - one line for one case
def test_operator_on_data(operator: str, text: str, wanted: list[str]) -> None:
    """An operator makes exactly these mutants of a data file; comments and layout stay."""
    assert one(text, operator) == wanted


@pytest.mark.parametrize(
    ("pattern", "wide"),
    [
        ("/tmp/*", "/tmp/**"),  # noqa: S108 - a pattern, not a file
        ("/workspace/**", "/**"),
        ("/etc/shadow", "/etc/**"),
        ("*.example.org", "**.example.org"),
        ("**/id_rsa*", "**/id_rsa**"),
        ("/**", None),
        ("/", None),
        ("plain", None),
        ("a / b * c", None),
    ],
)
def test_widened_glob(pattern: str, wide: str | None) -> None:
    """A pattern is loosened by one step, and what cannot be is left."""
    assert widened_glob(pattern) == wide


def test_unanchored() -> None:
    """An escaped dollar is no anchor."""
    assert unanchored(r"^a\$") == [r"a\$"]
    assert unanchored("a") == []


def test_ids_name_entries_by_what_they_are() -> None:
    """A list item inserted before another does not rename the other's mutant."""
    ids = []
    for text in ("a:\n  - x\n  - y\n", "a:\n  - new\n  - x\n  - y\n"):
        source = Source("d/data.yaml", text)
        ids.append(
            {m.id for m in mutants(source, data_changes(source, ("d",))[0]) if m.change.operator == "remove-entry"}
        )
    assert {name for name in ids[0] if "[" in name} < ids[1]

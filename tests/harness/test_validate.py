"""A document against its published schema: the quick validator never says yes where the wordy one would object."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import schema
from harness.document import misfits, validate
from harness.document.strict_yaml import Document, load_documents, walk

ROOT: Final = Path(__file__).parents[2]
FILES: Final = (
    "scenarios/hello_staging.yaml",
    "scenarios/workflows/red_team.yaml",
    "scenarios/plan_c_quotas/quotas.yaml",
    "scenarios/studies/hosts_lost.yaml",
)
"""A scenario, procedures and a study."""
STRANGE: Final = st.sampled_from(
    (2.0, 0.0, -1.0, 1.5, True, False, None, "", "a\n", "\n", "x" * 5000, "\ud800", "é", "٣", -1, 0, 10**6, 10**25)
) | st.sampled_from(([], {}, ["a", "a"], {"a": 1}, [[]], [True, 1])).map(copy.deepcopy)


@cache
def _documents() -> tuple[tuple[Document, str], ...]:
    found = []
    for name in FILES:
        for document in load_documents((ROOT / name).read_text("utf-8"), name):
            kind = schema.STUDY if "study" in document.value["schema"] else validate._schema_of(document.value)
            found.append((document, kind))
    return tuple(found)


def _with(value: Any, path: tuple[str | int, ...], put: Any) -> Any:
    """A copy of `value` with `put` at `path`."""
    if not path:
        return put
    whole = copy.deepcopy(value)
    inner = whole
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = put
    return whole


@given(st.data())
def test_one_strange_value_is_told_in_the_same_words_by_the_quick_and_the_wordy_way(data: st.DataObject) -> None:
    """Whatever one value is replaced by, `problems` is what the wordy validator finds."""
    document, kind = data.draw(st.sampled_from(_documents()))
    path = data.draw(st.sampled_from([path for path, _ in walk(document.value) if path]))
    changed = Document(
        _with(document.value, path, data.draw(STRANGE)), document.place, document.last_line, document.values
    )
    changed.keys = {**document.keys, (*path, "a"): document.place}
    assert validate.problems(changed, kind) == misfits.all_of(changed, kind)


@pytest.mark.parametrize("at", range(len(FILES)))
def test_every_document_of_the_suite_that_fits_is_let_through_quickly(at: int) -> None:
    """The quick way is the one taken: a validator that always doubts would be right and slow."""
    path = ROOT / FILES[at]
    for document in load_documents(path.read_text("utf-8"), FILES[at]):
        kind = schema.STUDY if "study" in document.value["schema"] else validate._schema_of(document.value)
        assert validate._fits(document, kind)


def test_a_whole_number_written_with_a_point_is_left_to_the_wordy_validator() -> None:
    """2.0 is an integer to JSON Schema and none to whoever counts workers by it."""
    (document, *_) = load_documents((ROOT / FILES[3]).read_text("utf-8"), FILES[3])
    load = {"schema": "cordon.load/1", "id": "a", "title": "a", **document.value["load"]}
    whole = Document(load, document.place, document.last_line)
    assert validate.problems(whole, schema.LOAD) == []
    load["executor"]["workers"] = 2.0
    (problem,) = validate.problems(whole, schema.LOAD)
    assert "expected a whole number" in problem.message

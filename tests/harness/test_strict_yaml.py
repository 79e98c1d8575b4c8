"""The strict reader: plain data or one located refusal, never a guess and never anything else."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.document.strict_yaml import MAX_DEPTH, MAX_NODES, load_documents, path_text, walk
from harness.errors import Place, ScenarioError

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


def refusal(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_documents(text, "f.yaml")
    return str(caught.value)


@given(DATA)
def test_what_yaml_writes_is_read_back_unchanged(value: object) -> None:
    """Data written by PyYAML, which quotes what could be misread, comes back equal."""
    text = yaml.safe_dump(value, allow_unicode=True)
    (document,) = load_documents(text, "f.yaml") if value is not None else (None,)
    assert document is None or document.value == value


@given(DATA)
def test_every_value_has_a_place(value: object) -> None:
    """Each value of a document, and each key, has a line and a column inside the text."""
    text = yaml.safe_dump([value], allow_unicode=True)
    (document,) = load_documents(text, "f.yaml")
    lines = text.count("\n") + 1
    for path, _ in walk(document.value):
        assert 1 <= document.values[path].line <= lines


@given(st.text(max_size=80) | st.text("{}[]:,&*!|>'\"%@`-? \n\tab0", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, the answer is documents or `ScenarioError`: nothing else gets out."""
    lines: list[int] = []
    try:
        lines = [document.place.line for document in load_documents(text, "f.yaml")]
    except ScenarioError as error:
        lines = [problem.place.line for problem in error.problems] or [0]
    assert all(line >= 1 for line in lines)


@pytest.mark.parametrize("word", ["no", "No", "yes", "on", "OFF", "True", "TRUE"])
def test_guessed_booleans_are_refused(word: str) -> None:
    """Only `true` and `false` are booleans; the rest must be quoted, and the message shows how."""
    assert refusal(f"a: {word}") == (
        f'f.yaml:1:4: a: YAML would read {word} as a boolean: write true or false, or quote it: "{word}"'
    )


@pytest.mark.parametrize("word", ["010", "1:30", "1_000", "0b11", "+5", "2024-01-01", ".inf", ".NaN", "=", "1e3.5"])
def test_guessed_numbers_and_dates_are_refused_or_text(word: str) -> None:
    """A scalar that YAML 1.1 would turn into something unexpected is refused or stays the text it is."""
    refused = ""
    value: object = {"a": word}
    try:
        value = load_documents(f"a: {word}", "f.yaml")[0].value
    except ScenarioError as error:
        refused = str(error)
    assert value == {"a": word}
    assert not refused or "quote it" in refused


@pytest.mark.parametrize(
    ("word", "value"), [("0o755", 0o755), ("0x1f", 31), ("-3", -3), ("1.5", 1.5), ("true", True), ('"no"', "no")]
)
def test_plain_spellings_are_values(word: str, value: object) -> None:
    """Decimal, 0x, 0o, plain fractions and quoted text mean what they say."""
    assert load_documents(f"a: {word}", "f.yaml")[0].value == {"a": value}


def test_duplicate_keys_are_refused_with_both_places() -> None:
    """A key given twice names its second place and the line of its first."""
    assert refusal("a: 1\nb:\n  c: 1\n  c: 2\n") == "f.yaml:4:3: b.c: appears twice; first in line 3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {<<: {b: 1}}", "merge keys"),
        ("a: !!python/object:os.system x", "tags are not read"),
        ("a: !x [1]", "tags are not read"),
        ("{1: a}", "a field's name is text"),
        ("{[1]: a}", "a field's name is text"),
        ("a: &x [*x]", "refers to the value it is in"),
        ("a: *nobody", "not YAML"),
        ("a: [", "not YAML"),
        ("a: 1\n b: 2", "not YAML"),
    ],
)
def test_what_is_not_strict_is_refused(text: str, words: str) -> None:
    """Merge keys, tags, keys that are not text, loops and broken syntax are each refused in words."""
    assert words in refusal(text)


def test_alias_bombs_are_refused() -> None:
    """Nine levels of nine aliases would be 9^9 values: refused once the bound is passed, at the alias."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert f"over {MAX_NODES} values once aliases are expanded" in refusal("\n".join(lines))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 50_000])
def test_deep_nesting_is_refused_without_recursion(depth: int) -> None:
    """Brackets in any number are refused from the flat event stream, before anything recurses."""
    assert "f.yaml:1:" in refusal("[" * depth + "]" * depth)


def test_documents_keep_their_lines() -> None:
    """Several documents in a file keep the line each begins with and ends on."""
    text = "---\na: 1\n---\n# a comment\nb:\n  - 2\n  - 3\n"
    first, second = load_documents(text, "f.yaml")
    assert (first.value, first.place, first.last_line) == ({"a": 1}, Place("f.yaml", 2, 1), 2)
    assert (second.value, second.place, second.last_line) == ({"b": [2, 3]}, Place("f.yaml", 5, 1), 7)


def test_paths_are_written_as_people_write_them() -> None:
    """Keys are joined by dots, positions stand in brackets."""
    assert path_text(("intent", "commands", 0, "argv")) == "intent.commands[0].argv"

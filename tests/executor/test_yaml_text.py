"""YAML by libyaml: the values and the words of PyYAML's own parser."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor import yaml_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_ 1", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_yaml_writes_is_read_as_the_slow_parser_reads_it(value: object) -> None:
    """Both parsers give the same data."""
    text = yaml.safe_dump(value, allow_unicode=True)
    assert yaml_text.load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "- a\nb: 1", "key: @x", "a: *nobody", "!!python/name:os.system x"]
)
def test_a_mistake_is_told_in_the_words_of_the_slow_parser(text: str) -> None:
    """The quick parser's objections are shorter and quote no line; nobody gets to see them."""
    with pytest.raises(yaml.YAMLError) as slow:
        yaml.safe_load(text)
    with pytest.raises(yaml.YAMLError) as quick:
        yaml_text.load(text)
    assert str(quick.value) == str(slow.value)

"""What guests say, made harmless; what they used, drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.report import allure_record, plot
from harness.report.escape import guest_text, markdown_line, visible


@given(st.binary(max_size=200))
def test_no_guest_byte_steers_a_terminal(raw: bytes) -> None:
    """Whatever a guest prints, what is shown has no control, format or surrogate character but newline and tab."""
    shown = guest_text(raw)
    assert all(character in "\n\t" or character.isprintable() or character.isspace() for character in shown)
    assert not set(shown) & {"\x1b", "\r", "\x07", "\x9b", "\u202e", "\u2028"}
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=50))
def test_readable_text_is_left_alone(text: str) -> None:
    """Letters, digits, punctuation and symbols of any script stay as they are."""
    assert visible(text) == text


def test_long_text_keeps_its_end() -> None:
    """Of too much output the end is shown, and how much is missing."""
    assert guest_text(b"a" * 10 + b"end", tail=3) == "[10 characters left out]\nend"


@given(st.text(max_size=60))
@example("**bold** `code` | cell <b>tag</b> ![x](y) [a]: b ~~s~~ @someone &amp; http://x.example")
def test_no_word_of_a_requester_acts_in_a_table_of_markdown(words: str) -> None:
    """Whatever is written into a cell, a Markdown renderer makes one cell of it and no markup."""
    page = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"|a|\n|---|\n|x{markdown_line(words)}x|\n")
    )
    tags = ["table", "thead", "tr", "th", "/th", "/tr", "/thead", "tbody", "tr", "td", "/td", "/tr", "/tbody", "/table"]
    assert re.findall(r"<([^>]*)>", page) == tags
    assert "@someone" not in page


def sample(at: int, memory: int) -> dict[str, int]:
    return {"at_ms": at, "cpu_usec": at * 10, "memory_bytes": memory, "pids": 2}


@pytest.mark.parametrize("samples", [[], [sample(0, 1)]])
def test_nothing_is_drawn_of_too_little(samples: list[dict[str, int]]) -> None:
    """A curve needs two points."""
    assert plot.resources(samples) is None


@given(st.lists(st.builds(sample, st.integers(0, 10**7), st.integers(0, 2**50)), min_size=2, max_size=30))
def test_the_plot_is_one_well_formed_picture_inside_its_frame(samples: list[dict[str, int]]) -> None:
    """Any samples give XML with three curves whose points lie inside the view box, and no script."""
    samples.sort(key=lambda one: one["at_ms"])
    text = plot.resources(samples)
    assert text is not None
    root = ET.fromstring(text)  # noqa: S314 - our own text
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    lines = [element for element in root if element.tag.endswith("polyline")]
    assert len(lines) == 3
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert len(points) == len(samples)
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert "<script" not in text


def test_the_truth_table_becomes_a_table_of_nothing_else() -> None:
    """Every row of the expected table is one of the CSV's; a row of a guest's own making is none."""
    document = (Path(__file__).parents[2] / "scenarios/seccomp/truth_table.yaml").read_text("utf-8")
    (block,) = re.findall(r"equals: \|\n((?: {6}.*\n)+)", document)
    lines = [line[6:] for line in block.splitlines()]
    evil = ["=HYPERLINK(1) 1 a allowed", 'x86_64 1 "=1+1" allowed', "x86_64 1 =1+1 allowed", "with <b> allowed"]
    table = allure_record._table("\n".join([*lines, *evil]).encode()).splitlines()
    assert table[0] == '"entry","number","name","answer"'
    assert len(table) == len(lines)
    assert '"x86_64","0","read","allowed"' in table
    assert '"i386","0-511","","killed"' in table
    assert '"with","","clone(0x11)","allowed"' in table
    assert allure_record._table(b"hello\n") == ""

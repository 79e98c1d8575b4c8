"""What is written to a terminal: nothing untrusted moves the cursor, colour only where wanted, progress when slow."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon.terminal import now_and_then, one_line, print_json, progress, safe, table, wants_colour

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=50)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


@given(ANY_TEXT)
def test_safe_text_holds_no_control_character(text: str) -> None:
    """Whatever comes in, only line breaks and tabs are left of what controls a terminal."""
    shown = safe(text)
    assert not [
        char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char not in "\n\t"
    ]
    shown.encode("utf-8")


@given(ANY_TEXT)
def test_one_line_is_one_line(text: str) -> None:
    """No character in it makes a new line, for Python or for a terminal."""
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=50))
def test_plain_text_is_left_alone(text: str) -> None:
    """ASCII that prints stays as it is."""
    assert one_line(text) == safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\e[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb", "a\\rb"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("a\u200bb\ufeff\xad", "a\\u200bb\\ufeff\\xad"),
        ("\U000e0041", "\\U000e0041"),
        ("\udc80", "\\udc80"),
        ("Grüße 漢字", "Grüße 漢字"),
    ],
)
def test_known_tricks_are_shown_escaped(text: str, shown: str) -> None:
    """Escape sequences in both forms, overwriting, reordering, separators, undecodable bytes."""
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_only_on_a_terminal_that_wants_it(
    environment: dict[str, str],
    colour: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_COLOR and a dumb terminal switch it off; a file never gets it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(Terminal()) == colour
    assert not wants_colour(io.StringIO())


def test_a_table_in_a_pipe_is_whole_and_safe() -> None:
    """Columns line up, long cells are not cut, escapes are shown, markup stays text, no colour."""
    out = io.StringIO()
    table(["name", "note"], [["a", "x" * 300], ["bb", "[bold]\x1b[31mred"]], stream=out)
    lines = out.getvalue().splitlines()
    assert any(line.startswith("a ") and "x" * 300 in line for line in lines)
    assert any("[bold]\\e[31mred" in line for line in lines)
    assert "\x1b" not in out.getvalue()


def test_json_is_sorted_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """--json can be read by anything and compared byte by byte."""
    print_json({"b": "ü\x1b", "a": 1})
    text = capsys.readouterr().out
    assert text.isascii()
    assert list(json.loads(text)) == ["a", "b"]


class HandTimer:
    """A timer that goes off when told."""

    def __init__(self, _after: float, call: Callable[[], None]) -> None:
        self.fire = call
        self.cancelled = False

    def start(self) -> None:
        """Nothing: time is in the test's hand."""

    def cancel(self) -> None:
        """Remember it."""
        self.cancelled = True


def test_slow_work_is_announced_and_quick_work_is_not() -> None:
    """Under two seconds: silence. Over: that it is under way, each step, and how long it took."""
    out, now, timers = io.StringIO(), [0.0], list[HandTimer]()

    def timer(after: float, call: Callable[[], None]) -> HandTimer:
        timers.append(HandTimer(after, call))
        return timers[-1]

    with progress("image", stream=out, timer=timer, monotonic=lambda: now[0]) as step:
        now[0] = 1.9
        step("early")
    assert (out.getvalue(), timers[0].cancelled) == ("", True)
    now[0] = 0.0
    with progress("image", stream=out, timer=timer, monotonic=lambda: now[0]) as step:
        timers[1].fire()
        now[0] = 3.0
        step("packing\x07")
        now[0] = 4.25
    assert out.getvalue() == "image: under way\nimage: packing\\x07 (3 s)\nimage: done in 4.2 s\n"


def test_many_news_are_said_now_and_then() -> None:
    """What comes within five seconds of the beginning, or of what was said last, goes unsaid; the next does not."""
    said, now = list[str](), [100.0]
    tell = now_and_then(said.append, monotonic=lambda: now[0])
    for second in range(13):
        now[0] = 100.0 + second
        tell(str(second))
    assert said == ["5", "10"]

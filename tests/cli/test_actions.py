"""Actions of commands: each shows its own example, each that a program may read takes --json, wrong use is one line."""

from __future__ import annotations

import importlib
from typing import Final

import pytest

from cordon.__main__ import main
from cordon.commands import catalogue
from cordon.parser import Parser, actions_of, give_examples

WITHOUT_JSON: Final = {
    "cordon oracle systems": "a list of three words",
    "cordon svf export": "has --format, of which json is one",
}
"""Actions that do not take --json, and why."""


def actions(name: str) -> list[Parser]:
    """The parsers of one command's actions."""
    parser = Parser(prog=f"cordon {name}")
    importlib.import_module(f"cordon.commands.{name}").configure(parser)
    give_examples(parser)
    return [action for action in actions_of(parser) if isinstance(action, Parser)]


ACTIONS: Final = {action.prog: action for name in catalogue() for action in actions(name)}


def test_there_are_actions() -> None:
    """The tests below are about something."""
    assert {"cordon lease issue", "cordon keys rotate", "cordon svf verify", "cordon rollback apply"} <= ACTIONS.keys()
    assert WITHOUT_JSON.keys() <= ACTIONS.keys()


@pytest.mark.parametrize("prog", sorted(ACTIONS))
def test_every_action_shows_an_example_of_itself(prog: str) -> None:
    """`--help` ends with a line that can be typed."""
    shown = ACTIONS[prog].format_help().partition("example")[2]
    lines = [line.strip() for line in shown.splitlines() if line.strip().startswith(prog)]
    assert lines


@pytest.mark.parametrize("prog", sorted(ACTIONS.keys() - WITHOUT_JSON.keys()))
def test_every_action_takes_json(prog: str) -> None:
    """What an action says can be read by a program."""
    assert "--json" in ACTIONS[prog].format_help()


@pytest.mark.parametrize(
    "words",
    [("lease",), ("lease", "bogus"), ("lease", "show"), ("keys", "list", "--odd"), ("svf", "tail", "-n", "\x1b[2Jx")],
)
def test_wrong_use_is_one_safe_line_and_two(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with the words: one line on stderr that names the help, nothing a terminal would act on."""
    with pytest.raises(SystemExit) as left:
        main(words)
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "--help` shows how" in err
    assert "\x1b" not in err

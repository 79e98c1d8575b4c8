"""The command line's parser: wrong use is one line, and every action's help shows its own example."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final, NoReturn

from cordon.terminal import one_line

EXIT_MISUSE: Final = 2


class Parser(argparse.ArgumentParser):
    """As argparse's, but an error is one line that says where help is. Parsers of actions are of this class too."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with 2."""
        sys.stderr.write(f"{self.prog}: error: {one_line(message)}; `{self.prog} --help` shows how\n")
        sys.exit(EXIT_MISUSE)


def count(text: str) -> int:
    """A number of things: 0 or more, below 2^53 (what the registry and the trail can hold)."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**53)) or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of things")
    return int(text)


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of the actions directly below `parser`."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            yield from action.choices.values()


def give_examples(parser: argparse.ArgumentParser) -> None:
    """Show each action those of its command's examples that are about it, unless it has some of its own."""
    lines = [line.strip() for line in (parser.epilog or "").splitlines()]
    for action in actions_of(parser):
        own = [line for line in lines if f"{line} ".startswith(f"{action.prog} ")]
        if own and not action.epilog:
            action.epilog = "\n  ".join(["examples:" if len(own) > 1 else "example:", *own])
            action.formatter_class = argparse.RawDescriptionHelpFormatter

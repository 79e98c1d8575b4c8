"""`cordon COMMAND ...`: find the command, parse its arguments, run it, turn errors into one line and an exit status.

Exit status: 0 good, 1 the thing checked failed or something outside is broken, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol, cast

from cordon import VERSION
from cordon.commands import catalogue
from cordon.parser import EXIT_MISUSE, Parser, give_examples
from cordon.terminal import one_line
from executor.errors import CordonError, MisuseError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""


class CommandModule(Protocol):
    """What a module in cordon/commands offers."""

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to `parser`."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; `arguments` None takes the process's own."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words[: _command_index(words)]
    try:
        try:
            return _dispatch(words)
        finally:
            sys.stdout.flush()  # here, where a reader that has gone is understood, and not at the interpreter's exit
    except KeyboardInterrupt:
        _say("cordon: stopped by Ctrl-C")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has gone: no error of ours. Without this the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except CordonError as error:
        if debug:
            traceback.print_exc()
        _say(f"cordon: error: {one_line(str(error))} [{error.code}]")
        return EXIT_MISUSE if isinstance(error, MisuseError) else EXIT_FAILED


def _dispatch(words: list[str]) -> int:
    commands = catalogue()
    index = _command_index(words)
    shell = _shell_parser(commands)
    options = shell.parse_args(words[:index])
    if options.version:
        sys.stdout.write(f"cordon {VERSION}\n")
        return 0
    if index == len(words):
        shell.print_help(sys.stderr)
        return EXIT_MISUSE
    name = words[index]
    if name not in commands:
        _no_such(name, commands)
        return EXIT_MISUSE
    module = _load(name)
    parser = Parser(
        prog=f"cordon {name}",
        description=module.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    give_examples(parser)
    return module.run(parser.parse_args(words[index + 1 :]))


def _command_index(words: Sequence[str]) -> int:
    """Where the command's name stands: the first word that is no option (the shell's own options take no value)."""
    return next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))


def _shell_parser(commands: dict[str, str]) -> argparse.ArgumentParser:
    width = max(map(len, commands), default=0)
    listing = "\n".join(f"  {name:<{width}}  {line}" for name, line in commands.items())
    parser = Parser(
        prog="cordon",
        usage="cordon [--debug] COMMAND ...",
        description="Proves that an autonomous agent's sandbox holds: verdict = effect = events.",
        epilog=f"commands:\n{listing}\n\nexamples:\n  cordon doctor\n  cordon COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    parser.add_argument("--debug", action="store_true", help="show the traceback behind an error")
    return parser


def _load(name: str) -> CommandModule:
    module_name = f"cordon.commands.{name.replace('-', '_')}"
    try:
        return cast("CommandModule", importlib.import_module(module_name))
    except ModuleNotFoundError as error:
        missing = error.name or "a module"
        raise MissingPartError(f"`cordon {name}` needs {missing}, which is not installed; run this through tox, "
                               "or `python3 bootstrap.py tests` once") from error  # fmt: skip


class MissingPartError(CordonError):
    """A Python package that one command needs is not installed."""

    code = "cordon.missing_part"


def _no_such(name: str, commands: dict[str, str]) -> None:
    import difflib  # noqa: PLC0415 - only for a wrong command: keeps `cordon --help` quick

    near = difflib.get_close_matches(name, commands, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(commands)}"
    _say(f"cordon: error: no such command: {one_line(name)}{hint}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def run() -> NoReturn:
    """Entry point of `python -m cordon`."""
    sys.exit(main())


if __name__ == "__main__":
    run()

"""`cordon drills`: every scenario on real VMs, the report, the summary; and sabotage: every control taken away once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import pytest

from cordon.terminal import one_line, print_json, table
from executor.errors import InvalidInputError
from harness.collection.drill_session import ENGINES
from harness.collection.shard import Shard
from harness.drills.run import main
from harness.sabotage.kept import FILE
from harness.sabotage.matrix import controls
from harness.sabotage.suite import sweep_suite

HELP: Final = "run the scenarios on real VMs and make the report; or sabotage: take every control away once"
SABOTAGE: Final = "sabotage"
_STATUS: Final = {0: 0, pytest.ExitCode.USAGE_ERROR: 2, pytest.ExitCode.NO_TESTS_COLLECTED: 2}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pytest_arguments", nargs=argparse.REMAINDER, help="handed on to pytest as they are; write -- before options"
    )
    parser.epilog = """\
examples:
  cordon drills
  cordon drills -- -m smoke -n 2
  cordon drills -- scenarios/hello_staging.yaml --engine tcg
  cordon drills sabotage
  cordon drills sabotage --control seccomp --json
  cordon drills sabotage --help"""


def run(args: argparse.Namespace) -> int:
    """Run them."""
    if args.pytest_arguments[:1] == [SABOTAGE]:
        return _sabotage(args.pytest_arguments[1:])
    extra = [argument for argument in args.pytest_arguments if argument != "--"]
    return _STATUS.get(main(extra), 1)


def _sabotage(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="cordon drills sabotage",
        description="Take every control of the executor and every guard of the harness away, one at a time: at least "
        "one scenario must turn red. A control whose absence nobody notices is named, and the exit status is 1.",
        epilog="examples:\n  cordon drills sabotage\n  cordon drills sabotage --control seccomp --control landlock\n\n"
        "An interrupted sweep goes on where it stopped while sources, policies, scenarios and images are the same.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--control", action="append", default=[], metavar="NAME", help="only this one (repeatable)")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="what runs the guests (auto)")
    parser.add_argument("--scenarios", type=Path, default=Path("scenarios"), metavar="DIR", help="where they are")
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE", help=f"the matrix ({FILE})")
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted sweep")
    parser.add_argument(
        "--records",
        type=Path,
        metavar="FILE",
        help="records.json of a run over the same sources: its cells are kept",
    )
    parser.add_argument("--shard", metavar="I/N", type=Shard.parse, help="only the I-th of N parts of the controls")
    parser.add_argument("--quiet", action="store_true", help="progress only: no table, no list of what was missed")
    parser.add_argument("--all", action="store_true", help="run every scenario that could notice, not until one does")
    parser.add_argument("--json", action="store_true", help="print the matrix as JSON")
    options = parser.parse_args(words)
    known = controls()
    if unknown := sorted(set(options.control) - known.keys()):
        raise InvalidInputError(f"no such control: {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = [name for name in known if not options.control or name in options.control]
    wanted = options.shard.keep(wanted) if options.shard else wanted
    matrix = sweep_suite(
        engine=options.engine,
        scenarios=options.scenarios,
        target=options.output,
        wanted=wanted,
        say=_say,
        fresh=options.fresh,
        thorough=options.all,
        records=options.records,
    )
    missed = [name for name in wanted if name not in matrix.rows or not matrix.rows[name].caught]
    if options.quiet:
        return 1 if missed else 0
    if options.json:
        print_json(matrix.to_json())
    else:
        rows = [matrix.rows[name] for name in wanted if name in matrix.rows]
        told = [(row.control, row.kind, ", ".join(row.caught_by[:3]) or "NOBODY", row.finding) for row in rows]
        table(("control", "where", "noticed by", "what it said"), told)
    for name in missed:
        _say(f"sabotage: nobody notices that {name} is gone: {matrix.rows[name].finding}")
    return 1 if missed else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{one_line(text)}\n")
    sys.stderr.flush()

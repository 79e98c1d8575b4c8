"""`cordon replay`: ask other policies what they would have said to the decisions that were recorded."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from cordon.terminal import now_and_then, print_json, progress
from executor.errors import InvalidInputError
from harness.jobs import default_jobs
from harness.policydir import materialize
from harness.replay import report
from harness.replay.run import Replay, replay

HELP: Final = "ask other policies the recorded decisions again and show what flips"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("log", nargs="+", metavar="LOG", help="SVF trail (folder or file), JSON lines, .gz, or - for standard input")
    add("--against", required=True, metavar="DIR|git:REV", help="the policies to ask; git:REV[:PATH] for a revision")
    add("--baseline", metavar="DIR|git:REV", help="compare with these policies instead of the recorded decisions")
    add("--fail-on", choices=("newly-allowed", "any"), help="exit 1 when something is newly allowed, or flips at all")
    add("--format", choices=("text", "markdown", "json"), default="text", help="markdown fits a pull-request comment")
    add("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    add("--changes", action="store_true", help="compare everything, list what changes without a flip (twice the time)")
    add("--jobs", type=int, default=default_jobs(), metavar="N", help="OPA processes (one for each core)")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
With --fail-on, lines that cannot be read fail too: a flip may hide in them. So does a log without any decision.
Exit 0: nothing that --fail-on names; 1: something; 2: wrong use.

examples:
  cordon replay /var/lib/cordon/logs/svf_audit --against policies --fail-on newly-allowed
  cordon replay audit.jsonl --baseline git:origin/main --against git:HEAD --format markdown"""


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when what `--fail-on` names has happened."""
    if args.jobs < 1:
        raise InvalidInputError("--jobs: at least 1")
    with tempfile.TemporaryDirectory(prefix="cordon-replay-") as scratch:
        root = Path(scratch)
        against = materialize(args.against, root / "against")
        baseline = materialize(args.baseline, root / "baseline") if args.baseline else None
        with progress("replay") as step:
            say = now_and_then(step)
            result = replay(
                args.log,
                against,
                baseline=baseline,
                jobs=args.jobs,
                changes=args.changes,
                progress=lambda rows: say(f"{rows} decisions"),
            )
    if args.format == "json":
        print_json(report.as_json(result))
    elif args.format == "markdown":
        sys.stdout.write(report.markdown(result, changes=args.changes))
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.text(result, changes=args.changes))
    return _status(result, args.fail_on)


def _status(result: Replay, fail_on: str | None) -> int:
    counts = result.tally.directions
    if fail_on is None:
        return 0
    if not result.tally.rows:
        # A gate that saw nothing has not passed: an empty log, a wrong file, a trail without decisions.
        sys.stderr.write("replay: nothing could be compared: the logs hold no recorded decision that can be replayed\n")
        return 1
    flipped = counts["newly-allowed"] + (counts["newly-denied"] if fail_on == "any" else 0)
    return 1 if flipped or result.intake.lacking["unreadable"] else 0

"""`cordon impact`: what a change of policies does: scenarios that turn, past decisions that flip, tests that notice."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cordon.terminal import now_and_then, one_line, print_json, progress
from executor.errors import InvalidInputError
from executor.paths import state_dir
from harness.jobs import default_jobs

if TYPE_CHECKING:
    from harness.conform.corpus import Corpus
    from harness.conform.what_if import Changed
    from harness.impact.hunks import Hunk
    from harness.replay.run import Replay

HELP: Final = "tell what a change of policies does: scenarios that turn red, past decisions that flip, missing tests"
POLICIES: Final = Path("policies")
SCENARIOS: Final = Path("scenarios")
DRILLS: Final = "build/drills/state/*/logs/svf_audit"
"""What the last drills have decided."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("--since", default="git:HEAD", metavar="DIR|git:REV", help="the policies before the change (git:HEAD)")
    add("--policies", type=Path, default=POLICIES, metavar="DIR", help="the policies with it (policies/)")
    add(
        "--log",
        action="append",
        default=[],
        metavar="LOG",
        help="recorded decisions (the state folder's trail and the last drills', those that there are)",
    )
    add("--scenarios", type=Path, action="append", metavar="PATH", help="scenario files or folders (scenarios/)")
    add("--no-scenarios", action="store_true", help="tests and past decisions only")
    add("--format", choices=("text", "markdown", "json"), default="text", help="markdown fits a pull-request comment")
    add("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
Scenarios run on the simulator: once by the policies as they were, and again those with a decision that comes out
otherwise. Nothing real is started. A piece of the change that no test would miss is named with the test file where one
belongs.

Exit 0: no test and no scenario turns red, nothing is newly allowed, some test notices each piece; 1: not so;
2: wrong use.

examples:
  cordon impact
  cordon impact --since git:origin/main --format markdown
  cordon impact --scenarios scenarios/governance --json"""


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when somebody should look."""
    from executor.policy import find_opa  # noqa: PLC0415 - as above
    from harness.conform import corpus  # noqa: PLC0415 - libvirt, not needed for --help
    from harness.impact import hunks, notice, report  # noqa: PLC0415 - as above
    from harness.policydir import OpaTool, materialize  # noqa: PLC0415 - as above

    if not args.policies.is_dir():
        raise InvalidInputError(f"{args.policies}: not a directory; name the changed policies with --policies DIR")
    wanted = None if args.no_scenarios else corpus.load(args.scenarios or [SCENARIOS])
    with tempfile.TemporaryDirectory(prefix="cordon-impact-") as scratch, progress("impact") as step:
        root = Path(scratch)
        base = materialize(args.since, root / "base")
        found = hunks.hunks(base, args.policies)
        if not found:
            return _nothing(args)
        tests = notice.notice(
            found, base, args.policies, OpaTool(find_opa()), root / "tests", jobs=default_jobs(), tell=step
        )
        decisions = _decisions(args, base, step)
        scenarios = _scenarios(args, base, found, wanted, root / "state", step) if wanted else None
    impact = report.Impact(args.since, found, tests, scenarios, decisions)
    if args.format == "json":
        print_json(report.as_json(impact))
    elif args.format == "markdown":
        sys.stdout.write(report.markdown(impact))
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.text(impact))
    return 0 if impact.harmless else 1


def _nothing(args: argparse.Namespace) -> int:
    """Say that there is no change."""
    from harness.impact import notice, report  # noqa: PLC0415 - see `run`

    if args.format == "json":
        print_json(report.as_json(report.Impact(args.since, (), notice.Noticed((), (), ()))))
    else:
        sys.stdout.write(f"{args.policies} decides as {one_line(args.since)} does: rules and data are the same\n")
    return 0


def _decisions(args: argparse.Namespace, base: Path, step: Callable[[str], None]) -> Replay | None:
    """What flips of what is on record; None where nothing is."""
    from harness.replay.run import replay  # noqa: PLC0415 - see `run`

    logs = args.log or [str(path) for path in recorded()]
    if not logs:
        return None
    step(f"past decisions: {', '.join(logs)}")
    return replay(logs, args.policies, baseline=base, jobs=default_jobs())


def recorded() -> list[Path]:
    """The trails that this host and the last drills in this folder have left, with something in them."""
    trails = [state_dir() / "logs/svf_audit", *sorted(Path().glob(DRILLS))]
    return [trail for trail in trails if trail.is_dir() and any(trail.glob("*.jsonl*"))]


def _scenarios(
    args: argparse.Namespace,
    base: Path,
    found: Sequence[Hunk],
    corpus: Corpus,
    state: Path,
    step: Callable[[str], None],
) -> tuple[Changed, ...]:
    """Every scenario by the policies as they were, and those that the change can touch by the changed ones."""
    from cordon.commands._conform import opened  # noqa: PLC0415 - see `run`
    from harness.conform import what_if  # noqa: PLC0415 - see `run`
    from harness.impact.affected import touched  # noqa: PLC0415 - see `run`

    with opened("sim", base, step, state) as executor:
        before = what_if.by(corpus, executor, now_and_then(step))
    again = touched(corpus, before, found, state / "logs/svf_audit", args.policies)
    step(f"{sum(len(group.scenarios) for group in again.groups)} of {len(before)} scenarios are touched")
    after = dict(before)
    if again.groups:
        with opened("sim", args.policies, step) as executor:
            after |= what_if.by(again, executor, now_and_then(step))
    return tuple(what_if.changes(corpus, before, after))

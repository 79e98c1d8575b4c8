"""`cordon redteam`: look for an input that crashes, hangs, bloats or escapes a target, for as long as it is given."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cordon.terminal import one_line, print_json
from executor.clock import SystemClock
from executor.errors import InvalidInputError
from executor.paths import state_dir

if TYPE_CHECKING:
    from harness.redteam.campaign import Campaign

HELP: Final = "attack parsers, policy, leases, channel and guest with generated input; save what gets through"

_EPILOG: Final = """\
examples:
  cordon redteam --budget 60s
  cordon redteam --target yaml --target policy --budget 10m --seed 7
  cordon redteam --target guest --budget 5m      real machines; left out unless named

What is found is made small and saved as a scenario that stays red until it is mended. A run goes on where the last one
with the same seed stopped; Ctrl-C loses nothing. docs/guides/red-team.md says how to add a target.
exit status: 0 nothing got through, 1 something did, 2 wrong use, 130 interrupted.
"""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--target", action="append", default=[], metavar="NAME", help="what to attack; default all but guest"
    )
    parser.add_argument(
        "--budget", default="60s", metavar="TIME", help="how long, for example 90s, 10m, 2h; default 60s"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides every attack; default 1")
    parser.add_argument(
        "--journal", type=Path, default=None, help="where to go on from (default: in your state folder)"
    )
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FOLDER", help="for finds; default scenarios/regression"
    )
    parser.add_argument("--engine", choices=["auto", "kvm", "tcg"], default="auto", help="for the target guest")
    parser.add_argument("--list", action="store_true", help="list the targets and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Attack until the budget is spent."""
    from harness.redteam import registry  # noqa: PLC0415 - Hypothesis, which `--help` does not need
    from harness.redteam.campaign import REGRESSION, Campaign, save  # noqa: PLC0415 - as above
    from harness.redteam.rounds import interruptible  # noqa: PLC0415 - as above

    if args.list:
        for target in registry.TARGETS.values():
            sys.stdout.write(f"{target.name:<10} {target.what}\n")
        sys.stdout.write(f"{registry.GUEST:<10} a real machine and its agent\n")
        return 0
    seconds = _seconds(args.budget)
    with ExitStack() as resources:
        machine = _machines(args.engine, resources) if registry.GUEST in args.target else None
        targets = registry.chosen(args.target, machine)
        journal = args.journal or state_dir() / "redteam" / "journal.json"
        campaign = Campaign(targets, args.seed, SystemClock(), journal, say=_say)
        whole = interruptible(lambda stopped: campaign.run(seconds=seconds, stopped=stopped))
    saved = save(campaign.finds, args.out or REGRESSION)
    if args.json:
        print_json(_document(campaign, saved))
    else:
        _tell(campaign, saved)
    return 130 if not whole else 1 if campaign.finds else 0


def _machines(engine: Any, resources: ExitStack) -> Any:
    """Hands out machines of an executor of its own."""
    from tempfile import mkdtemp  # noqa: PLC0415 - only for the guest

    from executor.policy.find import default_policies_dir  # noqa: PLC0415 - only for the guest
    from executor.service import open_executor  # noqa: PLC0415 - libvirt, which the other targets do not need
    from harness.redteam.machines import own_machine  # noqa: PLC0415 - as above

    state = Path(mkdtemp(prefix="cordon-redteam-"))
    executor = open_executor(engine, state=state, policies=default_policies_dir(), progress=_say, drill=True)
    resources.callback(executor.close)
    return lambda: own_machine(executor)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6})([smh]?)", text)
    if not match or not int(match[1]):
        raise InvalidInputError(f"--budget {text}: a number with s, m or h is wanted, for example 90s")
    return float(int(match[1]) * _UNITS[match[2] or "s"])


def _say(text: str) -> None:
    sys.stderr.write(f"cordon: {one_line(text)}\n")


def _tell(campaign: Campaign, saved: list[Path]) -> None:
    for name, score in campaign.scores.items():
        state = f"{score.finds[0].kind}: {one_line(score.finds[0].why)}" if score.finds else "held"
        sys.stdout.write(f"{name:<10} {score.examples:>8} attacks in {score.rounds:>4} rounds  {state}\n")
    for path in saved:
        sys.stdout.write(f"saved {path}; `pytest {path}` replays it\n")


def _document(campaign: Campaign, saved: list[Path]) -> dict[str, Any]:
    return {
        "seed": campaign.seed,
        "targets": {
            name: {
                "rounds": score.rounds,
                "attacks": score.examples,
                "finds": [{"kind": find.kind, "why": find.why} for find in score.finds],
            }
            for name, score in campaign.scores.items()
        },
        "saved": [str(path) for path in saved],
    }

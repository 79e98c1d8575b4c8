"""`cordon drills`: every scenario on real VMs, the report, the summary; what `tox -e drills` runs."""

from __future__ import annotations

import argparse
from typing import Final

from harness import drills

HELP: Final = "run the scenarios on real VMs, make the report, look at it in a browser"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pytest_arguments", nargs=argparse.REMAINDER, help="handed on to pytest as they are; write -- before options"
    )
    parser.epilog = """\
examples:
  cordon drills
  cordon drills -- -m smoke -n 2
  cordon drills -- scenarios/hello_staging.yaml --engine tcg"""


def run(args: argparse.Namespace) -> int:
    """Run them."""
    extra = [argument for argument in args.pytest_arguments if argument != "--"]
    return 1 if drills.main(extra) else 0

"""`cordon report`: the report of the last drills once more, as one HTML file."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from cordon.terminal import print_json
from harness import report

HELP: Final = "make the report of the last drills, one self-contained HTML file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    report.configure(parser)
    parser.add_argument("--json", action="store_true", help="say where it is as JSON")
    parser.epilog = """\
examples:
  cordon report
  cordon report --results downloaded/allure-results --output /tmp/report"""


def run(args: argparse.Namespace) -> int:
    """Make it and say where it is."""
    index = report.generate(args.results, args.output, history=args.history).absolute()
    if args.json:
        print_json({"report": str(index), "bytes": index.stat().st_size})
    else:
        sys.stdout.write(f"{index.as_uri()}\n")
    return 0

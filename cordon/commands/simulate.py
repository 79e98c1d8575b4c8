"""`cordon simulate`: a load in virtual time: how long tasks wait, what is refused, how much is needed."""

from __future__ import annotations

import argparse
from typing import Final

from cordon.commands import _capacity, _conform

HELP: Final = "simulate a load: waits, refusals, pool misses; sweep sizes for a recommendation"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    _capacity.configure(parser)
    _conform.configure(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = """\
The queue, the budgets, the pool's plan and the policy's rules are the executor's own; only time is simulated. The same
file and seed give the same figures. `cordon schema load` prints what a file may hold; docs/guides/capacity.md explains.

Exit 0: every target of the file holds (a sweep: some size meets them); 1: not so; 2: wrong use.

examples:
  cordon simulate docs/guides/capacity.yaml
  cordon simulate docs/guides/capacity.yaml --workers 3 --seed 2 --json
  cordon simulate sweep docs/guides/capacity.yaml --pool 1..8
  cordon simulate --conform scenarios/plan_a_lease_lifecycle --engine tcg --generated 50
  cordon simulate --what-if git:HEAD~1 --format markdown"""


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when a target is missed, or engines differ, or policies change a scenario."""
    if _conform.asked(args):
        return _conform.run(args)
    return _capacity.run(args)

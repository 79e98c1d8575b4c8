"""`cordon mutate`: change policies one thing at a time and list the changes no test notices."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cordon.terminal import now_and_then, one_line, print_json, progress, safe, table
from executor.errors import InvalidInputError
from executor.policy import default_policies_dir, find_opa
from harness.jobs import default_jobs
from harness.mutate.allowlist import FILE_NAME, read_allowlist
from harness.mutate.campaign import Campaign, Choice, choose, run_campaign
from harness.mutate.runner import Verdict
from harness.mutate.tree import OPERATORS, all_mutants, read_tree
from harness.policydir import OpaTool

HELP: Final = "mutate the policies and list the changes that no test notices"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        "--policies", type=Path, default=default_policies_dir(), metavar="DIR", help="policy directory (the checkout's)"
    )
    add("--only", action="append", default=[], metavar="PACKAGE|FILE", help="only this package, file or directory")
    add("--operator", action="append", default=[], metavar="NAME", help="only mutants of this operator")
    add("--since", default="", metavar="REV", help="only on lines that changed since this git revision")
    add("--id", action="append", default=[], metavar="ID", help="only this mutant")
    add("--jobs", type=int, default=default_jobs(), metavar="N", help="tests side by side (one for each core)")
    add("--list", action="store_true", help="list the mutants and run nothing")
    add("--json", action="store_true", help="everything as JSON")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"""\
A survivor is a change to a rule or to data after which every test still passes: a test is missing, or the changed text
decides nothing. Exit 0: none without a reason in DIR/{FILE_NAME} (`{{mutant id: reason}}`); 1: some, or a reason
that is not needed any more; 2: wrong use.

operators: {", ".join(OPERATORS)}

examples:
  cordon mutate
  cordon mutate --only cordon.paths --operator drop-line
  cordon mutate --since origin/main --json"""


def run(args: argparse.Namespace) -> int:
    """Run it; 1 when a survivor is unexplained or an explanation is stale."""
    if args.jobs < 1:
        raise InvalidInputError("--jobs: at least 1")
    if not args.policies.is_dir():
        raise InvalidInputError(f"{args.policies}: not a directory; name the policies with --policies DIR")
    opa = OpaTool(find_opa())
    choice = Choice(tuple(args.only), tuple(args.operator), args.since, tuple(args.id))
    if args.list:
        return _list(args, opa, choice)
    with progress("mutate") as step:
        say = now_and_then(step)
        survivors = 0

        def tell(number: int, total: int, verdicts: Sequence[Verdict]) -> None:
            nonlocal survivors
            survivors += sum(verdict.status == "survived" for verdict in verdicts)
            say(f"{number} of {total} tried, {survivors} survived")

        campaign = run_campaign(args.policies, opa, choice, jobs=args.jobs, progress=tell)
    if args.json:
        print_json(campaign.as_json())
    else:
        _report(campaign)
    return 0 if campaign.good else 1


def _list(args: argparse.Namespace, opa: OpaTool, choice: Choice) -> int:
    tree = read_tree(args.policies, opa, jobs=args.jobs)
    everything, _ = all_mutants(tree, frozenset(read_allowlist(args.policies / FILE_NAME).skipped))
    chosen = choose(tree, everything, choice)
    if args.json:
        print_json([mutant.as_json() for mutant in chosen])
    else:
        for mutant in chosen:
            sys.stdout.write(f"{one_line(mutant.place)}: {one_line(mutant.id)}: {one_line(mutant.change.what)}\n")
    return 0


def _report(campaign: Campaign) -> None:
    for verdict in campaign.unexplained:
        mutant = verdict.mutant
        what = f"{mutant.place}: survived: {mutant.change.what}"
        sys.stdout.write(f"{one_line(what)}\n  id: {one_line(mutant.id)}\n")
        diff = safe(mutant.source.diff(mutant.change.edits))
        sys.stdout.write("".join(f"  {line}\n" for line in diff.splitlines()) + "\n")
    statuses = ("killed", "timeout", "survived", "invalid")
    table(
        ("operator", *statuses),
        [(name, *(counts.get(status, 0) for status in statuses)) for name, counts in campaign.by_operator().items()],
    )
    counts = campaign.counts()
    explained = counts["survived"] - counts["unexplained"]
    sys.stdout.write(
        f"\n{len(campaign.verdicts)} of {campaign.total} mutants in {campaign.seconds:.1f} s: "
        f"{counts['killed']} killed, "
        f"{counts['timeout']} ran out of time, {counts['invalid']} do not compile, {counts['survived']} survived"
        f"{f' ({explained} explained)' if explained else ''}\n"
    )
    for path, reason in campaign.allowlist.skipped.items():
        sys.stdout.write(f"not mutated: {one_line(path)}: {one_line(reason)}\n")
    for entry in campaign.stale:
        sys.stdout.write(f"stale: {one_line(entry)} is explained in {FILE_NAME} but does not survive, or is gone\n")
    for place in campaign.unplaced:
        sys.stdout.write(f"not tried: {one_line(place)}: the text there could not be changed safely\n")
    if campaign.unexplained:
        sys.stdout.write(
            f"{len(campaign.unexplained)} survivors: write the test that notices, or explain the id in {FILE_NAME}\n"
        )

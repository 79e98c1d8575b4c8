"""`cordon kill`: end one task, all tasks of a requester, or all there are; the service stays open."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from cordon.commands._bridge import add_connection, own_pair, server_key
from cordon.terminal import one_line, print_json
from executor.control.client import ControlClient
from executor.errors import MisuseError

HELP: Final = "end one task, a requester's tasks, or all: running ones within a second, waiting ones are turned away"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_connection(parser, control=True)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--task", metavar="ID", help="the id `cordon submit` was given, or the intent's own")
    target.add_argument("--requester", metavar="NAME", help="everything this requester has running or waiting")
    target.add_argument("--all", action="store_true", help="everything that runs or waits; what comes later is taken")
    parser.add_argument("--why", default="", help="recorded with each task that is killed")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.epilog = (
        "examples:\n  cordon kill --task q-0123456789abcdef --why 'writes too much'\n  cordon kill --requester cbo\n\n"
        "To stop everything and take nothing new: `cordon scram`. Your key: --key, $CORDON_KEY, else\n"
        "keys/curve/operator.key in the state folder."
    )


def run(args: argparse.Namespace) -> int:
    """Give the order; 1 when it reached nobody."""
    scope = "all" if args.all else "requester" if args.task is None else "task"
    name = args.requester if args.task is None else args.task
    if not args.all and not name:  # an unset variable in a script must not end everything
        raise MisuseError(f"--{scope}: a name is wanted, this one is empty; `--all` ends everything")
    with ControlClient(
        args.connect, server_key=server_key(args, control=True), pair=own_pair(args, "operator")
    ) as control:
        done = control.kill(scope, name or "", args.why)
    if args.json:
        print_json(done)
    else:
        sys.stdout.write(
            f"{len(done['killed'])} running tasks killed, {done['flushed']} waiting tasks turned away, "
            f"ordered in {done['took_us'] / 1000:.0f} ms\n"
        )
        if not done["killed"] and not done["flushed"]:
            what = "nothing" if args.all else f"nothing of {scope} {one_line(name)[:80]}"
            sys.stderr.write(f"cordon: {what} runs or waits here: it has ended, or the name is another\n")
    return 0 if done["killed"] or done["flushed"] else 1

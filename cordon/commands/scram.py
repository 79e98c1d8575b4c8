"""`cordon scram`: stop everything, now."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from cordon.commands._bridge import add_connection, own_pair, server_key
from cordon.terminal import one_line, print_json
from executor.control.client import ControlClient

HELP: Final = "stop everything now: pause all VMs, flush the queue, refuse connections"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_connection(parser, control=True)
    parser.add_argument("--why", default="", help="recorded, and shown to whoever resumes")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.epilog = (
        "examples:\n  cordon scram --why 'agent writes where it should not'\n\n"
        "The executor stays in safe mode, over restarts too, until somebody runs `cordon resume` with a registered\n"
        "person's key. Your key: --key, $CORDON_KEY, else keys/curve/operator.key in the state folder."
    )


def run(args: argparse.Namespace) -> int:
    """Stop everything; 1 when a part of it failed."""
    with ControlClient(
        args.connect, server_key=server_key(args, control=True), pair=own_pair(args, "operator")
    ) as control:
        done = control.scram(args.why)
    if args.json:
        print_json(done)
    else:
        paused, flushed = len(done["paused"]), done["flushed"]
        sys.stdout.write(
            f"stopped in {done['took_us'] / 1000:.0f} ms: {paused} VMs paused, {flushed} waiting tasks turned away\n"
        )
        for fault in done["faults"]:
            sys.stderr.write(f"cordon: {one_line(str(fault))}\n")
    return 1 if done["faults"] else 0

"""`cordon resume`: go on after a SCRAM, on a registered person's signature."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from cordon.commands._bridge import add_connection, own_pair, server_key
from cordon.terminal import one_line, print_json
from executor.clock import SystemClock
from executor.control.client import ControlClient
from executor.keys import KeyStore, SeedSigner, Signer
from executor.paths import state_dir

HELP: Final = "go on after a SCRAM, signed by a registered person's key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_connection(parser, control=True)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--sign-as", metavar="HOLDER", help="whose key in this state folder signs")
    who.add_argument("--sign-with", type=Path, metavar="FILE", help="a private Ed25519 key file that signs")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.epilog = (
        "examples:\n  cordon resume --sign-as ada\n  cordon resume --sign-with /media/token/ada.key\n\n"
        "The key has to be registered as a person's: `cordon keys register human ada --public HEX`."
    )


def run(args: argparse.Namespace) -> int:
    """Sign and go on."""
    signer: Signer = (
        SeedSigner.from_file(args.sign_with)
        if args.sign_with
        else KeyStore(state_dir(), SystemClock()).signer_for(args.sign_as)
    )
    with ControlClient(
        args.connect, server_key=server_key(args, control=True), pair=own_pair(args, "operator")
    ) as control:
        done = control.resume(signer)
    if args.json:
        print_json(done)
    else:
        sys.stdout.write(f"resumed by {one_line(done['by'])}; {len(done['running'])} VMs go on\n")
    return 0

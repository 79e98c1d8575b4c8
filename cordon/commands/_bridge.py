"""What the commands that talk to a running service share: where it is, its public key, one's own key."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from executor.bridge.curve import FOLDER, CurvePair, public_from_file
from executor.paths import state_dir

BRIDGE: Final = "tcp://127.0.0.1:7070"
CONTROL: Final = "tcp://127.0.0.1:7071"


def add_connection(parser: argparse.ArgumentParser, *, control: bool) -> None:
    """Add `--connect`, `--server-key` and `--key`."""
    what, variable = ("control", "CORDON_CONTROL") if control else ("bridge", "CORDON_BRIDGE")
    default = os.environ.get(variable) or (CONTROL if control else BRIDGE)
    parser.add_argument(
        "--connect", default=default, metavar="ENDPOINT", help=f"the {what} socket; ${variable}, default {default}"
    )
    parser.add_argument(
        "--server-key",
        type=Path,
        metavar="FILE",
        help=f"its public key; default keys/curve/{what}.pub of the state",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="your secret key; default $CORDON_KEY")


def server_key(args: argparse.Namespace, *, control: bool) -> bytes:
    """The service's public key."""
    return public_from_file(args.server_key or state_dir() / FOLDER / f"{'control' if control else 'bridge'}.pub")


def own_pair(args: argparse.Namespace, default: str) -> CurvePair:
    """One's own pair; `default` names the key in the state folder that is tried when none is given."""
    given = args.key or (Path(os.environ["CORDON_KEY"]) if os.environ.get("CORDON_KEY") else None)
    return CurvePair.from_file(given or state_dir() / FOLDER / f"{default}.key")

"""Pack and sign policies: `python -m executor.policy pack policies bundle.tar.gz --sign-with key.pem`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from executor.errors import CordonError
from executor.policy.bundle import sign_bundle, write_bundle
from executor.policy.find import find_opa


def main(arguments: list[str]) -> int:
    """`pack DIR TARGET [--sign-with KEY]`: 0 packed, 1 it could not be."""
    parser = argparse.ArgumentParser(prog="python -m executor.policy", description="Pack policies for an executor.")
    commands = parser.add_subparsers(required=True)
    pack = commands.add_parser("pack", help="a directory of policies into one file")
    pack.add_argument("source", type=Path, metavar="DIR")
    pack.add_argument("target", type=Path, metavar="TARGET")
    pack.add_argument("--sign-with", type=Path, metavar="KEY", help="PEM file of a private key")
    pack.add_argument("--alg", default="ES256", help="as OPA names it (default: ES256)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.sign_with is None:
            bundle = write_bundle(chosen.source, chosen.target)
        else:
            bundle = sign_bundle(find_opa(), chosen.source, chosen.target, key=chosen.sign_with, alg=chosen.alg)
    except CordonError as error:
        sys.stderr.write(f"cordon: error: {error}\n")
        return 1
    sys.stdout.write(f"{chosen.target}: {bundle.digest}{' signed' if bundle.signed else ''}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

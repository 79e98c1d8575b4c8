"""The executor's side of the two-namespaces test, run inside its namespace: serve until standard input ends."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bridge.stand import Stand


def main(state: str, address: str) -> None:
    """Serve on `address`, say where, wait."""
    stand = Stand(Path(state), listen=f"tcp://{address}:*")
    stand.open()
    try:
        sys.stdout.write(f"{stand.service.bridge.endpoint} {stand.service.control.endpoint}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        stand.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

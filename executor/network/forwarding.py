"""For drills only: carries questions to a resolver beyond the uplink, which the answerer never does.

Control `dns_allowlist`: taken away, labels of a name are a way out, and the drill's resolver shows that they arrive.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final

from executor.network.dns import MAX_BYTES
from executor.network.namespace import Namespace

WAIT_S: Final = 1.0


def forward_to(resolver: str, inside: Namespace) -> Callable[[bytes], bytes | None]:
    """A function that asks `resolver` (an IPv4 address) and hands its answer back, or None."""

    def ask(packet: bytes) -> bytes | None:
        with inside.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, contextlib.suppress(OSError):
            out.settimeout(WAIT_S)
            out.connect((resolver, 53))
            out.send(packet)
            return out.recv(MAX_BYTES)
        return None

    return ask

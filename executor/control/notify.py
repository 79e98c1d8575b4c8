"""Telling systemd how the service is (sd_notify(3)): one datagram to the socket named in the environment."""

from __future__ import annotations

import os
import socket
from typing import Final

_VARIABLE: Final = "NOTIFY_SOCKET"
SEND_S: Final = 0.5
"""Seconds a reader that does not read may hold us up: its queue takes ten messages, the next would wait for ever."""


def notify(message: str) -> bool:
    """Send `message` (`READY=1`, `STATUS=...`); False where nobody asked to be told. Never raises."""
    address = os.environ.get(_VARIABLE, "")
    if address[:1] not in {"/", "@"}:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(SEND_S)
            channel.connect(address.replace("@", "\0", 1))
            channel.sendall(message.encode())
    except OSError:
        return False
    return True


def watchdog_s() -> float:
    """Seconds within which systemd wants to hear `WATCHDOG=1`; 0 when it does not watch this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return 0.0

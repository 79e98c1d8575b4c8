"""A machine played by a test: it holds the tap as QEMU would, and puts any frame on it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections.abc import Callable

from executor.network import Card, Network
from executor.network.plan import GATEWAY, GATEWAY_MAC
from tests.network import frames

_TUNSETIFF = 0x400454CA
_TAP_NO_PI = 0x1002
ANSWER_S = 5.0


class Machine:
    """A card of its own on `network`, opened in the void and plugged, as executor/domain/vm.py does."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.card: Card = network.issue()
        self.tap = network.in_void(self._open)
        network.plug(self.card)
        self.mac, self.address = self.card.mac, str(self.card.address)

    def _open(self) -> int:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", self.card.tap.encode(), _TAP_NO_PI))
        return tap

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        os.write(self.tap, frame)

    def ip(self, packet: bytes, *, to: str = GATEWAY_MAC, sender: str = "") -> None:
        """Send an IPv4 packet to the gateway, in the machine's own name unless told otherwise."""
        self.send(frames.ether(to, sender or self.mac, 0x0800, packet))

    def hears(self, wanted: Callable[[bytes], bool]) -> bool:
        """Whether a frame that is `wanted` arrives before the answer to an honest question that is asked now does."""
        marker = os.urandom(2)
        question = frames.query("marker.cordon.test", ident=int.from_bytes(marker, "big"))
        self.ip(frames.udp(self.address, str(GATEWAY), (5000, 53), question))
        deadline = time.monotonic() + ANSWER_S
        heard = False
        while select.select([self.tap], [], [], max(0, deadline - time.monotonic()))[0]:
            frame = os.read(self.tap, 4096)
            heard = heard or wanted(frame)
            if frame[23:24] == b"\x11" and frame[42:44] == marker:
                return heard
        raise AssertionError("the gateway does not answer questions for names")

    def waits_for(self, wanted: Callable[[bytes], bool]) -> bool:
        """Whether a frame that is `wanted` arrives within a few seconds: for what has to come."""
        deadline = time.monotonic() + ANSWER_S
        while select.select([self.tap], [], [], max(0, deadline - time.monotonic()))[0]:
            if wanted(os.read(self.tap, 4096)):
                return True
        return False

    def close(self) -> None:
        """Let go of the tap, as a QEMU that dies does."""
        os.close(self.tap)
        self.network.release(self.card)

"""The packet sentinel: a packet socket on the machines' network, read before and after every run. Rim.

It sees what the packet filter let through, not what the filter says of itself. What was granted it takes from the
decisions of the runs. Packets it lost count as an alarm of their own.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import Final

from executor.errors import UnknownHostError
from executor.network import Allowed, Network
from executor.network.plan import reach_of
from executor.network.rules import NAT, UPLINK, VOID
from executor.outcome import Outcome
from executor.policy.decision import GrantedEndpoint
from harness.watch.packets import IPV4, Way, complaint, parse

ROOM: Final = 32 * 1024 * 1024
"""Bytes of packets kept between two looks."""
SHOWN: Final = 8
"""Complaints that are told; of the others only how many."""
STRAY: Final = bytes(12) + IPV4.to_bytes(2, "big") + b"\x45" + bytes(45)
"""A frame that nothing grants: an empty packet from nowhere to nowhere."""
_EVERYTHING: Final = 0x0003
_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_STATISTICS: Final = 6
_FRAME: Final = 65536
_GATEWAYS: Final = frozenset({NAT, VOID, "lo"})
"""The gateway's own devices: what it sends is seen again at the card it goes to."""


class PacketWatch:
    """Reads every packet of one executor's network; `close` stops, a second call is silent."""

    def __init__(
        self, network: Network, hosts: Mapping[str, tuple[IPv4Address, ...]], ours: Iterable[str] = ()
    ) -> None:
        """`hosts`: the addresses the executor was told; `ours`: ports that are no machine's. Raises `OSError`."""
        self._network = network
        self._hosts = hosts
        self._ours = frozenset(ours)
        self._socket = network.switch.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, ROOM)

    def skip(self) -> None:
        """Forget what came until now."""
        for _ in self._packets():
            pass
        self._lost()

    def complaints(self, outcomes: Iterable[Outcome]) -> list[str]:
        """What is wrong with the packets since the last look, by what the decisions of `outcomes` grant."""
        granted = frozenset(allowed for outcome in outcomes for allowed in self._granted(outcome))
        seen = dict.fromkeys(text for frame, way in self._packets() if (text := complaint(parse(frame), way, granted)))
        found = list(seen)
        if len(found) > SHOWN:
            found = [*found[:SHOWN], f"and {len(found) - SHOWN} kinds of packets more"]
        if lost := self._lost():
            found.append(f"{lost} packets were lost to the packet sentinel")
        return found

    def _granted(self, outcome: Outcome) -> frozenset[Allowed]:
        if outcome.verdict != "allow":
            return frozenset()
        # A decision that grants no endpoint need not name any.
        endpoints = outcome.decision.get("obligations", {}).get("scope", {}).get("endpoints", ())
        try:
            return reach_of([GrantedEndpoint(**endpoint) for endpoint in endpoints], self._hosts).allowed
        except UnknownHostError:
            return frozenset()

    def _packets(self) -> Iterator[tuple[bytes, Way]]:
        """Those that left on the uplink or were given to a machine."""
        while select.select([self._socket], [], [], 0)[0]:
            frame, (device, _, way, *_) = self._socket.recvfrom(_FRAME)
            if way != socket.PACKET_OUTGOING or device in self._ours:
                continue
            if device == UPLINK:
                yield frame, "left"
            elif device not in _GATEWAYS:
                yield frame, "heard"  # a device without a name is a card that is gone with its machine

    def plant(self) -> None:
        """Put a packet on the uplink past the filter: sabotage's, to see that it is noticed."""
        with self._network.switch.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.bind((UPLINK, 0))
            out.send(STRAY)

    def _lost(self) -> int:
        """How many packets found no room since the last look."""
        _, lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return int(lost)

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()

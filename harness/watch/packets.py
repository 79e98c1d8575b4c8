"""Packets on the machines' network, judged by what was granted and by nothing else. Pure.

The packet filter is a control; this is the witness beside it. It looks at the two places where a packet does harm: what
leaves on the uplink, and what a machine is given to hear.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Literal

from executor.network import Allowed
from executor.network.plan import GATEWAY, GATEWAY_MAC

IPV4: Final = 0x0800
ARP: Final = 0x0806
ICMP: Final = 1
UNREACHABLE: Final = 3
"""ICMP destination unreachable: path MTU, closed ports, refusals."""
NAMES: Final = 53
_PROTOCOLS: Final = {6: "tcp", 17: "udp"}
Way = Literal["left", "heard"]


@dataclass(frozen=True, slots=True)
class Packet:
    """What a frame says of itself; ports and ICMP type are -1 where there are none."""

    sender_mac: str
    kind: int
    source: IPv4Address | None = None
    target: IPv4Address | None = None
    protocol: int = -1
    source_port: int = -1
    target_port: int = -1
    icmp: int = -1

    def __str__(self) -> str:
        """One line for the person."""
        if self.source is None:
            return f"EtherType {self.kind:#06x} from {self.sender_mac}"
        name = _PROTOCOLS.get(self.protocol, f"protocol {self.protocol}")
        if self.source_port >= 0:
            return f"{name} {self.source}:{self.source_port} -> {self.target}:{self.target_port}"
        return f"{name} {self.source} -> {self.target}"


def parse(frame: bytes) -> Packet:
    """What `frame` is. Never raises: what cannot be read is a packet without addresses, which nothing permits."""
    sender = frame[6:12].hex(":")
    kind = int.from_bytes(frame[12:14], "big")
    head = (frame[14] & 15) * 4 if len(frame) > 14 else 0
    if kind != IPV4 or head < 20 or len(frame) < 14 + head:
        return Packet(sender, kind)
    source, target = IPv4Address(frame[26:30]), IPv4Address(frame[30:34])
    protocol, body = frame[23], frame[14 + head :]
    if frame[20] & 0x1F or frame[21]:
        return Packet(sender, kind, source, target, protocol)  # a later fragment: no ports
    if protocol in _PROTOCOLS and len(body) >= 4:
        ports = struct.unpack_from(">HH", body)
        return Packet(sender, kind, source, target, protocol, *ports)
    icmp = body[0] if protocol == ICMP and body else -1
    return Packet(sender, kind, source, target, protocol, icmp=icmp)


def complaint(packet: Packet, way: Way, granted: frozenset[Allowed]) -> str:
    """What is wrong with a packet that took this way; empty when nothing is."""
    if packet.kind == ARP:
        wrong = way == "heard" and packet.sender_mac != GATEWAY_MAC
    elif packet.source is None or packet.target is None:
        wrong = True
    elif way == "left":
        wrong = not _is(granted, packet.target, packet.protocol, packet.target_port)
    elif packet.sender_mac != GATEWAY_MAC:
        wrong = True
    elif packet.source == GATEWAY:
        wrong = packet.icmp != UNREACHABLE and packet.source_port != NAMES
    else:
        wrong = packet.icmp != UNREACHABLE and not _is(granted, packet.source, packet.protocol, packet.source_port)
    place = "left for the uplink" if way == "left" else "reached a machine"
    return f"a packet beyond the grant {place}: {packet}" if wrong else ""


def _is(granted: frozenset[Allowed], address: IPv4Address, protocol: int, port: int) -> bool:
    return protocol in _PROTOCOLS and Allowed(address, _PROTOCOLS[protocol], port) in granted

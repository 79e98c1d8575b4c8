"""A machine's card, its bridge and the gateway: what becomes of each frame it sends. Pure, frames in and frames out.

The allowlist is `executor.network.plan`'s own, names are answered by `executor.network.dns`; the rules restate those of
`executor/network/rules.py` in its order, one `if` for each control a drill takes away. Conformance compares the two.
Whoever answers beyond the gateway is told from outside (`Beyond`): nothing here reaches a real network.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Final, Protocol

from executor.network import dns
from executor.network.answerer import PORT as DNS_PORT
from executor.network.plan import FIRST, GATEWAY, GATEWAY_MAC, MACHINES, Allowed, Card, Reach
from executor.network.plane import CONTROLS, OPEN_CARD
from executor.sim.network import packets
from executor.sim.network.packets import ARP, ICMP, IPV4, IPV6, TCP, UDP, VLAN, Frame, Packet

Answerer = Callable[[bytes], bytes]
EVERYBODY: Final = b"\xff" * 6
_ROUTER: Final = bytes.fromhex(GATEWAY_MAC.replace(":", ""))


class Hosts(Protocol):
    """Machines that answer."""

    def tcp(self, address: str, port: int) -> Answerer | None:
        """What is said to the first words of a connection; None where nobody listens."""

    def udp(self, address: str, port: int, data: bytes) -> bytes | None:
        """The answer to a datagram; None where nobody listens."""


class Beyond(Protocol):
    """The world that a card may lead to."""

    @property
    def names(self) -> Mapping[str, tuple[IPv4Address, ...]]:
        """Addresses the operator lists (`network.hosts`)."""

    @property
    def addresses(self) -> Collection[str]:
        """Hosts beyond the uplink."""

    @property
    def hosts(self) -> Hosts:
        """What they answer."""

    @property
    def gateway(self) -> Hosts:
        """What listens on the gateway itself, names apart."""

    @property
    def neighbour(self) -> Hosts:
        """What another machine on the bridge answers."""

    @property
    def neighbour_card(self) -> Card:
        """That machine's card."""

    @property
    def resolver(self) -> str:
        """Whom the gateway asks for names it does not know, where the control against that is gone."""


class Segment:
    """One machine's end of the bridge."""

    def __init__(self, reach: Reach, weaken: frozenset[str], beyond: Beyond | None, number: int = FIRST) -> None:
        """`reach` is what the decision granted; `weaken` as of the machine."""
        self.card: Final = Card(number)
        self.mac: Final = bytes.fromhex(self.card.mac.replace(":", ""))
        self.reach: Final = reach
        self.counts: Final[Counter[str]] = Counter()
        """Packets let through, refused, and frames dropped, as the real filter counts them."""
        self._gone = CONTROLS if OPEN_CARD in weaken else weaken & CONTROLS
        self._beyond = beyond
        self._parts: dict[tuple[str, str, int], bytes] = {}
        """Beginnings of fragmented packets."""

    def send(self, raw: bytes) -> list[bytes]:
        """Send a frame; those that come back to this machine."""
        frame = packets.frame(raw)
        if frame is None or not self._enters(frame):
            return []
        if frame.kind == VLAN:  # a priority tag: whoever receives it takes it off
            frame = Frame(frame.target, frame.source, int.from_bytes(frame.body[2:4], "big"), frame.body[4:])
        found: list[bytes] = []
        if frame.target in {_ROUTER, EVERYBODY}:
            found += self._gateway(frame)
        found += self._sideways(frame)
        return found

    def _enters(self, frame: Frame) -> bool:
        """The filter at the machine's port."""
        if "frame_filter" in self._gone:
            return True
        packet = packets.packet(frame.body) if frame.kind == IPV4 else None
        if frame.kind == ARP:
            told = packets.arp(frame.body)
            fits = (
                told is not None
                and frame.target in {_ROUTER, EVERYBODY}
                and told.target == str(GATEWAY)
                and frame.source == told.sender_mac == self.mac
                and told.sender == str(self.card.address)
            )
        else:
            fits = (
                packet is not None
                and frame.target == _ROUTER
                and packet.header == packets.PLAIN_HEADER
                and not packet.fragment
                and frame.source == self.mac
                and packet.source == str(self.card.address)
            )
        self.counts["forged"] += not fits
        return fits

    # The other machine on the bridge ----------------------------------------------------------------------------------

    def _sideways(self, frame: Frame) -> list[bytes]:  # noqa: PLR0911 - one return for each kind of frame
        beyond = self._beyond
        if beyond is None:
            return []
        mac = bytes.fromhex(beyond.neighbour_card.mac.replace(":", ""))
        if frame.target != mac and not frame.target[0] & 1:
            return []
        if "vm_isolation" not in self._gone:
            self.counts["sideways"] += 1
            return []
        own = str(beyond.neighbour_card.address)
        if frame.kind == ARP:
            told = packets.arp(frame.body)
            if told is None or told.target != own:
                return []
            return [packets.made(frame.source, mac, ARP, packets.arp_reply(mac, own, told))]
        if frame.kind == IPV6:
            return [packets.made(frame.source, mac, IPV6, packets.swapped6(frame.body))]
        packet = packets.packet(frame.body) if frame.kind == IPV4 else None
        if packet is None or not (packet.target == own or _is_group(packet.target)):
            return []
        answer = _answer(packet, own, beyond.neighbour)
        return [packets.made(frame.source, mac, IPV4, answer)] if answer else []

    # The gateway ------------------------------------------------------------------------------------------------------

    def _gateway(self, frame: Frame) -> list[bytes]:
        if frame.kind == ARP:
            told = packets.arp(frame.body)
            if told is None or told.target != str(GATEWAY):
                return []
            return [packets.made(frame.source, _ROUTER, ARP, packets.arp_reply(_ROUTER, str(GATEWAY), told))]
        packet = packets.packet(frame.body) if frame.kind == IPV4 else None
        if packet is None:
            return []
        whole = self._assembled(packet)
        if whole is None:
            return []
        if _is_group(whole.target) and whole.target != str(GATEWAY):
            local: Hosts | None = self._beyond.gateway if self._beyond and "gateway_closed" in self._gone else None
            answer = _answer(whole, str(GATEWAY), local) if local else None
        else:
            answer = self._input(whole) if whole.target == str(GATEWAY) else self._forward(whole)
        return [self._back(whole, answer)] if answer else []

    def _assembled(self, packet: Packet) -> Packet | None:
        """A packet whose parts are all there."""
        if not packet.fragment:
            return packet
        key = (packet.source, packet.target, packet.ident)
        if packet.fragment & packets.MORE:
            self._parts[key] = packet.body
            return None
        first = self._parts.pop(key, None)
        if first is None or len(first) != (packet.fragment & packets.OFFSET) * 8:
            return None
        return Packet(packet.source, packet.target, packet.proto, first + packet.body, packet.ttl, packet.header)

    def _back(self, asked: Packet, answer: bytes) -> bytes:
        """To whoever asked; the gateway has to ask first who that is, when it is not the machine it knows."""
        if asked.source == str(self.card.address):
            return packets.made(self.mac, _ROUTER, IPV4, answer)
        return packets.made(EVERYBODY, _ROUTER, ARP, packets.arp_question(_ROUTER, str(GATEWAY), asked.source))

    def _input(self, packet: Packet) -> bytes | None:
        """To the gateway itself: names, and its own doors."""
        port = packet.ports[1]
        if packet.proto in {TCP, UDP} and port == DNS_PORT:
            return _answer(packet, str(GATEWAY), _Names(self))
        if "gateway_closed" in self._gone:
            return _answer(packet, str(GATEWAY), self._beyond.gateway if self._beyond else None)
        self.counts["knocked"] += 1
        return packets.refusal(str(GATEWAY), packet, packets.PROHIBITED)

    def _forward(self, packet: Packet) -> bytes | None:
        """Through the gateway, as far as the allowlist says."""
        if packet.ttl <= 1:
            # Told before any rule of the forward chain; the gateway's own output lets errors about reach alone out.
            told = packets.expired(str(GATEWAY), packet)
            return told if "gateway_closed" in self._gone else None
        open_to_all = "egress_allowlist" in self._gone
        if not open_to_all and not self._granted(packet):
            self.counts["refused"] += 1
            return packets.refusal(str(GATEWAY), packet, packets.PROHIBITED)
        self.counts["allowed"] += 1
        if self._beyond is None or packet.target not in self._beyond.addresses:
            return None
        return _answer(packet, packet.target, self._beyond.hosts)

    def _granted(self, packet: Packet) -> bool:
        if packet.source != str(self.card.address) or packet.proto not in {TCP, UDP}:
            return False
        name = "tcp" if packet.proto == TCP else "udp"
        return Allowed(IPv4Address(packet.target), name, packet.ports[1]) in self.reach.allowed

    def named(self, question: bytes) -> bytes | None:
        """The gateway's answer to a question for a name."""
        found = dns.answer(question, self.reach.zone)
        if found is None:
            return None
        if found.rcode == dns.NXDOMAIN and "dns_allowlist" in self._gone and self._beyond is not None:
            return self._beyond.hosts.udp(self._beyond.resolver, DNS_PORT, question) or found.reply
        return found.reply

    def listener(self, target: str, port: int) -> Answerer | None:
        """Who speaks at the other end of a connection that stands."""
        if target == str(GATEWAY):
            if port == DNS_PORT:
                return _Names(self).tcp(target, port)
            return self._beyond.gateway.tcp(target, port) if self._beyond else None
        if self._beyond is None:
            return None
        if target == str(self._beyond.neighbour_card.address):
            return self._beyond.neighbour.tcp(target, port)
        return self._beyond.hosts.tcp(target, port)

    def way(self, target: str) -> bytes:
        """The hardware address a packet for `target` is sent to."""
        address = IPv4Address(target)
        if target == "255.255.255.255" or address == MACHINES.broadcast_address:
            return EVERYBODY
        if address.is_multicast:
            return b"\x01\x00\x5e" + bytes([address.packed[1] & 0x7F]) + address.packed[2:]
        if address in MACHINES and address != GATEWAY:
            return b"\x52\x54" + address.packed
        return _ROUTER


class _Names:
    """The gateway's answerer, by datagram and by connection."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def tcp(self, _address: str, _port: int) -> Answerer:
        """A question with its length in front, and so the answer."""

        def answer(data: bytes) -> bytes:
            found = self._segment.named(data[2:])
            return struct.pack(">H", len(found)) + found if found else b""

        return answer

    def udp(self, _address: str, _port: int, data: bytes) -> bytes | None:
        """A question."""
        return self._segment.named(data)


def _is_group(address: str) -> bool:
    found = IPv4Address(address)
    return found.is_multicast or found == MACHINES.broadcast_address or address == "255.255.255.255"


def _answer(packet: Packet, own: str, hosts: Hosts | None) -> bytes | None:
    """What a host says to a packet that came to it: a connection's next step, a datagram's answer, or an error."""
    source, port = packet.ports
    if packet.proto == UDP:
        data = hosts.udp(own, port, packet.body[8:]) if hosts else None
        if data is not None:
            return packets.udp(own, packet.source, port, source, data)
        return None if _is_group(packet.target) else packets.refusal(own, packet, packets.NO_PORT)
    if _is_group(packet.target):
        return None
    if packet.proto == TCP:
        opening = packet.body[13] & packets.SYN and not packet.body[13] & packets.ACK
        listens = hosts is not None and hosts.tcp(own, port) is not None
        return packets.tcp_reply(own, packet, packets.SYN | packets.ACK if opening and listens else packets.RST)
    if packet.proto == ICMP:
        return packets.echo(own, packet) if packet.body[:1] == b"\x08" else None
    return packets.refusal(own, packet, packets.NO_PROTOCOL)

"""Ethernet, ARP, IPv4, ICMP, UDP and TCP as far as a machine's frames are looked at here: read and made. Pure.

Sources: RFC 791, 792, 826; IEEE 802.3 and 802.1Q for the types. Lengths are checked; what is cut short is None.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP = 1, 6, 17
SYN, RST, ACK = 0x02, 0x04, 0x10
PLAIN_HEADER: Final = 0x45
"""IPv4 without options."""
MORE, OFFSET = 0x2000, 0x1FFF
"""Bits of the fragment field: more come, and where this one belongs (in 8 bytes)."""
NO_PROTOCOL, NO_PORT, PROHIBITED = 2, 3, 13
"""Codes of ICMP's destination unreachable."""
UNREACHABLE, EXPIRED, ECHO_REPLY = 3, 11, 0


@dataclass(frozen=True, slots=True)
class Frame:
    """What is on the wire."""

    target: bytes
    source: bytes
    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Packet:
    """IPv4."""

    source: str
    target: str
    proto: int
    body: bytes
    ttl: int = 64
    header: int = PLAIN_HEADER
    fragment: int = 0
    ident: int = 0

    @property
    def ports(self) -> tuple[int, int]:
        """Of TCP and UDP; zeros for anything else."""
        if self.proto not in {TCP, UDP} or len(self.body) < 8:
            return 0, 0
        source, target = struct.unpack_from(">HH", self.body)
        return source, target


@dataclass(frozen=True, slots=True)
class Told:
    """ARP: who says he has which address, and who is asked or told."""

    sender_mac: bytes
    sender: str
    target: str


def frame(raw: bytes) -> Frame | None:
    """Read one."""
    if len(raw) < 14:
        return None
    return Frame(raw[:6], raw[6:12], int.from_bytes(raw[12:14], "big"), raw[14:])


def made(target: bytes, source: bytes, kind: int, body: bytes) -> bytes:
    """The bytes of a frame."""
    return (target + source + kind.to_bytes(2, "big") + body).ljust(60, b"\0")


def arp(body: bytes) -> Told | None:
    """Read ARP over Ethernet for IPv4."""
    if len(body) < 28 or body[:6] != b"\0\1\x08\0\x06\x04":
        return None
    return Told(body[8:14], socket.inet_ntoa(body[14:18]), socket.inet_ntoa(body[24:28]))


def arp_reply(mac: bytes, own: str, asked: Told) -> bytes:
    """The answer to whoever asked."""
    ends = mac + socket.inet_aton(own) + asked.sender_mac + socket.inet_aton(asked.sender)
    return b"\0\1\x08\0\x06\x04\0\2" + ends


def arp_question(mac: bytes, own: str, wanted: str) -> bytes:
    """The question who has `wanted`."""
    return b"\0\1\x08\0\x06\x04\0\1" + mac + socket.inet_aton(own) + bytes(6) + socket.inet_aton(wanted)


def packet(body: bytes) -> Packet | None:
    """Read IPv4."""
    if len(body) < 20 or body[0] >> 4 != 4:
        return None
    start, size = (body[0] & 15) * 4, int.from_bytes(body[2:4], "big")
    if start < 20 or not start <= size <= len(body):
        return None
    ident, fragment = struct.unpack_from(">HH", body, 4)
    source, target = socket.inet_ntoa(body[12:16]), socket.inet_ntoa(body[16:20])
    return Packet(source, target, body[9], body[start:size], body[8], body[0], fragment & (MORE | OFFSET), ident)


def packet_cut(body: bytes) -> Packet | None:
    """The start of a packet, as errors quote it."""
    if len(body) < 28:
        return None
    start = (body[0] & 15) * 4
    return Packet(socket.inet_ntoa(body[12:16]), socket.inet_ntoa(body[16:20]), body[9], body[start : start + 8])


def checksum(data: bytes) -> int:
    """The internet's."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, target: str, proto: int, body: bytes) -> bytes:
    """The bytes of a packet."""
    start = struct.pack(">BBHHHBB", PLAIN_HEADER, 0, 20 + len(body), 0, 0, 64, proto)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return start + struct.pack(">H", checksum(start + b"\0\0" + ends)) + ends + body


def udp(source: str, target: str, source_port: int, target_port: int, data: bytes) -> bytes:
    """A datagram."""
    return ipv4(source, target, UDP, struct.pack(">HHHH", source_port, target_port, 8 + len(data), 0) + data)


def tcp(source: str, target: str, source_port: int, target_port: int, flags: int) -> bytes:
    """A segment without data."""
    return ipv4(
        source, target, TCP, struct.pack(">HHIIBBHHH", source_port, target_port, 1, 1, 5 << 4, flags, 1024, 0, 0)
    )


def tcp_reply(own: str, asked: Packet, flags: int) -> bytes:
    """A segment back."""
    source, target = asked.ports
    return tcp(own, asked.source, target, source, flags)


def _icmp(own: str, asked: Packet, kind: int, code: int) -> bytes:
    """An error about `asked`, with the start of it."""
    head = ipv4(asked.source, asked.target, asked.proto, asked.body)[:28]
    body = struct.pack(">BBHI", kind, code, 0, 0) + head
    return ipv4(own, asked.source, ICMP, body[:2] + checksum(body).to_bytes(2, "big") + body[4:])


def refusal(own: str, asked: Packet, code: int) -> bytes | None:
    """Destination unreachable; an error is never answered with one."""
    if asked.proto == ICMP and asked.body[:1] not in {b"\x08", b"\x0d"}:
        return None
    return _icmp(own, asked, UNREACHABLE, code)


def expired(own: str, asked: Packet) -> bytes:
    """Time to live exceeded."""
    return _icmp(own, asked, EXPIRED, 0)


def echo(own: str, asked: Packet) -> bytes:
    """The answer to a ping."""
    body = b"\0\0\0\0" + asked.body[4:]
    return ipv4(own, asked.source, ICMP, body[:2] + checksum(body).to_bytes(2, "big") + body[4:])


def swapped6(body: bytes) -> bytes:
    """An IPv6 packet back to its sender: who answers pings of everybody answers this one."""
    return body[:8] + body[24:40] + body[8:24] + (b"\x81" + body[41:] if len(body) > 40 else b"")

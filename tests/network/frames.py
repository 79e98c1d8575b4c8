"""Ethernet frames spelled out, for a machine that is played by a test."""

from __future__ import annotations

import socket
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac(text: str) -> bytes:
    """Six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def ether(to: str, sender: str, kind: int, body: bytes) -> bytes:
    """A frame, filled up to the least length."""
    return (mac(to) + mac(sender) + struct.pack(">H", kind) + body).ljust(60, b"\0")


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(sender: str, to: str, proto: int, body: bytes, *, fragment: int = 0x4000, options: bytes = b"") -> bytes:
    """An IPv4 packet; `fragment` is the field of flags and offset."""
    words = 5 + len(options) // 4
    start = struct.pack(">BBHHHBB", 0x40 | words, 0, words * 4 + len(body), 7, fragment, 64, proto)
    ends = socket.inet_aton(sender) + socket.inet_aton(to) + options
    return start + struct.pack(">H", checksum(start + b"\0\0" + ends)) + ends + body


def udp(sender: str, to: str, ports: tuple[int, int], data: bytes) -> bytes:
    """A UDP datagram in its IPv4 packet."""
    body = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
    return ipv4(sender, to, 17, body)


def syn(sender: str, to: str, ports: tuple[int, int]) -> bytes:
    """The first packet of a TCP connection."""
    pseudo = socket.inet_aton(sender) + socket.inet_aton(to) + struct.pack(">BBH", 0, 6, 20)
    start = struct.pack(">HHIIBBH", *ports, 1000, 0, 5 << 4, 2, 1024)
    return ipv4(sender, to, 6, start + struct.pack(">HH", checksum(pseudo + start + b"\0\0\0\0"), 0))


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    """An ARP message from (hardware address, address) about another."""
    parts = (part for address, ip in (sender, target) for part in (mac(address), socket.inet_aton(ip)))
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + b"".join(parts)


def query(name: str, kind: int = 1, ident: int = 77) -> bytes:
    """A question for a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)

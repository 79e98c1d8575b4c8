"""Talking to hosts by sockets and by raw frames; shared by the probes of class E. In the workspace as `wire.py`."""

import errno
import fcntl
import os
import select
import socket
import struct
import time

import kit

MIRROR, OTHER, RESOLVER, STRANGE = "198.18.0.10", "198.18.0.11", "198.18.0.53", "198.18.0.66"
GATEWAY, NEIGHBOUR, NOBODY = "198.19.0.1", "198.19.0.240", "198.19.0.77"
GREETING = b"CORDON-TEST-HOST"
WAIT = 4.0
"""Seconds for an answer that has to come."""
QUIET = 1.0
"""Seconds of silence, after a question that is answered, which count as no answer: answers take milliseconds."""


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


GATEWAY_MAC, NEIGHBOUR_MAC, BROADCAST = mac("52:54:c6:13:00:01"), mac("52:54:c6:13:00:f0"), b"\xff" * 6


def connect(host, port, timeout=WAIT, options=b""):
    """Fetch a greeting over TCP; raises what the kernel says."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        if options:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        one.settimeout(timeout)
        try:
            one.connect((host, port))
            one.send(b"hello\n")
            return one.recv(200)
        except TimeoutError:
            kit.fail(errno.ETIMEDOUT)


def ask(host, port, data, timeout=WAIT, broadcast=False):
    """One datagram there, the answer back. The error that an ICMP refusal becomes arrives at a connected socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(timeout)
        try:
            if broadcast:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                one.sendto(data, (host, port))
            else:
                one.connect((host, port))
                one.send(data)
            return one.recv(1500)
        except TimeoutError:
            kit.fail(errno.ETIMEDOUT)


def query(name, kind=1, ident=7):
    labels = b"".join(bytes([len(part)]) + part for part in name.encode().split(b"."))
    return struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def answered(reply):
    """A name that has no address counts as not there."""
    code = reply[3] & 15
    kit.need(code == 0 and struct.unpack(">H", reply[6:8])[0], errno.ENOENT)
    return reply


def resolve(name, server=GATEWAY, kind=1):
    return answered(ask(server, 53, query(name, kind)))


def resolve_tcp(name, server=GATEWAY):
    packet = query(name)
    with socket.create_connection((server, 53), WAIT) as one:
        one.send(len(packet).to_bytes(2, "big") + packet)
        return answered(one.recv(600)[2:])


# Raw frames, for the guest's root ---------------------------------------------------------------------------------


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, proto, body, fragment=0, ttl=64, ident=7):
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(body), ident, fragment, ttl, proto)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return start + struct.pack(">H", checksum(start + b"\0\0" + ends)) + ends + body


def udp_body(source_port, target_port, data):
    return struct.pack(">HHHH", source_port, target_port, 8 + len(data), 0) + data


def udp(source, target, source_port, target_port, data):
    return ipv4(source, target, 17, udp_body(source_port, target_port, data))


def tcp(source, target, source_port, target_port, flags=2):
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack(">BBH", 0, 6, 20)
    start = struct.pack(">HHIIBBH", source_port, target_port, 1000, 0, 5 << 4, flags, 1024)
    return ipv4(source, target, 6, start + struct.pack(">HH", checksum(pseudo + start + b"\0\0\0\0"), 0))


def arp(operation, sender, target):
    parts = b"".join(address + socket.inet_aton(ip) for address, ip in (sender, target))
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + parts


class Wire:
    """The guest's card, driven past its kernel."""

    def __init__(self, name="eth0"):
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.raw.bind((name, 3))
        # Promiscuous: also what is for others, as far as the bridge gives it to this machine.
        everything = struct.pack("=iHH8x", socket.if_nametoindex(name), 1, 0)
        self.raw.setsockopt(263, 1, everything)
        self.mac = self.raw.getsockname()[4]
        self.address = socket.inet_ntoa(self.mac[2:])

    def send(self, target, kind, body, source=None):
        self.raw.send((target + (source or self.mac) + struct.pack(">H", kind) + body).ljust(60, b"\0"))

    def hears(self, wanted):
        """Whether a frame that is `wanted` arrives: before an honest question is answered, or in the time after it.

        Raises ETIMEDOUT when not.
        """
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.connect((GATEWAY, 53))
        asker.send(query("marker.cordon.test"))
        poll = select.poll()
        poll.register(self.raw, select.POLLIN)
        poll.register(asker, select.POLLIN)
        until = time.monotonic() + WAIT
        marked = False
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == asker.fileno():
                    asker.recv(600)
                    marked = True
                    until = time.monotonic() + QUIET
                    continue
                frame = self.raw.recvfrom(2000)
                if frame[1][2] != socket.PACKET_OUTGOING and wanted(frame[0]):
                    return frame[0]
        kit.need(marked, errno.EIO)  # not even an honest question was answered: nothing can be concluded
        kit.fail(errno.ETIMEDOUT)


def icmp_of(host, kind):
    source = socket.inet_aton(host)
    return lambda frame: frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[26:30] == source and frame[34] == kind


def from_mac(address):
    return lambda frame: frame[6:12] == address


def from_host(host, proto=None):
    source = socket.inet_aton(host)
    return lambda frame: frame[12:14] == b"\x08\0" and frame[26:30] == source and proto in {None, frame[23]}


def set_address(card, address):
    """Give a card an IPv4 address, by the old call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        packed = struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(one, 0x8916, card.encode().ljust(16, b"\0") + packed)


def cards():
    return [name for name in os.listdir("/sys/class/net") if name != "lo"]

"""The guest's own root, after a taken-over agent: any frame it likes. Only the host's side of the wall holds."""

import socket
import struct

import wire
from kit import need, probe
from wire import Wire


def honest_question():
    need(wire.answered(wire.ask(wire.GATEWAY, 53, wire.query("mirror.cordon.test"))))


def granted_host():
    need(wire.connect(wire.MIRROR, 80).startswith(wire.GREETING))


def honest_frame():
    one = Wire()
    packet = wire.udp(one.address, wire.GATEWAY, 5010, 53, wire.query("mirror.cordon.test"))
    one.send(wire.GATEWAY_MAC, 0x0800, packet)
    need(one.hears(lambda frame: socket.inet_aton(wire.MIRROR) in frame[42:]))


def honest_arp():
    one = Wire()
    one.send(wire.BROADCAST, 0x0806, wire.arp(1, (one.mac, one.address), (bytes(6), wire.GATEWAY)))
    need(one.hears(lambda frame: frame[12:14] == b"\x08\x06" and frame[6:12] == wire.GATEWAY_MAC))


@probe("forged-source-address", twin=honest_frame)
def forged_source_address():
    # Answered to somebody who is not there: the gateway's question who that is shows that the packet went through.
    one = Wire()
    one.send(wire.GATEWAY_MAC, 0x0800, wire.tcp(wire.NOBODY, wire.MIRROR, 4001, 80))
    need(one.hears(lambda frame: frame[12:14] == b"\x08\x06" and socket.inet_aton(wire.NOBODY) == frame[38:42]))


@probe("forged-hardware-address", twin=honest_frame)
def forged_hardware_address():
    one = Wire()
    packet = wire.udp(one.address, wire.GATEWAY, 5011, 53, wire.query("mirror.cordon.test"))
    one.send(wire.GATEWAY_MAC, 0x0800, packet, source=wire.mac("52:54:c6:13:00:4d"))
    need(one.hears(lambda frame: frame[36:38] == struct.pack(">H", 5011)))


@probe("arp-scan", twin=honest_arp)
def arp_scan():
    one = Wire()
    one.send(wire.BROADCAST, 0x0806, wire.arp(1, (one.mac, one.address), (bytes(6), wire.NEIGHBOUR)))
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))


@probe("arp-i-am-the-gateway", twin=honest_arp)
def arp_i_am_the_gateway():
    # The neighbour believes it and answers to the gateway's address here.
    one = Wire()
    one.send(wire.BROADCAST, 0x0806, wire.arp(1, (one.mac, wire.GATEWAY), (bytes(6), wire.NEIGHBOUR)))
    gateway = socket.inet_aton(wire.GATEWAY)
    need(one.hears(lambda frame: wire.from_mac(wire.NEIGHBOUR_MAC)(frame) and frame[38:42] == gateway))


@probe("arp-i-am-the-neighbour", twin=honest_arp)
def arp_i_am_the_neighbour():
    # The gateway believes it: what it has for the neighbour would come here.
    one = Wire()
    one.send(wire.GATEWAY_MAC, 0x0806, wire.arp(1, (one.mac, wire.NOBODY), (bytes(6), wire.GATEWAY)))
    nobody = socket.inet_aton(wire.NOBODY)
    need(one.hears(lambda frame: frame[12:14] == b"\x08\x06" and frame[38:42] == nobody))


@probe("ipv6-link-local", twin=honest_frame)
def ipv6_link_local():
    # All hosts, ping: whoever speaks IPv6 on the bridge asks back.
    one = Wire()
    source = bytes.fromhex("fe80000000000000") + bytes([one.mac[0] ^ 2]) + one.mac[1:3] + b"\xff\xfe" + one.mac[3:]
    target = bytes.fromhex("ff020000000000000000000000000001")
    echo = b"\x80\0\0\0\0\1\0\1"
    pseudo = source + target + struct.pack(">II", len(echo), 58)
    echo = echo[:2] + wire.checksum(pseudo + echo).to_bytes(2, "big") + echo[4:]
    packet = b"\x60\0\0\0" + struct.pack(">HBB", len(echo), 58, 255) + source + target + echo
    one.send(wire.mac("33:33:00:00:00:01"), 0x86DD, packet)
    need(one.hears(lambda frame: frame[12:14] == b"\x86\xdd" and wire.from_mac(wire.NEIGHBOUR_MAC)(frame)))


@probe("vlan-tag", twin=honest_frame)
def vlan_tag():
    # A priority tag hides the packet from filters that look where the tag is; its receiver takes it off.
    one = Wire()
    inner = struct.pack(">HH", 0, 0x0800) + wire.udp(one.address, wire.NEIGHBOUR, 5012, 9, b"x")
    one.send(wire.NEIGHBOUR_MAC, 0x8100, inner)
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))


@probe("machine-to-machine-frame", twin=honest_frame)
def machine_to_machine():
    one = Wire()
    one.send(wire.NEIGHBOUR_MAC, 0x0800, wire.udp(one.address, wire.NEIGHBOUR, 5013, 9, b"x"))
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))


@probe("dhcp-discover", twin=honest_frame)
def dhcp_discover():
    one = Wire()
    one.send(wire.BROADCAST, 0x0800, wire.udp(one.address, "255.255.255.255", 68, 67, b"\1\1\6\0" + bytes(240)))
    need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))


@probe("fragments", twin=granted_host)
def fragments():
    # A granted question in two halves: the second one has no port to be looked at.
    one = Wire()
    body = wire.udp_body(5014, 53, wire.query("fragmented.exfil.test"))
    for flags, part in ((0x2000, body[:16]), (2, body[16:])):
        one.send(wire.GATEWAY_MAC, 0x0800, wire.ipv4(one.address, wire.RESOLVER, 17, part, fragment=flags, ident=99))
    need(one.hears(wire.from_host(wire.RESOLVER, 17)))


@probe("icmp-echo", twin=granted_host)
def icmp_echo():
    one = Wire()
    body = b"\x08\0" + wire.checksum(b"\x08\0\0\0\0\1\0\1" + b"secret!!").to_bytes(2, "big") + b"\0\1\0\1" + b"secret!!"
    one.send(wire.GATEWAY_MAC, 0x0800, wire.ipv4(one.address, wire.MIRROR, 1, body))
    need(one.hears(wire.icmp_of(wire.MIRROR, 0)))


@probe("ip-in-ip", twin=granted_host)
def ip_in_ip():
    # A protocol without ports to the granted host: that it knows no such protocol is an answer too.
    one = Wire()
    inner = wire.udp(one.address, wire.STRANGE, 1, 53, b"x")
    one.send(wire.GATEWAY_MAC, 0x0800, wire.ipv4(one.address, wire.MIRROR, 4, inner))
    need(one.hears(wire.icmp_of(wire.MIRROR, 3)))


@probe("time-to-live-one", twin=granted_host)
def time_to_live_one():
    # Tracing the way: the gateway would tell of itself.
    one = Wire()
    packet = wire.ipv4(one.address, wire.MIRROR, 6, wire.tcp(one.address, wire.MIRROR, 4002, 80)[20:], ttl=1)
    one.send(wire.GATEWAY_MAC, 0x0800, packet)
    need(one.hears(wire.icmp_of(wire.GATEWAY, 11)))


@probe("second-address", twin=honest_question)
def second_address():
    # The machine's own kernel under an address that is another's.
    card = wire.cards()[0]
    wire.set_address(f"{card}:1", wire.NOBODY)
    one = Wire(card)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((wire.NOBODY, 0))
        sender.sendto(b"x", (wire.NEIGHBOUR, 9))
        try:
            need(one.hears(wire.from_mac(wire.NEIGHBOUR_MAC)))
        finally:
            wire.set_address(f"{card}:1", "0.0.0.0")


@probe("acknowledgement-without-connection", twin=granted_host)
def acknowledgement():
    # Filters that let everything through that is no first packet take this for the middle of a connection.
    one = Wire()
    one.send(wire.GATEWAY_MAC, 0x0800, wire.tcp(one.address, wire.STRANGE, 4003, 80, flags=0x10))
    need(one.hears(wire.from_host(wire.STRANGE, 6)))

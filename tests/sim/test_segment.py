"""The simulator's card: what passes, what is answered, and what each control taken away changes."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.network.plan import GATEWAY, reach_of
from executor.policy.decision import GrantedEndpoint
from executor.sim.network import packets
from executor.sim.network.packets import ARP, ICMP, IPV4, SYN, TCP, UDP
from executor.sim.network.segment import EVERYBODY, Segment
from fixtures.test_hosts import GREETING, HOSTS, MIRROR, OTHER, simulated_world
from fixtures.test_hosts.world import NEIGHBOUR

GATEWAY_IP: Final = str(GATEWAY)
QUESTION: Final = b"\0\7\1\0\0\1\0\0\0\0\0\0\6mirror\6cordon\4test\0\0\1\0\1"


def segment(*gone: str) -> Segment:
    """A machine with one granted endpoint, without the controls in `gone`."""
    granted = [GrantedEndpoint("mirror.cordon.test", 80, "tcp")]
    return Segment(reach_of(granted, HOSTS), frozenset(gone), simulated_world())


def sent(one: Segment, target: str, packet: bytes) -> list[packets.Packet]:
    """The packets that come back for one that is sent."""
    back = one.send(packets.made(one.way(target), one.mac, IPV4, packet))
    frames = [packets.frame(raw) for raw in back]
    found = [packets.packet(frame.body) for frame in frames if frame and frame.kind == IPV4]
    return [packet for packet in found if packet]


def opened(one: Segment, target: str, port: int) -> tuple[int, int] | None:
    """(protocol, flags or code) of the answer to the first packet of a connection."""
    own = str(one.card.address)
    found = sent(one, target, packets.tcp(own, target, 4000, port, SYN))
    return (found[0].proto, found[0].body[13] if found[0].proto == TCP else found[0].body[1]) if found else None


def test_only_what_was_granted_is_reached() -> None:
    """The endpoint answers; another port, another host and the gateway's doors are refused as the filter does."""
    refused = (ICMP, packets.PROHIBITED)
    one = segment()
    assert opened(one, MIRROR, 80) == (TCP, SYN | packets.ACK)
    assert [opened(one, *to) for to in ((MIRROR, 8080), (OTHER, 80), (GATEWAY_IP, 22))] == [refused] * 3
    assert dict(one.counts) == {"forged": 0, "allowed": 1, "refused": 2, "knocked": 1}


@pytest.mark.parametrize(
    ("gone", "target", "port"),
    [("egress_allowlist", OTHER, 80), ("gateway_closed", GATEWAY_IP, 22), ("nic_blackhole", OTHER, 80)],
)
def test_each_control_is_what_holds(gone: str, target: str, port: int) -> None:
    """With it taken away the same connection stands."""
    assert opened(segment(gone), target, port) == (TCP, SYN | packets.ACK)
    assert opened(segment(), target, port) == (ICMP, packets.PROHIBITED)


def test_another_machine_is_behind_two_walls() -> None:
    """The neighbour answers only where both the frame filter and the isolation of ports are gone."""
    to = str(NEIGHBOUR.address)
    assert [opened(segment(*gone), to, 22) for gone in ((), ("frame_filter",), ("vm_isolation",))] == [None] * 3
    assert opened(segment("frame_filter", "vm_isolation"), to, 22) == (TCP, SYN | packets.ACK)


def test_names_are_the_answerers() -> None:
    """The granted name has its address, another has none, and where that control is gone somebody else answers."""
    one = segment()
    own = str(one.card.address)
    [reply] = sent(one, GATEWAY_IP, packets.udp(own, GATEWAY_IP, 5000, 53, QUESTION))
    assert (reply.proto, reply.ports, reply.body[-4:]) == (UDP, (53, 5000), bytes([198, 18, 0, 10]))
    other = QUESTION.replace(b"\6mirror", b"\6secret")
    assert (one.named(other) or b"")[3] & 15 == 3
    assert (segment("dns_allowlist").named(other) or b"")[-4:] == bytes([198, 18, 0, 66])


def test_a_connection_is_greeted_by_the_host_itself() -> None:
    """What is said at the other end is the test hosts' own."""
    listener = segment().listener(MIRROR, 80)
    assert listener is not None
    assert listener(b"hello\n") == GREETING + f" {MIRROR}:80\n".encode()


def test_the_gateway_tells_who_it_is() -> None:
    """ARP about the gateway is answered; about another it is not, and counts as forged."""
    one = segment()
    own = str(one.card.address)
    asked = packets.arp_question(one.mac, own, GATEWAY_IP)
    [raw] = one.send(packets.made(EVERYBODY, one.mac, ARP, asked))
    assert packets.arp(raw[14:]) == packets.Told(bytes.fromhex("5254c6130001"), GATEWAY_IP, own)
    assert one.send(packets.made(EVERYBODY, one.mac, ARP, packets.arp_question(one.mac, own, OTHER))) == []
    assert one.counts["forged"] == 1


@given(st.binary(max_size=200), st.sets(st.sampled_from(("frame_filter", "vm_isolation", "gateway_closed"))))
def test_no_frame_breaks_it(raw: bytes, gone: set[str]) -> None:
    """Whatever bytes are sent, frames come back or none do."""
    assert all(len(frame) >= 60 for frame in segment(*gone).send(raw))


@given(st.sampled_from((ARP, IPV4, 0x8100, 0x86DD)), st.binary(max_size=120))
def test_no_body_breaks_it(kind: int, body: bytes) -> None:
    """Nor do bytes behind a type that is looked into, where nothing filters."""
    one = segment("frame_filter", "vm_isolation", "gateway_closed", "egress_allowlist", "dns_allowlist")
    for target in (EVERYBODY, one.way(GATEWAY_IP), one.way(str(NEIGHBOUR.address))):
        assert all(len(frame) >= 60 for frame in one.send(packets.made(target, one.mac, kind, body)))

"""The real bridges and the real packet filter against frames of every kind: what was granted passes, and nothing else.

Each frame that must not pass is also sent with one control taken away, and then it passes: the check can fail.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from executor.clock import SystemClock
from executor.errors import NetworkError, UnknownHostError
from executor.network import Network, NetworkConfig
from executor.network.plan import GATEWAY, GATEWAY_MAC
from executor.network.rules import UPLINK
from fixtures.test_hosts import MIRROR, OTHER, RESOLVER, World
from fixtures.test_hosts.world import NEIGHBOUR
from tests.network import frames
from tests.network.machine import Machine


@dataclass(frozen=True)
class To:
    """An endpoint."""

    host: str
    port: int = 80
    proto: str = "tcp"


GRANT = (To("mirror.cordon.test"), To("resolver.cordon.test", 53, "udp"))


def tcp_flags(host: str, port: int, flags: int) -> Callable[[bytes], bool]:
    """A TCP packet from there with exactly these flags."""
    source = socket.inet_aton(host)
    return lambda frame: (
        frame[12:14] == b"\x08\0"
        and frame[23] == 6
        and frame[26:30] == source
        and frame[34:36] == port.to_bytes(2, "big")
        and frame[47] == flags
    )


def refusal(frame: bytes) -> bool:
    """ICMP: administratively prohibited."""
    return frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34:36] == b"\x03\x0d"


def from_host(host: str) -> Callable[[bytes], bool]:
    """Any IPv4 packet from there."""
    source = socket.inet_aton(host)
    return lambda frame: frame[12:14] == b"\x08\0" and frame[26:30] == source


def from_card(mac: str) -> Callable[[bytes], bool]:
    """Any frame from that hardware address: also the question where to send an answer to."""
    return lambda frame: frame[6:12] == frames.mac(mac)


def of_kind(kind: int) -> Callable[[bytes], bool]:
    """Any frame of that EtherType."""
    return lambda frame: frame[12:14] == kind.to_bytes(2, "big")


@pytest.fixture
def uplink(network: Network) -> Iterator[Callable[[], list[bytes]]]:
    """What has gone out on the uplink since the last look."""
    with network.switch.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as watching:
        watching.bind((UPLINK, 3))
        watching.setblocking(False)  # noqa: FBT003 - the standard library's

        def look() -> list[bytes]:
            seen = []
            while select.select([watching], [], [], 0)[0]:
                frame, where = watching.recvfrom(4096)
                if where[2] == socket.PACKET_OUTGOING:
                    seen.append(frame)
            return seen

        yield look


def test_a_granted_connection_is_answered_and_leaves_with_the_uplinks_address(
    machine: Machine, uplink: Callable[[], list[bytes]]
) -> None:
    """SYN to the granted host and port: its SYN-ACK comes back, and nobody outside sees the machine's own address."""
    machine.network.admit(machine.card, GRANT)
    machine.ip(frames.syn(machine.address, MIRROR, (40000, 80)))
    assert machine.waits_for(tcp_flags(MIRROR, 80, 0x12))
    sent = [frame for frame in uplink() if frame[12:14] == b"\x08\0"]
    assert sent
    assert all(frame[26:30] != IPv4Address(machine.address).packed for frame in sent)
    assert machine.network.counters(machine.card)["allowed"] >= 1


BEYOND = {
    "another port": (MIRROR, 81, 6),
    "another host": (OTHER, 80, 6),
    "another protocol": (MIRROR, 80, 17),
    "the resolver over TCP": (RESOLVER, 53, 6),
    "another resolver": ("198.18.0.66", 53, 17),
    "metadata": ("169.254.169.254", 80, 6),
    "documentation range": ("203.0.113.7", 80, 6),
}


def packet_of(machine: Machine, to: tuple[str, int, int]) -> bytes:
    """A first packet to a host, port and protocol."""
    host, port, proto = to
    if proto == 6:
        return frames.syn(machine.address, host, (40001, port))
    data = frames.query("x.cordon.test") if port == 53 else b"hello"
    return frames.udp(machine.address, host, (40001, port), data)


@pytest.mark.parametrize("to", BEYOND.values(), ids=list(BEYOND))
def test_beyond_the_grant_is_refused_and_never_leaves(
    machine: Machine, uplink: Callable[[], list[bytes]], to: tuple[str, int, int]
) -> None:
    """Refused at once, with a word; nothing on the uplink. Without the allowlist the same packet is answered."""
    machine.network.admit(machine.card, GRANT)
    machine.ip(packet_of(machine, to))
    assert machine.hears(refusal)
    assert [frame for frame in uplink() if frame[30:34] == socket.inet_aton(to[0])] == []
    assert machine.network.counters(machine.card)["refused"] == 1
    machine.network.withdraw(machine.card)
    machine.network.admit(machine.card, GRANT, frozenset({"egress_allowlist"}))
    machine.ip(packet_of(machine, to))
    assert machine.waits_for(from_host(to[0]))


def forged(me: Machine) -> dict[str, bytes]:
    """Frames no honest machine sends."""
    good = frames.udp(me.address, str(GATEWAY), (5001, 53), frames.query("mirror.cordon.test"))
    other = str(NEIGHBOUR.address)
    broadcast = frames.BROADCAST
    return {
        "another's address": frames.ether(
            GATEWAY_MAC, me.mac, 0x0800, frames.udp(other, str(GATEWAY), (5001, 53), frames.query("mirror.cordon.test"))
        ),
        "another's hardware address": frames.ether(GATEWAY_MAC, NEIGHBOUR.mac, 0x0800, good),
        "the gateway's hardware address": frames.ether(GATEWAY_MAC, GATEWAY_MAC, 0x0800, good),
        "ARP: who has the neighbour": frames.ether(
            broadcast, me.mac, 0x0806, frames.arp(1, (me.mac, me.address), ("00:00:00:00:00:00", other))
        ),
        "ARP: the gateway is me": frames.ether(
            broadcast, me.mac, 0x0806, frames.arp(2, (me.mac, str(GATEWAY)), (broadcast, str(GATEWAY)))
        ),
        "ARP: the neighbour is me": frames.ether(
            GATEWAY_MAC, me.mac, 0x0806, frames.arp(2, (me.mac, other), (GATEWAY_MAC, str(GATEWAY)))
        ),
        "a fragment": frames.ether(
            GATEWAY_MAC, me.mac, 0x0800, frames.ipv4(me.address, str(GATEWAY), 17, b"\0" * 64, fragment=0x2000)
        ),
        "IP options": frames.ether(
            GATEWAY_MAC, me.mac, 0x0800, frames.ipv4(me.address, str(GATEWAY), 17, b"\0" * 64, options=b"\x83\3\4\0")
        ),
        "IPv6": frames.ether("33:33:00:00:00:01", me.mac, 0x86DD, b"\x60\0\0\0\0\x08\x3a\xff" + b"\xfe" * 40),
        "a VLAN tag": frames.ether(GATEWAY_MAC, me.mac, 0x8100, b"\0\1\x08\0" + good),
        "spanning tree": frames.ether("01:80:c2:00:00:00", me.mac, 0x0026, b"\x42\x42\3" + b"\0" * 35),
        "to the neighbour": frames.ether(NEIGHBOUR.mac, me.mac, 0x0800, frames.udp(me.address, other, (5001, 9), b"x")),
        "broadcast": frames.ether(broadcast, me.mac, 0x0800, frames.udp(me.address, "198.19.0.255", (5001, 9), b"x")),
    }


@pytest.mark.parametrize(
    "name",
    [
        "ARP: the gateway is me",
        "ARP: the neighbour is me",
        "ARP: who has the neighbour",
        "IP options",
        "IPv6",
        "a VLAN tag",
        "a fragment",
        "another's address",
        "another's hardware address",
        "broadcast",
        "spanning tree",
        "the gateway's hardware address",
        "to the neighbour",
    ],
)
def test_a_forged_frame_is_dropped_at_the_port(machine: Machine, uplink: Callable[[], list[bytes]], name: str) -> None:
    """Counted as forged, answered by nobody, seen nowhere."""
    machine.network.admit(machine.card, GRANT)
    machine.send(forged(machine)[name])
    assert not machine.hears(lambda frame: not of_kind(0x0806)(frame) and frame[42:44] != b"" and not _marker(frame))
    assert machine.network.counters(machine.card)["forged"] == 1
    assert uplink() == []


def _marker(frame: bytes) -> bool:
    """The answer to the question that `hears` asks."""
    return b"\x06marker\x06cordon" in frame


NOISY = {
    "ARP: who has the neighbour": of_kind(0x0806),
    "to the neighbour": from_card(NEIGHBOUR.mac),
    "broadcast": from_card(NEIGHBOUR.mac),
    "another's hardware address": from_host(str(GATEWAY)),
}


@pytest.mark.parametrize("name", NOISY)
def test_without_the_frame_filter_and_isolation_it_is_answered(machine: Machine, name: str) -> None:
    """The same frames with two controls taken away: somebody answers, so their silence means something."""
    machine.network.admit(machine.card, GRANT, frozenset({"frame_filter", "vm_isolation"}))
    machine.send(forged(machine)[name])
    assert machine.waits_for(NOISY[name])


@pytest.mark.parametrize("port", [22, 2375, 16509])
def test_the_gateways_doors_are_closed(machine: Machine, port: int) -> None:
    """Somebody listens there, and a machine only hears the refusal; with the control taken away it connects."""
    machine.network.admit(machine.card, GRANT)
    machine.ip(frames.syn(machine.address, str(GATEWAY), (40002, port)))
    assert machine.hears(refusal)
    assert machine.network.counters(machine.card)["knocked"] == 1
    machine.network.withdraw(machine.card)
    machine.network.admit(machine.card, GRANT, frozenset({"gateway_closed"}))
    machine.ip(frames.syn(machine.address, str(GATEWAY), (40003, port)))
    assert machine.waits_for(tcp_flags(str(GATEWAY), port, 0x12))


def test_a_ping_is_not_answered(machine: Machine) -> None:
    """ICMP from a machine: neither the gateway nor a granted host answers."""
    machine.network.admit(machine.card, GRANT)
    for to in (str(GATEWAY), MIRROR):
        body = b"\x08\0\xf7\xff\0\0\0\0"
        machine.ip(frames.ipv4(machine.address, to, 1, body))
        assert not machine.hears(lambda frame: frame[23] == 1 and frame[34] == 0)


def test_names_are_answered_from_the_grant_alone(machine: Machine, world: World) -> None:
    """A granted name has its address, any other does not exist, and the resolver outside is never asked."""
    machine.network.admit(machine.card, GRANT)
    for name, known in (("mirror.cordon.test", True), ("a.mirror.cordon.test", False), ("secret.exfil.test", False)):
        machine.ip(frames.udp(machine.address, str(GATEWAY), (5002, 53), frames.query(name)))
        answered = machine.hears(lambda frame: frame[36:38] == b"\x13\x8a" and socket.inet_aton(MIRROR) in frame[54:])
        assert answered == known, name
    told = machine.network.withdraw(machine.card)["questions"]
    assert (told["asked"], told["refused_names"]) == (
        6,
        ["a.mirror.cordon.test", "marker.cordon.test", "secret.exfil.test"],
    )
    assert world.servers.questions == []


def test_without_the_control_names_are_carried_outside(machine: Machine, world: World) -> None:
    """What the answerer never does: the label arrives at the resolver of the world."""
    machine.network.admit(machine.card, GRANT, frozenset({"dns_allowlist"}))
    machine.ip(frames.udp(machine.address, str(GATEWAY), (5002, 53), frames.query("secret.exfil.test")))
    assert machine.waits_for(lambda frame: socket.inet_aton("198.18.0.66") in frame[54:])
    assert any(b"\x06secret" in question for question in world.servers.questions)


def test_a_flood_of_questions_is_cut_at_the_filter(machine: Machine) -> None:
    """Ten thousand questions at once: the executor's thread hears a few hundred."""
    machine.network.admit(machine.card, GRANT)
    question = frames.ether(
        GATEWAY_MAC, machine.mac, 0x0800, frames.udp(machine.address, str(GATEWAY), (5003, 53), frames.query("a.test"))
    )
    begun = time.monotonic()
    for _ in range(10_000):
        machine.send(question)
    assert machine.waits_for(from_host(str(GATEWAY)))
    seconds = time.monotonic() - begun
    assert machine.network.withdraw(machine.card)["questions"]["asked"] <= 200 + 200 * (seconds + 1)


def test_a_card_that_was_not_admitted_leads_nowhere(machine: Machine, uplink: Callable[[], list[bytes]]) -> None:
    """On the black hole every frame vanishes; so it does again once the grant is over."""

    def silent() -> bool:
        machine.ip(frames.syn(machine.address, MIRROR, (40004, 80)))
        arp = frames.arp(1, (machine.mac, machine.address), ("00:00:00:00:00:00", str(GATEWAY)))
        machine.send(frames.ether(frames.BROADCAST, machine.mac, 0x0806, arp))
        quiet = not select.select([machine.tap], [], [], 0.3)[0]  # an answer takes microseconds
        return quiet and uplink() == []

    assert silent()
    machine.network.admit(machine.card, GRANT)
    assert not silent()
    machine.network.withdraw(machine.card)
    while select.select([machine.tap], [], [], 0)[0]:
        os.read(machine.tap, 4096)
    uplink()
    assert silent()


def test_an_earlier_machines_connection_opens_nothing_for_the_next(network: Network) -> None:
    """A remembered connection of the same address: without the grant its packets do not pass, in neither direction."""
    machine = Machine(network)
    network.admit(machine.card, (To("mirror.cordon.test"), To("a.mirror.cordon.test")))
    machine.ip(frames.syn(machine.address, OTHER, (40005, 80)))
    assert machine.waits_for(tcp_flags(OTHER, 80, 0x12))
    network.withdraw(machine.card)
    network.admit(machine.card, (To("mirror.cordon.test"),))
    machine.ip(frames.syn(machine.address, OTHER, (40005, 80)))
    assert machine.hears(refusal)
    assert network.counters(machine.card)["allowed"] == 0
    machine.close()


def test_two_machines_do_not_hear_each_other(network: Network) -> None:
    """Unicast and broadcast, from one to the other: nothing; with isolation taken away it arrives."""
    one, two = Machine(network), Machine(network)
    for weaken, heard in ((frozenset[str](), False), (frozenset({"frame_filter", "vm_isolation"}), True)):
        for machine in (one, two):
            network.admit(machine.card, GRANT, weaken)
        for to in (two.mac, frames.BROADCAST):
            one.send(frames.ether(to, one.mac, 0x0800, frames.udp(one.address, two.address, (1, 9), b"psst")))
        assert two.hears(lambda frame: b"psst" in frame) == heard
        for machine in (one, two):
            network.withdraw(machine.card)
    one.close()
    two.close()


def test_each_card_has_a_reach_of_its_own(network: Network) -> None:
    """What one machine was granted, another was not."""
    one, two = Machine(network), Machine(network)
    network.admit(one.card, (To("mirror.cordon.test"),))
    network.admit(two.card, (To("a.mirror.cordon.test"),))
    two.ip(frames.syn(two.address, MIRROR, (40006, 80)))
    assert two.hears(refusal)
    two.ip(frames.syn(two.address, OTHER, (40006, 80)))
    assert two.waits_for(tcp_flags(OTHER, 80, 0x12))
    assert len(network.allowed()) == 2
    one.close()
    two.close()
    assert network.allowed() == frozenset()


def test_what_cannot_be_granted_leaves_the_card_on_the_black_hole(machine: Machine) -> None:
    """A host without an address: refused, and nothing of the machine is in the filter."""
    with pytest.raises(UnknownHostError, match=r"b\.mirror"):
        machine.network.admit(machine.card, (To("b.mirror.cordon.test", 443),))
    assert machine.network.counters(machine.card) == {}
    assert f"{machine.card.tap}: " in machine.network.switch.command("ip", "-o", "link", "show", "master", "void0")


def test_a_weakened_machine_shares_its_network_with_nobody(network: Network) -> None:
    """Controls are the network's, not one machine's: two that want different ones are kept apart."""
    one, two = Machine(network), Machine(network)
    network.admit(one.card, GRANT)
    with pytest.raises(NetworkError, match="shares its network"):
        network.admit(two.card, GRANT, frozenset({"egress_allowlist"}))
    one.close()
    two.close()


def test_without_an_uplink_nothing_is_granted() -> None:
    """The operator has not said where out is: a clear refusal, not a silent hole."""
    network = Network(NetworkConfig(), SystemClock())
    machine = Machine(network)
    with pytest.raises(NetworkError, match=r"network\.uplink"):
        network.admit(machine.card, (To("198.18.0.10"),))
    machine.close()
    network.close()


def test_without_root_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason and the remedy; machines without a card are not touched by it."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    network = Network(NetworkConfig(), SystemClock())
    with pytest.raises(NetworkError, match="run the executor as root"):
        network.issue()
    assert network.in_void(lambda: "started") == "started"
    network.close()

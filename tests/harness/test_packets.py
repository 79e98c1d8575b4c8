"""The packet sentinel: what was granted passes in silence, anything else is told, and garbage never raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.clock import SystemClock
from executor.network import Allowed, Network
from executor.network.plan import GATEWAY, GATEWAY_MAC
from executor.outcome import Outcome
from executor.policy.decision import GrantedEndpoint
from fixtures import outcomes as make
from fixtures.test_hosts import HOSTS, MIRROR, OTHER, World
from fixtures.test_hosts.world import NEIGHBOUR
from harness.watch.canaries import HostWatch
from harness.watch.packet_watch import PacketWatch
from harness.watch.packets import complaint, parse
from tests.network import frames
from tests.network.machine import Machine

GRANTED = frozenset({Allowed(IPv4Address(MIRROR), "tcp", 80)})
ME = "198.19.0.9"
OTHER_MAC = "52:54:c6:13:00:09"


def framed(packet: bytes, sender: str = GATEWAY_MAC, kind: int = 0x0800) -> bytes:
    """A packet in its frame."""
    return frames.ether(OTHER_MAC, sender, kind, packet)


@given(st.binary(max_size=200))
def test_no_frame_raises_and_none_passes_without_a_grant(frame: bytes) -> None:
    """Whatever leaves where nothing was granted is told of, unless it is ARP."""
    packet = parse(frame)
    assert str(packet)
    assert bool(complaint(packet, "left", frozenset())) == (packet.kind != 0x0806)


FINE = {
    "to the granted host": ("left", framed(frames.syn(ME, MIRROR, (4000, 80)))),
    "from the granted host": ("heard", framed(frames.syn(MIRROR, ME, (80, 4000)))),
    "an answer of the answerer": ("heard", framed(frames.udp(str(GATEWAY), ME, (53, 4000), b"x"))),
    "a refusal": ("heard", framed(frames.ipv4(str(GATEWAY), ME, 1, b"\3\x0d" + bytes(6)))),
    "an error from outside": ("heard", framed(frames.ipv4(MIRROR, ME, 1, b"\3\4" + bytes(6)))),
    "ARP of the gateway": ("heard", framed(frames.arp(2, (GATEWAY_MAC, str(GATEWAY)), (OTHER_MAC, ME)), kind=0x0806)),
}
WRONG = {
    "another port left": ("left", framed(frames.syn(ME, MIRROR, (4000, 81)))),
    "another host left": ("left", framed(frames.syn(ME, OTHER, (4000, 80)))),
    "another protocol left": ("left", framed(frames.udp(ME, MIRROR, (4000, 80), b"x"))),
    "a ping left": ("left", framed(frames.ipv4(ME, MIRROR, 1, b"\x08\0" + bytes(6)))),
    "a later fragment left": ("left", framed(frames.ipv4(ME, MIRROR, 6, bytes(20), fragment=2))),
    "IPv6 left": ("left", framed(bytes(40), kind=0x86DD)),
    "another host is heard": ("heard", framed(frames.syn(OTHER, ME, (80, 4000)))),
    "another port is heard": ("heard", framed(frames.syn(MIRROR, ME, (22, 4000)))),
    "a door of the gateway is heard": ("heard", framed(frames.syn(str(GATEWAY), ME, (22, 4000)))),
    "a ping of the gateway is heard": ("heard", framed(frames.ipv4(str(GATEWAY), ME, 1, bytes(8)))),
    "a neighbour is heard": ("heard", framed(frames.syn(MIRROR, ME, (80, 4000)), sender=NEIGHBOUR.mac)),
    "a neighbour's ARP": ("heard", framed(frames.arp(1, (NEIGHBOUR.mac, ME), (OTHER_MAC, ME)), NEIGHBOUR.mac, 0x0806)),
}


@pytest.mark.parametrize(("way", "frame"), FINE.values(), ids=list(FINE))
def test_what_was_granted_is_no_alarm(way: str, frame: bytes) -> None:
    """Traffic of an honest task, and what the gateway itself has to say."""
    assert complaint(parse(frame), way, GRANTED) == ""  # type: ignore[arg-type] # a table of literals


@pytest.mark.parametrize(("way", "frame"), WRONG.values(), ids=list(WRONG))
def test_what_was_not_granted_is_an_alarm(way: str, frame: bytes) -> None:
    """One thing wrong, told in words."""
    assert "beyond the grant" in complaint(parse(frame), way, GRANTED)  # type: ignore[arg-type] # as above


def granting(host: str) -> Outcome:
    """The outcome of a run that was granted TCP port 80 of a host."""
    outcome = make.executed()
    endpoint = {"host": host, "port": 80, "proto": "tcp"}
    return replace(outcome, decision={**outcome.decision, "obligations": {"scope": {"endpoints": [endpoint]}}})


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def network(world: World) -> Iterator[Network]:
    made = Network(world.config(), SystemClock())
    world.furnish(made)
    yield made
    made.close()


@pytest.fixture
def watch(network: Network, tmp_path: Path) -> Iterator[HostWatch]:
    """Canaries with the packet sentinel."""
    found = HostWatch(tmp_path / "canaries", packets=PacketWatch(network, HOSTS, [NEIGHBOUR.tap]))
    yield found
    found.close()


def test_a_real_packet_beyond_the_decision_is_an_escape(network: Network, watch: HostWatch) -> None:
    """The filter let a packet through; the decision says something else: the sentinel believes the decision."""
    for granted, alarms in ((MIRROR, 0), (OTHER, 2)):
        machine = Machine(network)
        watch.before()
        network.admit(machine.card, [GrantedEndpoint(MIRROR, 80, "tcp")])
        machine.ip(frames.syn(machine.address, MIRROR, (4000, 80)))
        assert machine.waits_for(lambda frame: frame[12:14] == b"\x08\0" and frame[47] & 0x12 == 0x12)
        machine.close()  # as a machine is gone when its run is judged
        found = watch.after(granting(granted))
        assert len(found) == alarms, found
    assert f"-> {MIRROR}:80" in found[0]
    assert "left for the uplink" in found[0]
    assert "reached a machine" in found[1]


def test_with_the_walls_down_silence_is_the_alarm(network: Network, watch: HostWatch) -> None:
    """A run that has to get through and leaves no packet beyond its grant: then the sentinel is blind."""
    watch.before(frozenset({"egress_allowlist"}))
    assert watch.after(make.executed()) == ("the packet sentinel saw nothing of packets that had to get through",)
    watch.before(frozenset({"egress_allowlist"}))
    assert watch.packets is not None
    watch.packets.plant()
    assert watch.after(make.executed()) == ()
    assert network.allowed() == frozenset()


def test_a_planted_packet_is_noticed_unless_blind(watch: HostWatch) -> None:
    """The bait of the sabotage drill: seen, and not seen once the sentinel looks away."""
    for blind, alarms in ((frozenset[str](), 1), (frozenset({"packets"}), 0)):
        watch.blind = blind
        watch.before()
        assert watch.packets is not None
        watch.packets.plant()
        assert len(watch.after(make.executed())) == alarms


def test_lost_packets_are_an_alarm(network: Network, watch: HostWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """More packets than there is room for: what was not seen is not called harmless."""
    monkeypatch.setattr("harness.watch.packet_watch.ROOM", 4096)
    small = PacketWatch(network, HOSTS)
    small.skip()
    assert watch.packets is not None
    for _ in range(200):
        watch.packets.plant()
    assert any("were lost" in text for text in small.complaints([]))
    small.close()

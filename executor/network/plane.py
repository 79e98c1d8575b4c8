"""The network of one executor: two bridges in a namespace of their own, and the machines' cards on them. Rim.

    void namespace       where QEMU lives: no network at all, so that a QEMU that is taken over has none either
    switch namespace     bridge void0 (the black hole), bridge nat0 with the gateway, the packet filter, the answerer
    uplink namespace     the operator's; a veth pair leads there, and nowhere else

A card is made in the void, where QEMU opens it, and moved to the switch, onto the black hole. `admit` puts it on nat0
with its allowlist before its machine runs; whatever happens to the machine, the card dies with `release` or `close`.
Nothing of this is visible in the host's own namespace, and nothing has a name on disk (executor/network/namespace.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, TypeVar

from executor.clock import Clock
from executor.errors import NetworkError
from executor.network import plan, rules
from executor.network.answerer import Answerer, Asker
from executor.network.forwarding import forward_to
from executor.network.namespace import Namespace, fresh_proc
from executor.network.plan import Card, Endpoint, Reach

CONTROLS: Final = frozenset({"egress_allowlist", "dns_allowlist", "frame_filter", "vm_isolation", "gateway_closed"})
"""Controls of executor/weaken.py that are enforced here."""
OPEN_CARD: Final = "nic_blackhole"
"""Taken away, a machine gets a card that leads everywhere, although none was granted."""
T = TypeVar("T")

_SYSCTLS: Final = {
    "ipv4/ip_forward": "1",
    "ipv4/icmp_echo_ignore_all": "1",
    "ipv4/ip_unprivileged_port_start": "53",  # the answerer's: the service needs no right to low ports elsewhere
    "ipv4/icmp_ratelimit": "0",  # the filter has a limit of its own, the same for every machine
    "ipv4/conf/all/rp_filter": "1",
    "ipv4/conf/all/arp_ignore": "1",
    "ipv4/conf/all/arp_announce": "2",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_source_route": "0",
    "ipv4/conf/default/accept_source_route": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    # Bridged frames have a table of their own; they must not pass the gateway's a second time.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}
"""Below /proc/sys/net, of the switch namespace only."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What the operator says about the world outside."""

    uplink: Path | None = None
    """A network namespace, as a path, through which machines with net:egress reach out; None: there is no way out."""
    hosts: Mapping[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    """Addresses of the hosts that may be granted by name. Names are never looked up anywhere else."""
    resolver: str = ""
    """Drills only: who is asked when the control dns_allowlist is taken away."""


@dataclass(slots=True)
class _Active:
    reach: Reach
    weaken: frozenset[str]


class Network:
    """Cards and what they may reach. Thread-safe. Made at the first use; `close` leaves nothing."""

    def __init__(self, config: NetworkConfig, clock: Clock) -> None:
        """Nothing is made yet."""
        self._config = config
        self._clock = clock
        self._lock = threading.RLock()
        self._void: Namespace | None = None
        self._switch: Namespace | None = None
        self._answerer: Answerer | None = None
        self._cards: dict[int, Card] = {}
        self._active: dict[int, _Active] = {}
        self._last = plan.LAST
        self._weaken: frozenset[str] = frozenset()
        self._stand_ins: list[Card] = []
        self._closed = False

    @property
    def unavailable(self) -> str:
        """Why there can be no network card here; empty when there can."""
        return "" if os.geteuid() == 0 else "network cards need root: bridges and packet filters are root's"

    def in_void(self, work: Callable[[], T]) -> T:
        """Do `work` where no network is; as it is where namespaces cannot be made."""
        if self.unavailable:
            return work()
        with self._lock:
            if self._void is None:
                self._void = Namespace.create()
            void = self._void
        return void.run(work)

    @property
    def switch(self) -> Namespace:
        """The namespace of the bridges, made now if need be. Raises `NetworkError`."""
        with self._lock:
            if self._closed:
                raise NetworkError("the network is closed")
            if self._switch is None:
                if self.unavailable:
                    raise NetworkError(f"{self.unavailable}; run the executor as root")
                self._switch = self._build()
            return self._switch

    def _build(self) -> Namespace:
        switch = Namespace.create()
        try:
            switch.run(set_sysctls)
            switch.links(
                "link set lo up",
                f"link add {rules.VOID} type bridge stp_state 0 mcast_snooping 0",
                f"link add {rules.NAT} address {plan.GATEWAY_MAC} type bridge stp_state 0 mcast_snooping 0",
                f"addr add {rules.subnet()} dev {rules.NAT}",
                f"link set {rules.VOID} up",
                f"link set {rules.NAT} up",
            )
            switch.command("nft", "-f", "-", text=rules.base())
            if self._config.uplink is not None:
                self._wire(switch, self._config.uplink)
            self._answerer = Answerer(switch, self._clock)
        except OSError as error:
            switch.close()
            raise NetworkError(f"the machines' network cannot be made: {error.strerror}") from None
        except BaseException:
            switch.close()
            raise
        return switch

    @staticmethod
    def _wire(switch: Namespace, uplink: Path) -> None:
        """A link to the uplink namespace with a /30 of its own, and the default route over it."""
        far_side = Namespace.at(uplink)
        try:
            index = secrets.randbelow(plan.LINKS.num_addresses // 4)
            far, near = plan.link_of(index)
            name = f"cordon{index:04x}"
            switch.links(
                f"link add {rules.UPLINK} type veth peer name {name} netns {far_side.path}",
                f"addr add {near}/30 dev {rules.UPLINK}",
                f"link set {rules.UPLINK} up",
            )
            far_side.links(f"addr add {far}/30 dev {name}", f"link set {name} up")
            switch.links(f"route add default via {far}")
        finally:
            far_side.close()

    def issue(self) -> Card:
        """A card of its own for a machine, made in the void; `plug` it once QEMU has it. Raises `NetworkError`."""
        self.switch  # noqa: B018 - built now, or refused
        with self._lock:
            number = plan.next_number(self._cards, self._last)
            if number is None:
                raise NetworkError("all addresses of the machines' network are taken")
            self._last = number
            card = self._cards[number] = Card(number)
        try:
            self.in_void(lambda: self._void_links(f"tuntap add dev {card.tap} mode tap"))
        except BaseException:
            self.release(card)
            raise
        return card

    def _void_links(self, *commands: str) -> None:
        if self._void is None:
            raise NetworkError("the network is closed")
        self._void.links(*commands)

    def plug(self, card: Card) -> None:
        """Move a card whose machine has opened it onto the black hole. Raises `NetworkError`."""
        self._void_links(f"link set dev {card.tap} netns {self.switch.path}")
        self.switch.links(f"link set dev {card.tap} master {rules.VOID}", f"link set dev {card.tap} up")

    def admit(self, card: Card, endpoints: Iterable[Endpoint], weaken: frozenset[str] = frozenset()) -> Reach:
        """Put a card on the bridge with the gateway, to reach `endpoints` and nothing else.

        Raises `UnknownHostError` for a destination that cannot be, `NetworkError` when it cannot be done: the card
        then stays on the black hole.
        """
        weaken = _effective(weaken)
        reach = plan.reach_of(endpoints, self._config.hosts)
        if self._config.uplink is None:
            raise NetworkError("net:egress is granted, but this executor has no uplink: set network.uplink")
        with self._lock:
            if self._active and weaken != self._weaken:
                raise NetworkError("a weakened machine shares its network with nobody")
            self._use(weaken)
            self._filter(rules.admit(card, reach.allowed))
            self._active[card.number] = _Active(reach, weaken)
            self._place(card)
            if self._answerer is not None:
                resolver = self._config.resolver if "dns_allowlist" in weaken else ""
                forward = forward_to(resolver, self.switch) if resolver else None
                self._answerer.admit(card.address, Asker(reach, forward))
        return reach

    def stand_in(self, card: Card) -> None:
        """Drills only: hold a device of that card's name, in the switch namespace, like a machine without reach."""
        with self._lock:
            self._stand_ins.append(card)
            self._filter(rules.admit(card, ()))
            self.switch.links(f"link set dev {card.tap} up")
            self._place(card)

    def _use(self, weaken: frozenset[str]) -> None:
        """Load the filter without these controls; nothing when it is loaded so."""
        if weaken == self._weaken:
            return
        admitted = "".join(rules.admit(card, ()) for card in self._stand_ins)
        self._filter(rules.base(weaken) + admitted)
        self._weaken = weaken
        for card in self._stand_ins:
            self._place(card)

    def _place(self, card: Card) -> None:
        """The card's port on nat0. What the gateway knows of its neighbours it is told here, and learns from nobody."""
        flood = "on" if "frame_filter" in self._weaken else "off"
        isolated = "off" if "vm_isolation" in self._weaken else "on"
        self.switch.links(f"link set dev {card.tap} master {rules.NAT}")
        self.switch.command(
            "bridge", "link", "set", "dev", card.tap, "isolated", isolated, "learning", flood,
            "flood", flood, "mcast_flood", flood, "bcast_flood", flood,
        )  # fmt: skip
        self.switch.command("bridge", "fdb", "replace", card.mac, "dev", card.tap, "master", "static")
        self.switch.links(f"neigh replace {card.address} lladdr {card.mac} dev {rules.NAT} nud permanent")

    def withdraw(self, card: Card) -> dict[str, Any]:
        """Take its reach away again; what is worth recording of its use. A second call has nothing to tell."""
        with self._lock:
            active = self._active.pop(card.number, None)
            if active is None or self._switch is None:
                return {}
            counted = self.counters(card)
            questions = self._answerer.withdraw(card.address) if self._answerer is not None else None
            with contextlib.suppress(NetworkError):
                self.switch.links(f"link set dev {card.tap} master {rules.VOID}")
            self._filter(rules.withdraw(card, active.reach.allowed))
            with contextlib.suppress(NetworkError):  # gone with the card, when the machine went first
                self.switch.links(f"neigh del {card.address} dev {rules.NAT}")
            if not self._active:
                self._use(frozenset())
        return {"packets": counted, "questions": questions.record() if questions else {}}

    def release(self, card: Card) -> dict[str, Any]:
        """Take the card away for good; what is worth recording of its use. A second call has nothing to tell."""
        with self._lock:
            if self._cards.get(card.number) is not card:
                return {}
            told = self.withdraw(card)
            for place in (self._switch, self._void):
                if place is not None:
                    with contextlib.suppress(NetworkError):  # it is in one of the two, or went with QEMU
                        place.links(f"link del dev {card.tap}")
            del self._cards[card.number]
        return told

    def allowed(self) -> frozenset[plan.Allowed]:
        """Every destination that any machine may reach now."""
        with self._lock:
            return frozenset(to for active in self._active.values() for to in active.reach.allowed)

    def counters(self, card: Card) -> dict[str, int]:
        """Packets of an admitted card by what became of them (`rules.COUNTERS`). Raises `NetworkError`."""
        said = json.loads(self.switch.command("nft", "-j", "list", "counters"))
        mine = f"_{card.number}"
        found = {entry["counter"]["name"]: int(entry["counter"]["packets"]) for entry in said["nftables"][1:]}
        return {name.removesuffix(mine): packets for name, packets in found.items() if name.endswith(mine)}

    def _filter(self, script: str) -> None:
        self.switch.command("nft", "-f", "-", text=script)

    def close(self) -> None:
        """Stop answering, let go of the namespaces and everything in them; a second call is silent."""
        with self._lock:
            self._closed = True
            answerer, self._answerer = self._answerer, None
            namespaces, self._switch, self._void = (self._switch, self._void), None, None
            self._active.clear()
            self._cards.clear()
        if answerer is not None:
            answerer.close()
        for namespace in filter(None, namespaces):
            namespace.close()


def _effective(weaken: frozenset[str]) -> frozenset[str]:
    """The controls of the network that are taken away: an open card has none of them."""
    return CONTROLS if OPEN_CARD in weaken else weaken & CONTROLS


def set_sysctls() -> None:
    """Set them for the calling thread's network namespace; the thread must end afterwards.

    The service's own /proc/sys is read-only (deploy/cordon.service): a /proc of the thread's own shows a fresh one.
    """
    fresh_proc()
    for name, value in _SYSCTLS.items():
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6, or without bridge netfilter
            Path("/proc/sys/net", name).write_text(value)

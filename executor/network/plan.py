"""Who is who on the machines' network, and where a grant leads: addresses, names and endpoints as values. Pure.

Every executor has a network of its own, so these addresses mean nothing outside it (RFC 2544's range, never routed):

    198.19.0.0/24      the machines' side of both bridges; .1 is the gateway and answers names
    198.19.128.0/17    links to the uplink, one /30 each

A machine's hardware address is `52:54:` and the four bytes of its IPv4 address: the guest needs no other word
(executor/guest/network.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Final, Protocol

from executor.errors import UnknownHostError

MACHINES: Final = IPv4Network("198.19.0.0/24")
GATEWAY: Final = IPv4Address("198.19.0.1")
GATEWAY_MAC: Final = "52:54:c6:13:00:01"
FIRST: Final = 2
LAST: Final = 239
"""Last byte of machines' addresses; those above are left to drills."""
LINKS: Final = IPv4Network("198.19.128.0/17")

NEVER: Final = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.100.100.200/32"),  # the host's side, clouds' metadata
        *("198.19.0.0/16", "198.18.0.1/32"),  # this network itself, and the drills' own gateway
    )
)
"""Where no grant leads, whatever a name stands for: the policy's denylist once more, for what it cannot see."""


class Endpoint(Protocol):
    """A destination the policy granted; see `executor.policy.decision.GrantedEndpoint`."""

    @property
    def host(self) -> str:
        """A name or an IPv4 address."""

    @property
    def port(self) -> int:
        """1..65535."""

    @property
    def proto(self) -> str:
        """tcp or udp."""


@dataclass(frozen=True, slots=True, order=True)
class Allowed:
    """One destination packets may go to."""

    address: IPv4Address
    proto: str
    port: int


@dataclass(frozen=True, slots=True)
class Reach:
    """All that a machine may reach: what packets may go to, and what the answerer knows."""

    allowed: frozenset[Allowed] = frozenset()
    names: Mapping[str, tuple[IPv4Address, ...]] | None = None

    @property
    def zone(self) -> Mapping[str, tuple[IPv4Address, ...]]:
        """Names the answerer has an answer for."""
        return self.names or {}


@dataclass(frozen=True, slots=True)
class Card:
    """A machine's network card."""

    number: int

    @property
    def tap(self) -> str:
        """The host's end; as long for every machine, because saved machines are renamed in place."""
        return f"cordontap{self.number:03d}"

    @property
    def address(self) -> IPv4Address:
        """Its IPv4 address."""
        return MACHINES[self.number]

    @property
    def mac(self) -> str:
        """Its hardware address, which tells the guest the other one."""
        return mac_of(self.address)


def mac_of(address: IPv4Address) -> str:
    """The hardware address that stands for `address`."""
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, *address.packed))


def next_number(taken: Iterable[int], last: int) -> int | None:
    """The number after `last` that is free, going round: what just went is used again last. None: none is free."""
    used = frozenset(taken)
    size = LAST - FIRST + 1
    for step in range(1, size + 1):
        number = FIRST + (last - FIRST + step) % size
        if number not in used:
            return number
    return None


def link_of(index: int) -> tuple[IPv4Address, IPv4Address]:
    """(far end, near end) of link `index`: a /30 of its own for every executor at the same uplink."""
    first = int(LINKS.network_address) + 4 * (index % (LINKS.num_addresses // 4))
    return IPv4Address(first + 1), IPv4Address(first + 2)


def reach_of(endpoints: Iterable[Endpoint], hosts: Mapping[str, tuple[IPv4Address, ...]]) -> Reach:
    """Where `endpoints` lead, names taken from `hosts` and from nowhere else.

    A name that is not in `hosts`, and an address no grant may lead to, is refused: `UnknownHostError`.
    """
    allowed: set[Allowed] = set()
    names: dict[str, tuple[IPv4Address, ...]] = {}
    for endpoint in endpoints:
        literal = _address(endpoint.host)
        addresses = (literal,) if literal else hosts.get(endpoint.host, ())
        if not addresses:
            raise UnknownHostError(f"no address is known of {endpoint.host}; add it to network.hosts (docs/operate.md)")
        for address in addresses:
            if any(address in network for network in NEVER):
                raise UnknownHostError(f"{endpoint.host} stands for {address}, where no grant may lead")
            allowed.add(Allowed(address, endpoint.proto, endpoint.port))
        if literal is None:
            names[endpoint.host] = addresses
    return Reach(frozenset(allowed), names)


def _address(host: str) -> IPv4Address | None:
    try:
        return IPv4Address(host)
    except AddressValueError:
        return None

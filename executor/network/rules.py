"""What the packet filter of an executor's network is told, as nft scripts. Pure: values in, text out.

Two tables, and each packet of a machine passes both:

- `bridge cordon`, at the machine's port: a frame enters only at a port that was admitted (those of the black-hole
  bridge never are), only from the machine's own hardware and IPv4 address, only to the gateway, only as whole IPv4 or
  as ARP about the gateway. Nothing else has an answer here: no IPv6, no fragments, no IP options, no VLAN tags, no
  broadcast. From port to port nothing passes.
- `inet cordon`, at the gateway: forwarded is what is in the set `allowed` (machine, destination, protocol, port), each
  packet on its own in both directions, so that no remembered connection of an earlier machine opens anything. Replies
  must belong to a connection. The gateway itself takes questions for names, at a bounded rate, and nothing else.

Refused packets are answered with "administratively prohibited" at a bounded rate, so that honest programs fail at once;
forged ones are dropped in silence. Of ICMP a machine may send nothing; what reaches it are errors (destination
unreachable, for path MTU and closed ports) about connections it has.

`weaken` takes controls away (executor/weaken.py): one `if` each, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from executor.network.plan import GATEWAY, GATEWAY_MAC, MACHINES, Allowed, Card

NAT: Final = "nat0"
"""The bridge with the gateway on it."""
VOID: Final = "void0"
"""The bridge without one: a card that is not in use leads here."""
UPLINK: Final = "up0"
COUNTERS: Final = {"inet": ("allowed", "refused", "knocked"), "bridge": ("forged", "sideways")}
"""Packets counted for each machine: let through, beyond the allowlist, at the gateway's own doors, forged, sideways."""
_TAGS: Final = ("0x8100", "0x88a8")
"""802.1Q and 802.1ad."""
_RARP: Final = "0x8035"
"""QEMU announces a restored machine's card with these; they are no doing of the guest, and dropped uncounted."""
QUESTIONS_PER_S: Final = 200
"""Questions for names that are heard from all machines together: an executor's thread answers them."""
REFUSALS_PER_S: Final = 50
"""ICMP refusals that are sent; beyond that refused packets vanish."""
_REFUSE: Final = (
    f'    iifname "{NAT}" limit rate {REFUSALS_PER_S}/second burst {REFUSALS_PER_S} packets'
    " reject with icmpx admin-prohibited"
)
_CONTROLS: Final = ("egress_allowlist", "frame_filter", "vm_isolation", "gateway_closed", "dns_allowlist")


def base(weaken: frozenset[str] = frozenset()) -> str:
    """The whole filter, without any machine in it. Loading it again replaces what was there."""
    held = {name: name not in weaken for name in _CONTROLS}
    lines = [
        *("table inet cordon", "delete table inet cordon", "table bridge cordon", "delete table bridge cordon"),
        "table inet cordon {",
        *(f"  map {name}_of {{ type ipv4_addr : counter; }}" for name in COUNTERS["inet"]),
        "  set allowed { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }",
        "  set machines { type ipv4_addr; }",
        *_forward(open_to_all=not held["egress_allowlist"]),
        *_input(forwards=not held["dns_allowlist"], closed=held["gateway_closed"]),
        *_output(forwards=not held["dns_allowlist"], closed=held["gateway_closed"]),
        f'  chain nat {{ type nat hook postrouting priority srcnat; policy accept; oifname "{UPLINK}" masquerade; }}',
        "}",
        "table bridge cordon {",
        *(f"  map {name}_of {{ type ifname : counter; }}" for name in COUNTERS["bridge"]),
        "  set ports { type ifname; }",
        "  set bound { type ifname . ether_addr . ipv4_addr; }",
        "  set bound_arp { type ifname . ether_addr . ether_addr . ipv4_addr; }",
        *_prerouting(filtered=held["frame_filter"]),
        *_sideways(isolated=held["vm_isolation"]),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _forward(*, open_to_all: bool) -> list[str]:
    going = f'iifname "{NAT}" oifname "{UPLINK}"'
    coming = f'iifname "{UPLINK}" oifname "{NAT}"'
    allow = (
        [
            f"    {going} accept",
            f"    {coming} ct state established,related accept",
        ]
        if open_to_all
        else [
            (
                f"    {going} ct direction original ct state new,established"
                " ip saddr . ip daddr . meta l4proto . th dport @allowed counter name ip saddr map @allowed_of accept"
            ),
            (
                f"    {coming} ct direction reply ct state established"
                " ip daddr . ip saddr . meta l4proto . th sport @allowed accept"
            ),
            f"    {coming} ct state related icmp type destination-unreachable accept",
        ]
    )
    return [
        "  chain forward {",
        "    type filter hook forward priority filter; policy drop;",
        *allow,
        "    counter name ip saddr map @refused_of",
        _REFUSE,
        "  }",
    ]


def _input(*, forwards: bool, closed: bool) -> list[str]:
    asking = f'iifname "{NAT}" ip saddr @machines ip daddr {GATEWAY}'
    return [
        "  chain input {",
        "    type filter hook input priority filter; policy drop;",
        (
            f"    {asking} meta l4proto {{ tcp, udp }} th dport 53 limit rate {QUESTIONS_PER_S}/second"
            f" burst {QUESTIONS_PER_S} packets accept"
        ),
        f"    {asking} th dport 53 drop",
        *([] if closed else [f'    iifname "{NAT}" accept']),
        *([f'    iifname "{UPLINK}" ct state established accept'] if forwards else []),
        "    counter name ip saddr map @knocked_of",
        _REFUSE,
        "  }",
    ]


def _output(*, forwards: bool, closed: bool) -> list[str]:
    return [
        "  chain output {",
        "    type filter hook output priority filter; policy drop;",
        f'    oifname "{NAT}" ip saddr {GATEWAY} meta l4proto {{ tcp, udp }} th sport 53 accept',
        f'    oifname "{NAT}" icmp type destination-unreachable accept',
        *([] if closed else [f'    oifname "{NAT}" accept']),
        *([f'    oifname "{UPLINK}" th dport 53 accept'] if forwards else []),
        "  }",
    ]


def _prerouting(*, filtered: bool) -> list[str]:
    checks = [
        # The kernel takes tags off before it looks: without this rule a tagged packet is judged by what is inside.
        f"    ether type {{ {', '.join(_TAGS)} }} counter name iifname map @forged_of drop",
        (
            f"    ether daddr {{ {GATEWAY_MAC}, ff:ff:ff:ff:ff:ff }} arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
            f" arp operation {{ request, reply }} arp daddr ip {GATEWAY}"
            " iifname . ether saddr . arp saddr ether . arp saddr ip @bound_arp accept"
        ),
        (
            f"    ether daddr {GATEWAY_MAC} ip version 4 ip hdrlength 5 ip frag-off & 0x3fff == 0"
            " iifname . ether saddr . ip saddr @bound accept"
        ),
        f"    ether type {_RARP} drop",
        "    counter name iifname map @forged_of drop",
    ]
    return [
        "  chain prerouting {",
        "    type filter hook prerouting priority -300; policy drop;",
        "    iifname != @ports drop",
        *(checks if filtered else ["    accept"]),
        "  }",
    ]


def _sideways(*, isolated: bool) -> list[str]:
    verdict = "counter name iifname map @sideways_of drop" if isolated else "accept"
    return [
        "  chain sideways {",
        f"    type filter hook forward priority filter; policy {'drop' if isolated else 'accept'};",
        f"    {verdict}",
        "  }",
    ]


def admit(card: Card, allowed: Iterable[Allowed]) -> str:
    """What lets a machine's packets in, and on to `allowed`."""
    counters = [f"add counter {family} cordon {name}_{card.number}" for family in COUNTERS for name in COUNTERS[family]]
    return "\n".join([*counters, *(f"add element {element}" for element in _elements(card, allowed))]) + "\n"


def withdraw(card: Card, allowed: Iterable[Allowed]) -> str:
    """The opposite of `admit` with the same arguments."""
    counters = [
        f"delete counter {family} cordon {name}_{card.number}" for family in COUNTERS for name in COUNTERS[family]
    ]
    return "\n".join([*(f"delete element {element}" for element in _elements(card, allowed)), *counters]) + "\n"


def _elements(card: Card, allowed: Iterable[Allowed]) -> list[str]:
    """What the filter's sets and maps hold of a machine."""
    found = [
        f"inet cordon machines {{ {card.address} }}",
        f'bridge cordon ports {{ "{card.tap}" }}',
        f'bridge cordon bound {{ "{card.tap}" . {card.mac} . {card.address} }}',
        f'bridge cordon bound_arp {{ "{card.tap}" . {card.mac} . {card.mac} . {card.address} }}',
        *(f'inet cordon {name}_of {{ {card.address} : "{name}_{card.number}" }}' for name in COUNTERS["inet"]),
        *(f'bridge cordon {name}_of {{ "{card.tap}" : "{name}_{card.number}" }}' for name in COUNTERS["bridge"]),
    ]
    if destinations := [f"{card.address} . {to.address} . {to.proto} . {to.port}" for to in sorted(allowed)]:
        found.append(f"inet cordon allowed {{ {', '.join(destinations)} }}")
    return found


def subnet() -> str:
    """The gateway's address as `ip` wants it."""
    return f"{GATEWAY}/{MACHINES.prefixlen}"

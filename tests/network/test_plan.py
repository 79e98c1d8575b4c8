"""Addresses, names and endpoints: every machine its own, and no grant leads where none may."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import UnknownHostError
from executor.guest.network import address_of, gateway_of
from executor.network import plan
from executor.network.plan import Allowed, Card, Reach


@dataclass(frozen=True)
class Asked:
    """An endpoint."""

    host: str
    port: int = 443
    proto: str = "tcp"


HOSTS = {"mirror.cordon.test": (IPv4Address("198.18.0.10"), IPv4Address("198.18.0.11"))}
NUMBERS = st.integers(plan.FIRST, plan.LAST)


@given(NUMBERS)
def test_the_guest_reads_the_address_it_was_given(number: int) -> None:
    """Host and guest agree on address and gateway, by the hardware address alone."""
    card = Card(number)
    assert address_of(card.mac) == str(card.address)
    assert gateway_of(str(card.address)) == str(plan.GATEWAY)


@given(NUMBERS, NUMBERS)
def test_cards_share_nothing_and_have_names_of_one_length(one: int, other: int) -> None:
    """Saved machines are renamed in place: as long, and different."""
    first, second = Card(one), Card(other)
    assert len(first.tap) == len(second.tap) <= 15
    assert len(first.mac) == len(second.mac)
    same = {first.tap == second.tap, first.mac == second.mac, first.address == second.address}
    assert same == {one == other}


@given(st.sets(NUMBERS), NUMBERS)
def test_the_next_number_is_free_and_the_last_one_used_comes_last(taken: set[int], last: int) -> None:
    """Going round keeps a number out of use for as long as there are others."""
    number = plan.next_number(taken, last)
    if number is None:
        assert taken == set(range(plan.FIRST, plan.LAST + 1))
        return
    assert number not in taken
    assert number != last or len(taken) == plan.LAST - plan.FIRST


@given(st.integers(0, 2**31))
def test_links_lie_in_their_range(index: int) -> None:
    """Two neighbouring addresses of one /30."""
    far, near = plan.link_of(index)
    assert {far, near} == set(IPv4Network(f"{far}/30", strict=False).hosts())
    assert {far in plan.LINKS, near in plan.LINKS} == {True}


def test_a_reach_is_exactly_the_endpoints() -> None:
    """A name means its addresses on its port, an address itself; only names are answered."""
    reach = plan.reach_of([Asked("mirror.cordon.test"), Asked("198.18.0.99", 53, "udp")], HOSTS)
    assert reach == Reach(
        frozenset(
            {
                Allowed(IPv4Address("198.18.0.10"), "tcp", 443),
                Allowed(IPv4Address("198.18.0.11"), "tcp", 443),
                Allowed(IPv4Address("198.18.0.99"), "udp", 53),
            }
        ),
        HOSTS,
    )


@pytest.mark.parametrize("host", ["other.cordon.test", "cordon.test", "198.18.0.10.cordon.test", "", "::1"])
def test_a_host_nobody_listed_is_refused(host: str) -> None:
    """Nothing is looked up outside."""
    with pytest.raises(UnknownHostError, match=r"network\.hosts"):
        plan.reach_of([Asked(host)], HOSTS)


@pytest.mark.parametrize("network", plan.NEVER, ids=str)
def test_nothing_leads_where_no_grant_may_lead(network: IPv4Network) -> None:
    """Neither as an address nor behind a name: a zone that is wrong opens nothing."""
    for address in (network[0], network[-1]):
        with pytest.raises(UnknownHostError, match="where no grant may lead"):
            plan.reach_of([Asked(str(address))], HOSTS)
        with pytest.raises(UnknownHostError, match="where no grant may lead"):
            plan.reach_of([Asked("x.test")], {"x.test": (IPv4Address("198.18.0.10"), address)})

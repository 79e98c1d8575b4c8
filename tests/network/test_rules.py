"""The filter's text: nothing but values of the right kind gets into it; taking back undoes exactly what was let in."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.network import plan, rules
from executor.network.plan import Allowed, Card
from executor.network.plane import CONTROLS
from executor.weaken import HOST_CONTROLS

CARDS = st.integers(plan.FIRST, plan.LAST).map(Card)
ALLOWED = st.frozensets(
    st.builds(Allowed, st.ip_addresses(v=4), st.sampled_from(["tcp", "udp"]), st.integers(1, 65535)), max_size=20
)
LINE = re.compile(
    r"add (counter (inet|bridge) cordon [a-z]+_\d+"
    r"|element (inet|bridge) cordon [a-z_]+ \{ [\w\".: ,]+ \})"
)


@given(CARDS, ALLOWED)
def test_admitting_adds_what_the_grant_says_and_nothing_else(card: Card, allowed: frozenset[Allowed]) -> None:
    """Every line adds an element or a counter of this card; the destinations are exactly the granted ones."""
    text = rules.admit(card, allowed)
    lines = text.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    found = re.findall(r"(\S+) \. (\S+) \. (tcp|udp) \. (\d+)", text)
    assert {(sender, IPv4Address(to), proto, int(port)) for sender, to, proto, port in found} == {
        (str(card.address), to.address, to.proto, to.port) for to in allowed
    }
    mentioned = set(re.findall(r"cordontap\d+", text)) | set(
        re.findall(r"198\.19\.0\.\d+(?= )", text.split(" allowed ")[0])
    )
    assert mentioned == {card.tap, str(card.address)}


@given(CARDS, ALLOWED)
def test_withdrawing_names_the_same_things(card: Card, allowed: frozenset[Allowed]) -> None:
    """What was added, and nothing more, is deleted."""
    added = {line.removeprefix("add ") for line in rules.admit(card, allowed).splitlines()}
    deleted = {line.removeprefix("delete ") for line in rules.withdraw(card, allowed).splitlines()}
    assert added == deleted


def test_every_chain_drops_by_default() -> None:
    """The last word of each filter chain of the full-strength network is no."""
    chains = re.findall(r"type filter hook (\w+) priority [^;]+; policy (\w+);", rules.base())
    assert chains == [
        ("forward", "drop"),
        ("input", "drop"),
        ("output", "drop"),
        ("prerouting", "drop"),
        ("forward", "drop"),
    ]


@pytest.mark.parametrize("control", sorted(CONTROLS))
def test_each_control_changes_the_filter_or_the_port(control: str) -> None:
    """A control that could be taken away without a difference would be none; each is in the switchboard."""
    assert control in HOST_CONTROLS
    assert rules.base(frozenset({control})) != rules.base()


def test_what_is_no_control_changes_nothing() -> None:
    """Controls of the guest have no say in the host's network."""
    assert rules.base(frozenset({"seccomp", "quota"})) == rules.base()

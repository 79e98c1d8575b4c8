"""Whatever a machine asks: no exception, no name outside its zone is answered, nothing is longer than it must be."""

from __future__ import annotations

import json
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.network import dns
from executor.network.questions import KEPT, Questions
from tests.network.frames import query

ZONE = {"mirror.cordon.test": (IPv4Address("198.18.0.10"),), "many.cordon.test": tuple(map(IPv4Address, range(1, 21)))}
LABEL = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1, max_size=63)


def rcode_and_addresses(reply: bytes) -> tuple[int, list[str]]:
    """What a client reads: the code, and the addresses at the end."""
    count = struct.unpack_from(">H", reply, 6)[0]
    records = [reply[len(reply) - 16 * n : len(reply) - 16 * (n - 1) or None] for n in range(count, 0, -1)]
    return reply[3] & 15, [str(IPv4Address(record[-4:])) for record in records]


def asked(packet: bytes) -> dns.Answer:
    """The answer, which there must be."""
    found = dns.answer(packet, ZONE)
    assert found is not None
    return found


@given(st.binary(max_size=600))
def test_garbage_never_raises_and_never_gets_an_address(packet: bytes) -> None:
    """Any bytes: no exception; an answer, where there is one, holds an address only for a name of the zone."""
    found = dns.answer(packet, ZONE)
    if found is not None:
        assert found.reply[:2] == packet[:2]
        assert found.reply[2] & 0x80
        assert len(found.reply) <= dns.MAX_BYTES + 16 * dns.MAX_ADDRESSES
        if rcode_and_addresses(found.reply)[1]:
            assert found.name in ZONE


@given(st.binary(max_size=80), st.integers(0, 79), st.sampled_from(sorted(ZONE)))
def test_damaged_questions_never_raise(noise: bytes, at: int, name: str) -> None:
    """A good question with bytes replaced or added anywhere is answered by the rules or not at all."""
    good = query(name)
    damaged = good[:at] + noise + good[at + len(noise) :]
    found = dns.answer(damaged, ZONE)
    assert found is None or found.rcode in {dns.NOERROR, dns.FORMERR, dns.NXDOMAIN, dns.NOTIMP, dns.REFUSED}


@given(st.lists(LABEL, min_size=1, max_size=5).map(".".join).filter(lambda name: name.lower() not in ZONE))
def test_names_outside_the_zone_do_not_exist(name: str) -> None:
    """NXDOMAIN, no record, and the name as it was asked for is told, in lower case."""
    if len(name) > dns.MAX_NAME:
        return
    found = asked(query(name))
    assert (found.rcode, rcode_and_addresses(found.reply)[1]) == (dns.NXDOMAIN, [])
    assert found.longest_label == max(map(len, name.split(".")))


@pytest.mark.parametrize("name", ["mirror.cordon.test", "MIRROR.Cordon.TEST"])
def test_names_of_the_zone_have_their_addresses(name: str) -> None:
    """Case does not matter, as RFC 4343 says; the question is echoed as it came."""
    packet = query(name)
    found = asked(packet)
    assert rcode_and_addresses(found.reply) == (dns.NOERROR, ["198.18.0.10"])
    assert packet[12:] in found.reply


def test_an_answer_holds_eight_addresses_at_most() -> None:
    """However many an operator lists."""
    assert len(rcode_and_addresses(asked(query("many.cordon.test")).reply)[1]) == dns.MAX_ADDRESSES


@pytest.mark.parametrize("kind", [2, 5, 12, 15, 16, 28, 255], ids=["NS", "CNAME", "PTR", "MX", "TXT", "AAAA", "ANY"])
def test_other_types_of_a_known_name_are_empty(kind: int) -> None:
    """The name exists, and has nothing of that kind: an honest resolver then asks for A."""
    assert rcode_and_addresses(asked(query("mirror.cordon.test", kind)).reply) == (dns.NOERROR, [])


BAD = {
    "two questions": (b"\0\1\1\0\0\2\0\0\0\0\0\0" + query("a.b")[12:] * 2, dns.FORMERR),
    "no question": (b"\0\1\1\0\0\0\0\0\0\0\0\0", dns.FORMERR),
    "an answer in it": (b"\0\1\1\0\0\1\0\1\0\0\0\0" + query("a.b")[12:], dns.FORMERR),
    "compressed": (query("a.b")[:12] + b"\xc0\x0c\0\1\0\1", dns.FORMERR),
    "cut short": (query("mirror.cordon.test")[:-3], dns.FORMERR),
    "bytes after the end": (query("mirror.cordon.test") + b"x", dns.FORMERR),
    "a name of 254": (query(".".join(["a" * 62] * 4) + ".bb"), dns.FORMERR),
    "another class": (query("mirror.cordon.test")[:-1] + b"\3", dns.REFUSED),
    "an update": (b"\0\1\x28\0" + query("mirror.cordon.test")[4:], dns.NOTIMP),
    "no EDNS": (query("a.b")[:11] + b"\1" + query("a.b")[12:] + b"\0\0\1\0\1\0\0\0\0\0\0", dns.FORMERR),
}


@pytest.mark.parametrize(("packet", "rcode"), BAD.values(), ids=list(BAD))
def test_each_rule_refuses_in_its_own_way(packet: bytes, rcode: int) -> None:
    """One thing wrong, one code."""
    assert asked(packet).rcode == rcode


def test_edns_is_borne() -> None:
    """What every resolver library sends today."""
    packet = query("mirror.cordon.test")
    packet = packet[:11] + b"\1" + packet[12:] + b"\0\0\x29\4\xd0\0\0\0\0\0\0"
    assert rcode_and_addresses(asked(packet).reply) == (dns.NOERROR, ["198.18.0.10"])


@pytest.mark.parametrize(
    "packet",
    [b"", b"\0" * 11, b"\0" * 513, b"\0\1\x81" + query("mirror.cordon.test")[3:]],
    ids=["", "short", "long", "reply"],
)
def test_what_is_no_question_has_no_reply(packet: bytes) -> None:
    """Nobody can be made to talk to somebody else."""
    assert dns.answer(packet, ZONE) is None


def test_a_dot_inside_a_label_makes_no_known_name() -> None:
    """`mirror.cordon` as one label is another name than as two."""
    packet = query("a.b")[:12] + b"\x0dmirror.cordon\x04test\0\0\1\0\1"
    assert asked(packet).rcode == dns.NXDOMAIN


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=300))
def test_the_record_of_questions_is_bounded(labels: list[bytes]) -> None:
    """However much was asked, what is recorded fits an event and is plain JSON."""
    questions = Questions()
    for label in labels:
        packet = query("a")[:12] + bytes([len(label)]) + label + b"\0\0\1\0\1"
        questions.add(dns.answer(packet, ZONE))
    record = questions.record()
    assert record["asked"] == len(labels)
    assert len(record["refused_names"]) <= KEPT
    assert len(json.dumps(record)) < 64 * 1024
    assert record["longest_label"] == max(map(len, labels), default=0)


def test_encoded_data_stands_out() -> None:
    """Bits per character: base32 of random bytes well above a host name."""
    assert dns.entropy("mirror.cordon.test") < 3.6
    assert dns.entropy("nbswy3dpeb3w64tmmqqgs5dtebqw4idfpbqw24dmmuqg6zrame.exfil.test") > 4.0

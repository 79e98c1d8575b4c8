"""Questions for names, read and answered. Pure: bytes in, bytes out; nothing is ever forwarded.

What a question goes through, in order; the first that fails decides:

1. shorter than a header, longer than 512 bytes, itself an answer    no reply
2. not a standard query                                              NOTIMP
3. not exactly one question, further records but one EDNS, a name that is compressed, too long or cut short,
   bytes after the end                                               FORMERR
4. another class than IN                                             REFUSED
5. a name that is not in the zone                                    NXDOMAIN
6. another type than A                                               an empty answer
7. addresses, at most eight, to be kept for 5 s

(RFC 1035 section 4.) Names are compared in lower case, as RFC 4343 says. A name that is no host name has no special
case: it is in no zone.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

MAX_BYTES: Final = 512
"""RFC 1035's limit of a datagram: nobody who asks for a name of an allowlist needs more."""
MAX_NAME: Final = 253
MAX_ADDRESSES: Final = 8
TTL_S: Final = 5
A: Final = 1
IN: Final = 1
OPT: Final = 41
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 3, 4, 5
_HEADER: Final = struct.Struct(">HHHHHH")
_PRINTABLE: Final = range(0x21, 0x7F)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question."""

    reply: bytes
    rcode: int
    name: str
    """As asked, in lower case, unprintable bytes as `\\ddd`; empty when none could be read."""
    kind: int
    longest_label: int


class _MalformedError(Exception):
    """The question cannot be read."""


def answer(packet: bytes, zone: Mapping[str, tuple[IPv4Address, ...]]) -> Answer | None:
    """The answer to `packet` by `zone`; None when there must be none. Never raises."""
    if not _HEADER.size <= len(packet) <= MAX_BYTES:
        return None
    ident, flags, *counts = _HEADER.unpack_from(packet)
    if flags & 0x8000:
        return None
    if flags & 0x7800:
        return _bare(ident, flags, NOTIMP)
    try:
        labels, kind, klass, end = _question(packet, counts)
    except (_MalformedError, struct.error, IndexError):
        return _bare(ident, flags, FORMERR)
    question = packet[_HEADER.size : end]
    name = ".".join(_shown(label) for label in labels)
    longest = max(map(len, labels), default=0)
    addresses = zone.get(name)
    if klass != IN:
        rcode = REFUSED
    elif addresses is None:
        rcode = NXDOMAIN
    else:
        rcode = NOERROR
    given = addresses[:MAX_ADDRESSES] if rcode == NOERROR and addresses and kind == A else ()
    records = b"".join(struct.pack(">HHHIH", 0xC00C, A, IN, TTL_S, 4) + address.packed for address in given)
    reply = _head(ident, flags, rcode, 1, len(given)) + question + records
    return Answer(reply, rcode, name, kind, longest)


def _question(packet: bytes, counts: list[int]) -> tuple[list[bytes], int, int, int]:
    """(labels, type, class, where it ends)."""
    questions, answers, authorities, additional = counts
    if questions != 1 or answers or authorities or additional > 1:
        raise _MalformedError
    at = _HEADER.size
    labels: list[bytes] = []
    while length := packet[at]:
        if length > 63 or at + 1 + length > len(packet):
            raise _MalformedError
        labels.append(packet[at + 1 : at + 1 + length].lower())
        at += 1 + length
        if at - _HEADER.size > MAX_NAME + 1:
            raise _MalformedError
    kind, klass = struct.unpack_from(">HH", packet, at + 1)
    end = at + 5
    after = end
    if additional:
        root, option, _size, _flags, length = struct.unpack_from(">BHHIH", packet, end)
        if root or option != OPT:
            raise _MalformedError
        after = end + 11 + length
    if after != len(packet):
        raise _MalformedError
    return labels, kind, klass, end


def _head(ident: int, flags: int, rcode: int, questions: int, answers: int) -> bytes:
    """A reply's header: authoritative, no recursion on offer, the asker's wish for it echoed."""
    return _HEADER.pack(ident, 0x8400 | flags & 0x0100 | rcode, questions, answers, 0, 0)


def _bare(ident: int, flags: int, rcode: int) -> Answer:
    return Answer(_head(ident, flags, rcode, 0, 0), rcode, "", 0, 0)


def _shown(label: bytes) -> str:
    r"""A label as text: a dot or an unprintable byte in it is spelled `\ddd`, so that it never equals a plain name."""
    return "".join(chr(byte) if byte in _PRINTABLE and byte not in b".\\" else f"\\{byte:03d}" for byte in label)


def entropy(name: str) -> float:
    """Bits per character of `name`: host names stay below 4, encoded data above."""
    if not name:
        return 0.0
    return -sum(n / len(name) * math.log2(n / len(name)) for n in Counter(name).values())

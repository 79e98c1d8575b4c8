"""The frame parser against anything a guest can send."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.channel.frame import HEADER, MAGIC, MAX_PAYLOAD, MAX_SEQUENCE, Frame, FrameError, FrameParser, encode

PAYLOADS = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8)


def stream(payloads: list[bytes]) -> bytes:
    return b"".join(encode(number, payload) for number, payload in enumerate(payloads, 1))


def header(magic: int = MAGIC, length: int = 1, crc: int = 0, sequence: int = 1) -> bytes:
    return struct.pack("<IIII", magic, length, crc, sequence)


@given(payloads=PAYLOADS, cuts=st.lists(st.integers(0, 2600), max_size=12))
def test_any_cutting_of_a_stream_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    """Where the socket cuts the bytes changes nothing."""
    whole = stream(payloads)
    parser = FrameParser()
    frames: list[Frame] = []
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    for begin, end in pairwise(edges):
        frames.extend(parser.feed(whole[begin:end]))
    assert frames == [Frame(number, payload) for number, payload in enumerate(payloads, 1)]
    assert parser.pending == 0


@given(payloads=PAYLOADS, data=st.data())
def test_one_flipped_bit_anywhere_never_yields_a_changed_payload(payloads: list[bytes], data: st.DataObject) -> None:
    """After any single bit flip the parser yields only true frames before it, then refuses or waits."""
    whole = bytearray(stream(payloads))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    parser = FrameParser()
    seen: list[Frame] = []
    try:
        for frame in parser.feed(bytes(whole)):
            seen.append(frame)  # noqa: PERF402 - frames before the violation count
    except FrameError as error:
        reason = error.reason
    else:
        reason = "waiting" if parser.pending else "accepted"
    assert reason in {"bad_magic", "empty", "too_long", "bad_sequence", "bad_crc", "waiting"}
    assert seen == [Frame(number, payload) for number, payload in enumerate(payloads[: len(seen)], 1)]
    assert len(seen) < len(payloads)


@given(junk=st.binary(max_size=2000))
def test_junk_raises_the_declared_error_or_waits(junk: bytes) -> None:
    """No input raises anything but FrameError, and nothing is kept beyond one frame."""
    parser = FrameParser()
    try:
        list(parser.feed(junk))
    except FrameError:
        with pytest.raises(FrameError, match="already broke"):
            list(parser.feed(b"x"))
    assert parser.pending <= len(junk)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (header(magic=0xDEADBEEE), "bad_magic"),
        (header(length=0), "empty"),
        (header(length=MAX_PAYLOAD + 1), "too_long"),
        (header(length=0xFFFFFFFF), "too_long"),
        (header(sequence=0), "bad_sequence"),
        (header(sequence=2), "bad_sequence"),
        (header(sequence=MAX_SEQUENCE), "bad_sequence"),
        (header(crc=1) + b"x", "bad_crc"),
        (header(crc=zlib.crc32(b"x")) + b"x", "bad_crc"),
    ],
    ids=["magic", "length-0", "length-max+1", "length-4G", "replayed", "skipped", "last-id", "crc", "crc-without-id"],
)
def test_each_rule_refuses_with_its_own_reason(data: bytes, reason: str) -> None:
    """A header that breaks one rule is refused for that rule."""
    with pytest.raises(FrameError) as caught:
        list(FrameParser().feed(data))
    assert caught.value.reason == reason


def test_the_longest_frame_passes_and_one_byte_more_does_not() -> None:
    """16 MiB is allowed, 16 MiB + 1 is refused by both sides before a byte of it is kept."""
    payload = bytes(MAX_PAYLOAD)
    assert [len(frame.payload) for frame in FrameParser().feed(encode(1, payload))] == [MAX_PAYLOAD]
    with pytest.raises(FrameError, match="over"):
        encode(1, payload + b"x")
    parser = FrameParser()
    with pytest.raises(FrameError, match="over"):
        list(parser.feed(HEADER.pack(MAGIC, MAX_PAYLOAD + 1, 0, 1)))
    assert parser.pending <= HEADER.size


def test_a_replayed_frame_is_refused() -> None:
    """The same bytes twice: the second time they are a violation."""
    parser = FrameParser()
    frame = encode(1, b"x")
    assert len(list(parser.feed(frame))) == 1
    with pytest.raises(FrameError) as caught:
        list(parser.feed(frame))
    assert caught.value.reason == "bad_sequence"


def test_expected_tells_the_length_of_the_frame_under_way() -> None:
    """Deadlines are computed from the length the header announces."""
    parser = FrameParser()
    assert list(parser.feed(encode(1, b"x" * 100)[:50])) == []
    assert (parser.pending, parser.expected) == (50, 116)

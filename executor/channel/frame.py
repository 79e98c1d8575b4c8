"""Frames of the guest channel: a pure parser, no IO. The guest agent and the host use this same file.

A frame is a 16-byte little-endian header and a payload:

    offset  size  field
    0       4     magic 0xDEADBEEF
    4       4     payload length, at most 16 MiB
    8       4     CRC-32 (zlib) over the sequence id's four bytes and the payload
    12      4     sequence id: the first frame of a direction is 1, each next one more, wrapping is a violation

Admission rules, in this order; the first broken one is raised and the parser is spent:

1. the magic is right,
2. the length is not 0 and not over the limit (checked before any payload is kept),
3. the sequence id is exactly the next one (replayed, skipped and wrapped ids alike are refused),
4. the CRC matches.

Only then is the payload handed on. The CRC covers the sequence id so that a replayed payload cannot be given a new id
by flipping header bits alone. The channel's peer is not trusted: the CRC finds line faults, not lies.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PROTOCOL: Final = 1
MAGIC: Final = 0xDEADBEEF
HEADER: Final = struct.Struct("<IIII")
MAX_PAYLOAD: Final = 16 * 1024 * 1024
"""Bytes; DESIGN 5.5."""
MAX_SEQUENCE: Final = 0xFFFFFFFF


class FrameError(Exception):
    """A broken frame. `reason` is one of bad_magic, empty, too_long, bad_sequence, bad_crc, spent."""

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is the stable code, `message` one line for the person."""
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Frame:
    """One verified frame."""

    sequence: int
    payload: bytes


def _crc(sequence: int, payload: bytes | bytearray | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(sequence.to_bytes(4, "little")))


def encode(sequence: int, payload: bytes) -> bytes:
    """The frame for `payload`; raises `FrameError` when the payload or the sequence id cannot be framed."""
    if not payload:
        raise FrameError("empty", "a frame carries at least one byte")
    if len(payload) > MAX_PAYLOAD:
        raise FrameError("too_long", f"payload of {len(payload)} bytes is over {MAX_PAYLOAD}")
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise FrameError("bad_sequence", f"sequence id {sequence} is outside 1..{MAX_SEQUENCE}")
    return HEADER.pack(MAGIC, len(payload), _crc(sequence, payload), sequence) + payload


class FrameParser:
    """Bytes in, verified frames out. Keeps at most one frame's bytes beyond what was fed.

    After a violation every further call raises `FrameError("spent")`: nothing behind a broken frame is trusted.
    """

    def __init__(self, *, max_payload: int = MAX_PAYLOAD) -> None:
        """`max_payload` in bytes may be lowered, never raised over the protocol's limit."""
        self.checked = True
        """False takes the rules away: a drill's positive control."""
        self._buffer = bytearray()
        self._next = 1
        self._max = min(max_payload, MAX_PAYLOAD)
        self._spent = False

    @property
    def pending(self) -> int:
        """Bytes kept of a frame that is not complete; above 0 a deadline should run."""
        return len(self._buffer)

    @property
    def expected(self) -> int:
        """Length in bytes of the frame that is being received, header included; 0 while its header is not complete."""
        if len(self._buffer) < HEADER.size:
            return 0
        return HEADER.size + int(HEADER.unpack_from(self._buffer)[1])

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Frame]:
        """Yield each frame that `data` completes; raises `FrameError` at the first broken rule."""
        if self._spent:
            raise FrameError("spent", "this channel already broke the protocol")
        self._buffer += data
        offset = 0
        try:
            while len(self._buffer) - offset >= HEADER.size:
                frame, offset_next = self._take(offset)
                if frame is None:
                    break
                offset = offset_next
                yield frame
        finally:
            del self._buffer[:offset]

    def _take(self, offset: int) -> tuple[Frame | None, int]:
        magic, length, crc, sequence = HEADER.unpack_from(self._buffer, offset)
        if not self.checked:
            end = offset + HEADER.size + length
            whole = len(self._buffer) >= end
            return (Frame(sequence, bytes(self._buffer[offset + HEADER.size : end])), end) if whole else (None, offset)
        if magic != MAGIC:
            raise self._violation("bad_magic", f"magic is {magic:#010x}, not {MAGIC:#010x}")
        if length == 0:
            raise self._violation("empty", "payload length is 0")
        if length > self._max:
            raise self._violation("too_long", f"payload length {length} is over {self._max}")
        if sequence != self._next:
            raise self._violation("bad_sequence", f"sequence id is {sequence}, expected {self._next}")
        end = offset + HEADER.size + length
        if len(self._buffer) < end:
            return None, offset
        with memoryview(self._buffer) as view, view[offset + HEADER.size : end] as body:
            if _crc(sequence, body) != crc:
                raise self._violation("bad_crc", f"CRC of frame {sequence} does not match")
            payload = bytes(body)
        self._next = sequence + 1
        return Frame(sequence, payload), end

    def _violation(self, reason: str, message: str) -> FrameError:
        self._spent = True
        return FrameError(reason, message)

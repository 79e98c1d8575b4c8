r"""Documents as they are once a plain disguise is taken off: what a secret scanner that reads bytes would walk past.

Not a search for secrets (that is the scanner's), only other readings of the same document, as deep as `DEPTH`:

- joined: text that a language joins again (`"ab" + "cd"`, adjacent literals, a backslash at a line's end), and text
  with characters of no width in it,
- decoded: base64, also wrapped over lines, and hex, `\\xNN` and `%NN` that stand for readable text,
- unpacked: gzip, zlib, bzip2, xz, zip, tar, UTF-16.

Every reading knows the line of the document it came from. All of them are bounded: what is beyond is not read.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

DEPTH: Final = 2
"""Disguises one over the other that are taken off."""
MAX_UNPACKED: Final = 4 << 20
"""Bytes read from packed data; a bomb ends here."""
MAX_RUNS: Final = 20_000
"""Joints, and encoded runs, that are looked at in one document."""
MAX_MEMBERS: Final = 1000
"""Members of an archive that are read."""
# Each begins with one set of bytes, so that the engine skips what cannot begin a match (16 MiB: seconds without that).
_JOIN: Final = re.compile(
    rb"[\\\"'\xc2\xe2\xef](?:"
    rb"(?<=\\)\r?\n[ \t]*"
    rb"|(?<=[\"'])[ \t]{0,80}(?:[+.&]|\|\||\\)?[ \t]{0,80}(?:\\?\r?\n[ \t]{0,200})?"
    rb"(?:[+.&][ \t]{0,80})?[bBfFrRuU]{0,2}[\"']"
    rb"|(?<=\xc2)\xad|(?<=\xe2)(?:\x80[\x8b-\x8f]|\x81[\xa0-\xa4])|(?<=\xef)\xbb\xbf)"
)
_BASE64: Final = re.compile(
    rb"[A-Za-z0-9+/_-](?<![A-Za-z0-9+/_-].)[A-Za-z0-9+/_-]{23,}(?:\r?\n[ \t]{0,80}[A-Za-z0-9+/_-]{4,})*={0,2}"
)
_HEX: Final = re.compile(
    rb"[0-9a-fA-F](?<![0-9a-fA-F].)(?:[0-9a-fA-F]{39,})"
    rb"|\\x[0-9a-fA-F]{2}(?:\\x[0-9a-fA-F]{2}){7,}|%[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2}){7,}"
)
_READABLE: Final = re.compile(rb"[\t\n\r\x20-\x7e]{8,}")


class Reading(NamedTuple):
    """A document read otherwise; `lines` is the line of the original for each line of `content`."""

    content: bytes
    lines: tuple[int, ...]

    def line(self, number: int) -> int:
        """The original's line for line `number` (from 1)."""
        return self.lines[min(number, len(self.lines)) - 1]


def readings(document: bytes, depth: int = DEPTH) -> Iterator[Reading]:
    """The other readings of `document`; none for a plain one."""
    for take_off in (_unpacked, _decoded, _joined):
        reading = take_off(document)
        if reading is None:
            continue
        yield reading
        if depth > 1:
            for inner in readings(reading.content, depth - 1):
                yield Reading(inner.content, tuple(map(reading.line, inner.lines)))


def _joined(document: bytes) -> Reading | None:
    pieces, lines, at, line = [], [1], 0, 1
    for match in islice(_JOIN.finditer(document), MAX_RUNS):
        between = document[at : match.start()]
        pieces.append(between)
        for _ in range(between.count(b"\n")):
            line += 1
            lines.append(line)
        line += match[0].count(b"\n")
        at = match.end()
    if not pieces:
        return None
    rest = document[at:]
    pieces.append(rest)
    lines += range(line + 1, line + 1 + rest.count(b"\n"))
    return Reading(b"".join(pieces), tuple(lines))


def _decoded(document: bytes) -> Reading | None:
    found: list[bytes] = []
    lines: list[int] = []
    at, line = 0, 1
    runs = (*islice(_BASE64.finditer(document), MAX_RUNS), *islice(_HEX.finditer(document), MAX_RUNS))
    for match in sorted(runs, key=lambda one: one.start()):
        line += document.count(b"\n", at, match.start())
        at = match.start()
        for offset, text in _texts(match):
            found.append(text)
            lines += [line + offset] * (text.count(b"\n") + 1)
    return Reading(b"\n".join(found), tuple(lines)) if found else None


def _texts(match: re.Match[bytes]) -> Iterator[tuple[int, bytes]]:
    """What a run stands for, as a whole or else line by line, each with how many lines further down it begins."""
    if match.re is _HEX:
        whole = _hex(match[0])
        yield from [(0, whole)] if whole else []
        return
    lines = match[0].split(b"\n")[:MAX_RUNS]
    for first, last in ((0, None), (0, -1), (1, None)):  # a plain word beside it can look like a line of it
        if whole := _base64(b"".join(lines[first:last])):
            yield first, whole
            return
    yield from (piece for piece in enumerate(map(_base64, lines)) if piece[1])


def _base64(text: bytes) -> bytes:
    """What `text` stands for, when that can be read or is packed; else nothing: most such text is no base64 at all."""
    plain = b"".join(text.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    content = base64.b64decode(plain + b"=" * (-len(plain) % 4))
    if _READABLE.fullmatch(content):
        return content
    unpacked = _unpacked(content)
    return unpacked.content if unpacked else b""


def _hex(text: bytes) -> bytes:
    digits = text.replace(b"\\x", b"").replace(b"%", b"")
    content = binascii.unhexlify(digits[: len(digits) // 2 * 2])
    return content if _READABLE.fullmatch(content) else b""


def _unpacked(document: bytes) -> Reading | None:
    content = b""
    try:
        if document[:2] in (b"\xff\xfe", b"\xfe\xff"):
            content = document.decode("utf-16", "replace").encode()
        elif document[:4] == b"PK\x03\x04":
            content = _zip(document)
        elif document[257:262] == b"ustar":
            content = _tar(document)
        else:
            content = _stream(document)
            if content[257:262] == b"ustar":
                content = _tar(content)
    except (ValueError, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError,
            tarfile.TarError, zipfile.BadZipFile):  # fmt: skip
        return None  # not what it looked like: then its bytes are all there is
    return Reading(content, (1,)) if content else None


def _stream(document: bytes) -> bytes:
    if document[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(document, MAX_UNPACKED)
    if document[:1] == b"\x78" and document[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return zlib.decompressobj().decompress(document, MAX_UNPACKED)
    if document[:3] == b"BZh":
        return bz2.BZ2Decompressor().decompress(document, MAX_UNPACKED)
    if document[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMADecompressor(memlimit=256 << 20).decompress(document, MAX_UNPACKED)
    return b""


def _zip(document: bytes) -> bytes:
    pieces, left = [], MAX_UNPACKED
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        for member in archive.infolist()[:MAX_MEMBERS]:
            if left > 0 and not member.flag_bits & 1:  # an encrypted one cannot be read
                with archive.open(member) as stream:
                    pieces.append(stream.read(left))
                left -= len(pieces[-1])
    return b"\n".join(pieces)


def _tar(document: bytes) -> bytes:
    pieces, left = [], MAX_UNPACKED
    with tarfile.open(fileobj=io.BytesIO(document), mode="r:") as archive:
        for number, member in enumerate(archive):
            stream = archive.extractfile(member) if member.isreg() else None
            if number >= MAX_MEMBERS or left <= 0:
                break
            if stream is not None:
                pieces.append(stream.read(left))
                left -= len(pieces[-1])
    return b"\n".join(pieces)

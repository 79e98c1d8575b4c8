"""What the scanner must find, and the harmless twin of each that it must leave alone.

Every secret is made up at run time from a seeded generator, so that this file holds none.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import random
import string
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.intent import Command, FileIn, Intent
from executor.sentinel.disguise import MAX_UNPACKED, Reading, readings
from executor.sentinel.review import Sentinel
from executor.sentinel.scanner import KingfisherScanner
from executor.sentinel.verdict import Review

WORD = string.ascii_letters + string.digits
BASE64 = WORD + "+/"
RANDOM = random.Random(20260101)  # noqa: S311 - nothing here is to be kept secret


def word(length: int, alphabet: str = WORD) -> str:
    """`length` characters, one of them a digit when the alphabet has any."""
    return "".join(RANDOM.choice(alphabet) for _ in range(length - 1)) + ("7" if "7" in alphabet else alphabet[0])


def block(kind: str, lines: int) -> str:
    dashes = "-" * 5
    body = "\n".join(word(64, BASE64) for _ in range(lines))
    return f"{dashes}BEGIN {kind}{dashes}\n{body}\n{dashes}END {kind}{dashes}\n"


SECRETS: dict[str, Callable[[], str]] = {
    "aws_key_id": lambda: "AK" + "IA" + word(16, string.ascii_uppercase + "234567"),
    "aws_secret": lambda: f"aws_secret_access_key = {word(40, BASE64)}",
    "rsa_key": lambda: block("RSA PRIVATE " + "KEY", 12),
    "openssh_key": lambda: block("OPENSSH PRIVATE " + "KEY", 6),
    "ec_key": lambda: block("EC PRIVATE " + "KEY", 3),
    "pkcs8_key": lambda: block("PRIVATE " + "KEY", 2),
    "github": lambda: "gh" + "p_" + word(36),
    "github_fine": lambda: "github_" + "pat_" + word(22) + "_" + word(59),
    "slack": lambda: "xo" + "xb-" + word(12, string.digits) + "-" + word(13, string.digits) + "-" + word(24),
    "stripe": lambda: "sk_" + "live_" + word(24),
    "password": lambda: f'password = "{word(20)}"',
    "password_env": lambda: f"DB_PASSWORD={word(24, WORD + '!#%&*')}",
    "api_key": lambda: f"api_key: {word(32)}",
    "option": lambda: f"mysql --password {word(16)}",
    "uri": lambda: f"postgres://admin:{word(16)}@db.internal:5432/app",
}

HARMLESS = {
    "aws_documented": "AKIAIOSFODNN7" + "EXAMPLE",
    "public_key": block("PUBLIC " + "KEY", 4),
    "prompt": 'password = input("Password: ")',
    "from_environment": 'token = os.environ["TOKEN"]',
    "type": 'password: str = Field(description="the password")',
    "placeholder": "api_key=your-api-key-here-12345",
    "path": "PASSWORD_FILE=/run/secrets/password_2024",
    "call": "secret = config.load_secret_v2_from_file()",
    "digest": f'sha256 = "{word(64, "0123456789abcdef")}"',
    "commit": f"commit {word(40, '0123456789abcdef')}",
    "prose": "passwords are compared in constant time, see RFC 8017",
}


def in_file(text: str) -> Intent:
    return Intent("i", "cbo", (Command(("true",)),), files=(FileIn("/workspace/settings", text.encode()),))


@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_fails_the_review_and_is_not_repeated(sentinel: Sentinel, name: str) -> None:
    """Each kind of secret is found on its line, and no part of it is in the review."""
    secret = SECRETS[name]()
    review = sentinel.review(in_file(f"first = 1\n{secret}\nlast = 1\n"))
    assert review.verdict == "FAIL"
    assert {(item.kind, item.path, item.line) for item in review.findings} == {("secret", "/workspace/settings", 2)}
    told = repr(review)
    assert not [secret[at : at + 9] for at in range(len(secret) - 8) if secret[at : at + 9] in told.replace("-", "")]


@pytest.mark.parametrize("name", HARMLESS)
def test_its_harmless_twin_passes(sentinel: Sentinel, name: str) -> None:
    """What only looks like a secret is no reason to refuse."""
    review = sentinel.review(in_file(f"first = 1\n{HARMLESS[name]}\nlast = 1\n"))
    assert (review.verdict, review.findings) == ("PASS", ())


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.b64encode(base64.b64encode(text.encode())),
        lambda text: text.encode("utf-16"),
        lambda text: f"{text}  # kingfisher:ignore gitleaks:allow pragma: allowlist secret".encode(),
        lambda text: b"\x00\xff\xfe binary \x00" + text.encode() + b"\x00\x80",
    ],
    ids=["base64", "base64_twice", "utf16", "ignore_comment", "between_binary"],
)
def test_a_disguise_does_not_hide_a_secret(scanner: KingfisherScanner, disguise: Callable[[str], bytes]) -> None:
    """Encodings and comments that ask to be ignored change nothing."""
    hits = scanner.scan(disguise("token: gh" + "p_" + word(36) + " "))
    assert "betterleaks.github-pat" in {hit.rule for hit in hits}


def packed(text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("notes")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def zipped(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes", text)
    return stream.getvalue()


DISGUISES: dict[str, Callable[[str], bytes]] = {
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64_in_lines": lambda text: b"word\n" + base64.encodebytes(b"x" * 50 + text.encode() + b"y" * 60) + b"word\n",
    "hex": lambda text: text.encode().hex().encode(),
    "escapes": lambda text: "".join(f"\\x{ord(char):02x}" for char in text).encode(),
    "percent": lambda text: "".join(f"%{ord(char):02X}" for char in text).encode(),
    "concatenated": lambda text: f"key = \"{text[:12]}\" + \\\n   '{text[12:]}'".encode(),
    "adjacent": lambda text: f'key = ("{text[:12]}"\n   "{text[12:]}")'.encode(),
    "continued": lambda text: f"{text[:12]}\\\n{text[12:]}".encode(),
    "no_width": lambda text: f"{text[:12]}\u200b{text[12:]}".encode(),
    "utf16_concatenated": lambda text: f'key = "{text[:12]}" + "{text[12:]}"'.encode("utf-16"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "bzip2": lambda text: bz2.compress(text.encode()),
    "xz": lambda text: lzma.compress(text.encode()),
    "zip": zipped,
    "tar": packed,
    "gzip_in_base64": lambda text: base64.b64encode(gzip.compress(text.encode())),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_plain_disguise_fails_the_review(sentinel: Sentinel, disguise: str) -> None:
    """Split over lines, encoded or packed, a token is found; the same disguise over plain words passes."""

    def review(text: str) -> Review:
        file = FileIn("/workspace/notes", DISGUISES[disguise](text))
        return sentinel.review(Intent("i", "cbo", (Command(("true",)),), files=(file,)))

    found = review(" gh" + "p_" + word(36) + " ")
    assert (found.verdict, {item.kind for item in found.findings}) == ("FAIL", {"secret"})
    harmless = review("the quick brown fox jumps over the lazy dog again and again")
    assert (harmless.verdict, harmless.findings) == ("PASS", ())


def test_a_split_secret_is_blamed_on_its_line() -> None:
    """Each line of another reading knows the line it came from."""
    text = b"one\ntwo \\\n  more\nx = ('ab'\n  'cd')\nlast\n"
    assert list(readings(text, depth=1)) == [
        Reading(b"one\ntwo more\nx = ('abcd')\nlast\n", (1, 2, 4, 6, 7)),
    ]
    encoded = b"a\nb\n" + base64.b64encode(b"readable text of two\nlines altogether") + b"\nc\n"
    (decoded,) = readings(encoded, depth=1)
    assert decoded == Reading(b"readable text of two\nlines altogether", (3, 3))


@given(st.binary(max_size=300) | st.text("ab\\\n\"' +%x41=", max_size=200).map(str.encode))
def test_any_bytes_can_be_read_otherwise(document: bytes) -> None:
    """Whatever a document holds, its readings are bytes whose every line has a line of the document."""
    last = document.count(b"\n") + 1
    for reading in readings(document):
        assert len(reading.lines) >= reading.content.count(b"\n") * (reading.lines != (1,)) + 1
        assert all(1 <= line <= last for line in reading.lines)
        assert 1 <= reading.line(reading.content.count(b"\n") + 1) <= last


def test_a_bomb_is_read_to_its_bound_only() -> None:
    """A megabyte that unpacks to a gigabyte costs what the bound says."""
    bomb = gzip.compress(b" " * (MAX_UNPACKED * 8))
    assert [len(reading.content) for reading in readings(bomb)] == [MAX_UNPACKED]

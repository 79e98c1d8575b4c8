"""Ed25519 signing behind one small interface: a key file by default, a program (a token, an HSM's tool) where wanted.

A signer never shows its key: `repr`, errors and events name the key id, which is the SHA-256 of the public key.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import nacl.bindings
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from executor.errors import InvalidInputError, OutsideError
from executor.keys.atomic import read_secret

ALGORITHM: Final = "ed25519"
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEED_BYTES: Final = 32
PROGRAM_DEADLINE_S: Final = 10
"""Seconds an external signer may take: a person touching a token, not a network queue."""


class Signer(Protocol):
    """Whoever can sign with one key."""

    @property
    def kid(self) -> str:
        """Id of the key: 32 hex digits."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature over `message`, 64 bytes; raises `OutsideError` when the key cannot be reached."""


def key_id(public: bytes) -> str:
    """The id of a public key: the first 128 bits of its SHA-256, in hex. It cannot be claimed by another key."""
    return hashlib.sha256(public).hexdigest()[:32]


def parse_public(text: str) -> bytes:
    """A public key from hex; raises `InvalidInputError` for anything that is not a point signatures can be held to.

    Small-order points are refused here: under such a key one signature fits every message.
    """
    try:
        public = bytes.fromhex(text)
    except ValueError:
        raise InvalidInputError("a public key is 64 hex digits") from None
    if len(public) != PUBLIC_BYTES or text != public.hex():
        raise InvalidInputError("a public key is 64 lower-case hex digits")
    if not nacl.bindings.crypto_core_ed25519_is_valid_point(public):
        raise InvalidInputError(
            "these 64 hex digits are no valid Ed25519 point (small order, off the curve, or not reduced)"
        )
    return public


def signature_fits(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` was made by the holder of `public`.

    libsodium refuses S >= L, small-order R and A and keys that are not reduced, so a signature has one form only.
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != PUBLIC_BYTES:
        return False
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True


class SeedSigner:
    """Signs with a key held in memory."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: the 32 private bytes of RFC 8032."""
        if len(seed) != SEED_BYTES:
            raise InvalidInputError(f"a private key has {SEED_BYTES} bytes")
        self.public, self._secret = nacl.bindings.crypto_sign_seed_keypair(seed)
        self.kid = key_id(self.public)

    @classmethod
    def from_file(cls, path: Path) -> SeedSigner:
        """The signer of a private key file (hex, one line); raises `OutsideError` when the file is not kept private."""
        text = read_secret(path)
        try:
            return cls(bytes.fromhex(text.decode("ascii").strip()))
        except (ValueError, InvalidInputError):
            # Neither the cause nor the text is passed on: both hold the key.
            raise InvalidInputError(f"{path}: not a private key file") from None

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature over `message`."""
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"<SeedSigner {self.kid}>"

    def __reduce__(self) -> str:
        raise TypeError("a signer is not pickled: its key stays in this process")


class ProgramSigner:
    """Signs through a program: message on its standard input, signature as hex on its standard output."""

    def __init__(self, program: Sequence[str], public: bytes) -> None:
        """`program`: argv. `public`: the key it signs with; each answer is checked against it before it is used."""
        self._program = tuple(program)
        self.public = public
        self.kid = key_id(public)

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature over `message`; raises `OutsideError` when the program fails or signs otherwise."""
        try:
            done = subprocess.run(
                self._program, input=message, capture_output=True, timeout=PROGRAM_DEADLINE_S, check=True
            )
            signature = bytes.fromhex(done.stdout.decode("ascii").strip())
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise OutsideError(f"external signer {self._program[0]}: {type(error).__name__}") from error
        if not signature_fits(self.public, message, signature):
            raise OutsideError(f"external signer {self._program[0]} did not sign with key {self.kid}")
        return signature

    def __repr__(self) -> str:
        return f"<ProgramSigner {self._program[0]} {self.kid}>"

"""CURVE keys: who may connect, and whom a client believes it has reached (RFC 26/ZMTP-CURVE: X25519, Z85 text)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from executor.errors import InvalidInputError, MisuseError
from executor.keys import atomic

FOLDER: Final = Path("keys/curve")
"""Below the state folder."""
KEY: Final = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")
"""Z85 (RFC 32/Z85) of 32 bytes. The alphabet has neither quotes nor backslash: it goes into TOML as it is."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CurvePair:
    """A key pair; the secret half never shows."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"<CurvePair {self.public.decode()}>"

    @classmethod
    def generate(cls) -> CurvePair:
        """A fresh pair from libzmq's (libsodium's) generator."""
        public, secret = zmq.curve_keypair()
        return cls(public, secret)

    @classmethod
    def from_file(cls, path: Path) -> CurvePair:
        """The pair of a secret key file; raises `OutsideError` when it is not kept private, `InvalidInputError`."""
        secret = atomic.read_secret(path).strip()
        if not KEY.fullmatch(secret.decode("ascii", "replace")):
            # The text is not repeated: it may be a key with a typing error.
            raise InvalidInputError(f"{path}: not a CURVE secret key (40 characters of Z85)")
        return cls(zmq.curve_public(secret), secret)


def dial(
    endpoint: str, *, server_key: bytes, pair: CurvePair, options: Mapping[zmq.SocketOption, int]
) -> tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes]]:
    """A context and its one DEALER towards `endpoint`, where nobody but the holder of `server_key` can answer.

    Raises `MisuseError` for an endpoint that ZeroMQ cannot use; then nothing stays open.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
    for option, value in options.items():
        socket.setsockopt(option, value)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        context.destroy(0)
        raise MisuseError(f"cannot connect to {endpoint}: {error.strerror}") from None
    return context, socket


def make_pair(state: Path, name: str) -> CurvePair:
    """Make and keep a pair below the state folder: `NAME.key` for its holder alone, `NAME.pub` for everybody.

    Raises `MisuseError` when the name has one already: a key in use is not overwritten.
    """
    if not NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r}: a name is letters, digits, dot, dash and underscore, at most 64")
    folder = state / FOLDER
    atomic.make_private_folder(folder.parent)
    atomic.make_private_folder(folder)
    secret, public = folder / f"{name}.key", folder / f"{name}.pub"
    with atomic.exclusive(folder / "lock"):
        if secret.exists():
            raise MisuseError(f"{secret} exists; remove it first if its holder is to have a new key")
        pair = CurvePair.generate()
        atomic.write_atomic(secret, pair.secret + b"\n", atomic.SECRET_MODE)
        atomic.write_atomic(public, pair.public + b"\n", atomic.PUBLIC_MODE)
    return pair


def parse_public(text: str, where: str) -> bytes:
    """A public key's text; raises `InvalidInputError` naming the place."""
    if not KEY.fullmatch(text):
        raise InvalidInputError(f"{where}: a CURVE public key is 40 characters of Z85, as `cordon keys curve` prints")
    return text.encode()


def public_from_file(path: Path) -> bytes:
    """The public key in a `.pub` file; raises `OutsideError` or `InvalidInputError`."""
    return parse_public(atomic.read_public(path).decode("ascii", "replace").strip(), str(path))

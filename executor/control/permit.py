"""The permit to go on after a SCRAM: a registered person's signature over this very stop and a number used once."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from executor.canonical import dumps
from executor.clock import Clock
from executor.errors import RequestRefusedError
from executor.keys import KeyRing, RegisteredKey, Signer, signature_fits

NONCE_NS: Final = 120_000_000_000
"""How long a challenge may be answered: time to find one's token, not to lend it."""
PERSON: Final = "human"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What has to be signed."""

    nonce: str
    since: str
    """When the stop was that is to end."""

    def message(self) -> bytes:
        """The bytes a person signs."""
        return dumps({"schema": "cordon.resume/1", "nonce": self.nonce, "since": self.since})


class PermitOffice:
    """Makes challenges and checks what comes back. One challenge is open at a time; it is good for one try."""

    def __init__(self, ring: Callable[[], KeyRing], clock: Clock) -> None:
        """`ring`: the keys as they are when asked."""
        self._ring = ring
        self._clock = clock
        self._open: tuple[Challenge, int] | None = None

    def challenge(self, since: str) -> Challenge:
        """A fresh challenge; an earlier one is void."""
        made = Challenge(secrets.token_hex(32), since)
        self._open = (made, self._clock.monotonic_ns() + NONCE_NS)
        return made

    def check(self, nonce: str, kid: str, signature: str, since: str) -> RegisteredKey:
        """Whoever signed; raises `RequestRefusedError` (403) for anything but a person's valid signature in time."""
        opened, self._open = self._open, None
        if opened is None or self._clock.monotonic_ns() > opened[1] or opened[0].since != since:
            raise _no("there is no open challenge for this stop; ask for one and answer it within 120 s")
        if not hmac.compare_digest(opened[0].nonce.encode(), nonce.encode()):
            raise _no("this answers another challenge")
        key = self._ring().registered.get(kid)
        if key is None or key.role != PERSON or key.retired_ns:
            raise _no("this key is no registered person's")
        try:
            raw = bytes.fromhex(signature)
        except ValueError:
            raw = b""
        if not signature_fits(key.public, opened[0].message(), raw):
            raise _no("the signature does not fit")
        return key


def sign(challenge: Challenge, signer: Signer) -> dict[str, Any]:
    """The fields of a resume order. Raises `OutsideError` when the key cannot be reached."""
    return {"nonce": challenge.nonce, "kid": signer.kid, "sig": signer.sign(challenge.message()).hex()}


def _no(message: str) -> RequestRefusedError:
    return RequestRefusedError(403, "control.not_permitted", message)

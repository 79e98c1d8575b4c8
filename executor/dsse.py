"""DSSE 1.0.2 envelopes with Ed25519: the signature covers the payload's type and bytes together (PAE), nothing else.

Verification, in this order; the payload is looked at only after its signature:

1. the envelope is JSON with `payload`, `payloadType` and `signatures`; other fields are ignored, as the protocol says,
2. the payload decodes once (standard or URL-safe base64): the bytes that were checked are the bytes that are returned,
3. one of the signatures over PAE(payloadType, payload) is by a trusted key; `keyid` is a hint and decides nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from executor import canonical
from executor.errors import InvalidInputError, RefusedError
from executor.keys import Signer, signature_fits

MAX_ENVELOPE: Final = 4 << 20
"""Bytes of an envelope; a statement about a drill run has a few KiB."""
MAX_SIGNATURES: Final = 16


class EnvelopeRefusedError(RefusedError):
    """An envelope is malformed or not signed by a trusted key."""

    code = "attest.refused"


@dataclass(frozen=True, slots=True)
class Verified:
    """A payload whose signature held, and the key that made it."""

    payload_type: str
    payload: bytes
    kid: str


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: `DSSEv1 <len> <type> <len> <payload>`, lengths in bytes, decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, signer: Signer) -> bytes:
    """A signed envelope, as JSON."""
    signature = signer.sign(pae(payload_type, payload))
    return canonical.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": signer.kid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def verify(envelope: bytes, trusted_keys: Mapping[str, bytes]) -> Verified:
    """The payload of `envelope`; `trusted_keys` maps key ids to public keys. Raises `EnvelopeRefusedError`."""
    if len(envelope) > MAX_ENVELOPE:
        raise EnvelopeRefusedError(f"an envelope of {len(envelope)} bytes is over {MAX_ENVELOPE}")
    try:
        raw = canonical.loads(envelope, where="envelope")
    except InvalidInputError as error:
        raise EnvelopeRefusedError(str(error)) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("payloadType"), str):
        raise EnvelopeRefusedError("envelope: no payloadType")
    payload_type = raw["payloadType"]
    payload = _decode(raw.get("payload"), "payload")
    message = pae(payload_type, payload)
    for signature in _signatures(raw.get("signatures")):
        for kid, public in trusted_keys.items():
            if signature_fits(public, message, signature):
                return Verified(payload_type, payload, kid)
    raise EnvelopeRefusedError("envelope: no signature by a trusted key")


def _signatures(raw: Any) -> list[bytes]:
    if not isinstance(raw, list) or not raw or len(raw) > MAX_SIGNATURES:
        raise EnvelopeRefusedError(f"envelope: signatures is not a list of 1 to {MAX_SIGNATURES}")
    if not all(isinstance(item, dict) for item in raw):
        raise EnvelopeRefusedError("envelope: a signature is not an object")
    return [_decode(item.get("sig"), "sig") for item in raw]


def _decode(text: Any, where: str) -> bytes:
    if not isinstance(text, str):
        raise EnvelopeRefusedError(f"envelope: {where} is not a text")
    try:
        return base64.b64decode(text.translate(_STANDARD).encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise EnvelopeRefusedError(f"envelope: {where} is not base64") from None


_STANDARD: Final = str.maketrans("-_", "+/")

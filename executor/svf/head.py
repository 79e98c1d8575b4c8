"""The signed head: which log this is, where it begins, and where it ends. It makes a cut tail visible.

One file of one disk sector (512 bytes), rewritten in place after each commit and before the commit is acknowledged: a
power cut leaves the old head or the new one. It is written after the records it vouches for are durable, so it is never
ahead of them. A sealed file's last state is kept beside it, as an anchor inside the chain; it cannot pass for a head.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from executor import canonical
from executor.errors import DamagedAuditError, InvalidInputError
from executor.keys import Signer, signature_fits
from executor.svf.event import genesis

HEAD_NAME: Final = "head.json"
SECTOR: Final = 512
"""Bytes a disk writes whole or not at all."""
_FIELDS: Final = {"schema": str, "log_id": str, "first": str, "seq": int, "hash": str, "kid": str, "sig": str}
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_READ_TRIES: Final = 50
Kind = Literal["head", "seal"]


class Head(NamedTuple):
    """State of a log after record `seq`. `first` is the first record's hash; seq 0: no record yet.

    A tuple, because one is made for every commit: a frozen dataclass takes ten times as long.
    """

    kind: Kind
    log_id: str
    first: str
    seq: int
    hash: str
    kid: str = ""
    sig: str = ""

    @classmethod
    def empty(cls, log_id: str) -> Head:
        """The head of a log without records."""
        return cls("head", log_id, "", 0, genesis(log_id))

    def signed_bytes(self) -> bytes:
        """What the signer signs: the canonical JSON of `to_json` without `sig`.

        Written out because it is done for every commit; every value is plain hex or a number, and a test holds it to
        `canonical.dumps`.
        """
        return (
            f'{{"first":"{self.first}","hash":"{self.hash}","kid":"{self.kid}","log_id":"{self.log_id}",'
            f'"schema":"cordon.svf.{self.kind}/1","seq":{self.seq}}}'
        ).encode()

    def signed(self, signer: Signer | None) -> Head:
        """With a signature; without a signer, as an unsigned head."""
        named = Head(self.kind, self.log_id, self.first, self.seq, self.hash, signer.kid if signer else "")
        return named if signer is None else Head(*named[:-1], signer.sign(named.signed_bytes()).hex())

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "schema": f"cordon.svf.{self.kind}/1",
            "log_id": self.log_id,
            "first": self.first,
            "seq": self.seq,
            "hash": self.hash,
            "kid": self.kid,
            "sig": self.sig,
        }

    def document(self) -> bytes:
        """One sector: canonical JSON, blanks, a line feed."""
        line = self.signed_bytes()[:-1] + f',"sig":"{self.sig}"}}'.encode()
        return line.ljust(SECTOR - 1) + b"\n"


def parse_head(document: bytes, kind: Kind) -> Head:
    """A head from its file; raises `InvalidInputError`. The signature is not checked."""
    raw = canonical.loads(document, where=kind)
    if not isinstance(raw, dict) or raw.keys() != _FIELDS.keys() or raw["schema"] != f"cordon.svf.{kind}/1":
        raise InvalidInputError(f"{kind}: not the fields of a {kind}")
    if not all(isinstance(raw[name], wanted) for name, wanted in _FIELDS.items()) or isinstance(raw["seq"], bool):
        raise InvalidInputError(f"{kind}: a field has the wrong type")
    if not all(_HEX.fullmatch(raw[name]) for name in ("log_id", "first", "hash", "kid", "sig")):
        raise InvalidInputError(f"{kind}: a field is not hex")
    del raw["schema"]
    return Head(kind, **raw)


def read_head(directory: Path, trusted_keys: Mapping[str, bytes] | None) -> Head | None:
    """The log's head, its signature checked unless `trusted_keys` is None; None when there is no file.

    Raises `DamagedAuditError` for a head that was edited or signed by somebody else. A head that is being rewritten at
    this moment is read again.
    """
    path = directory / HEAD_NAME
    for _ in range(_READ_TRIES):
        try:
            document = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _trusted(document, trusted_keys)
        except DamagedAuditError:
            if path.read_bytes() == document:
                raise
    raise DamagedAuditError("edit", 0, f"{HEAD_NAME} changes too fast to be read")


def _trusted(document: bytes, trusted_keys: Mapping[str, bytes] | None) -> Head:
    try:
        head = parse_head(document, "head")
    except InvalidInputError as error:
        raise DamagedAuditError("edit", 0, f"{HEAD_NAME} was altered: {error}") from None
    if head.document() != document:
        raise DamagedAuditError("edit", head.seq, f"{HEAD_NAME} is not as it was written")
    check_signature(head, trusted_keys)
    return head


def check_signature(head: Head, trusted_keys: Mapping[str, bytes] | None) -> None:
    """Raises `DamagedAuditError` unless a trusted key signed `head`."""
    if trusted_keys is None:
        return
    public = trusted_keys.get(head.kid)
    if public is None:
        raise DamagedAuditError(
            "edit", head.seq, f"the {head.kind} is signed by {head.kid or 'nobody'}, who is not trusted"
        )
    try:
        signature = bytes.fromhex(head.sig)
    except ValueError:
        signature = b""
    if not signature_fits(public, head.signed_bytes(), signature):
        raise DamagedAuditError("edit", head.seq, f"the {head.kind}'s signature does not fit")


def write_in_place(descriptor: int, head: Head) -> None:
    """Rewrite the head's sector."""
    os.pwrite(descriptor, head.document(), 0)

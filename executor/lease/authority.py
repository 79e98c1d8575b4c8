"""Issues leases, adds cosignatures, takes leases back; and verifies them against registry and keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from executor import canonical
from executor.clock import Clock, rfc3339
from executor.errors import InvalidInputError, LeaseRefusedError, MisuseError, outside
from executor.intent import Intent, Limits
from executor.keys import ALGORITHM, ISSUER, KeyRing, Role, Signer, parse_role, signature_fits
from executor.keys.atomic import write_atomic, writing
from executor.lease import admission
from executor.lease.admission import MAX_LIFETIME_S, Facts, VerifiedLease
from executor.lease.announce import announce_ends
from executor.lease.document import (
    SCHEMA,
    SCHEMA_TEXT,
    Cosigner,
    Lease,
    LeaseLimits,
    LeaseScope,
    LeaseSignature,
    parse_lease,
)
from executor.lease.record import LeaseRecord
from executor.lease.registry import Registry
from executor.plain import plain

if TYPE_CHECKING:
    from executor.svf import SvfLog

_SECOND: Final = 1_000_000_000
MAX_USES: Final = 1000
"""As lease_schema.json has it."""
REGISTRY_NAME: Final = "registry.sqlite"


@dataclass(frozen=True, slots=True)
class Cosigning:
    """Somebody who signs at issue: role and holder as registered, and the signer."""

    role: Role
    holder: str
    signer: Signer


class _Last(threading.local):
    """The intent whose digest this thread made last: a path asks five times for that of one."""

    intent: Intent | None = None
    env: Mapping[str, str] | None = None
    """As it was: the one part of an intent that is not frozen by its type."""
    digest = ""


_last: Final = _Last()


def intent_digest(intent: Intent) -> str:
    """SHA-256 over everything an intent asks for: commands, files, patch, environment, scope, limits."""
    if _last.intent is not intent or _last.env != intent.env:  # an equal one is digested anew
        env = dict(intent.env)
        _last.digest = _digest(intent, env)
        _last.intent, _last.env = intent, env
    return _last.digest


def _digest(intent: Intent, env: Mapping[str, str]) -> str:
    raw = plain(replace(intent, files=(), artefacts=()))
    raw["env"] = env
    raw["priority"] = int(intent.priority)
    raw["files"] = [
        {"path": file.path, "mode": file.mode, "content": base64.b64encode(file.content).decode()}
        for file in intent.files
    ]
    del raw["artefacts"]
    if intent.artefacts:
        raw["artefacts"] = [{"name": one.name, "sha256": one.sha256} for one in intent.artefacts]
    return hashlib.sha256(canonical.dumps(raw)).hexdigest()


class LeaseAuthority:
    """cp20's side: makes leases and changes what the registry says about them."""

    def __init__(self, state: Path, clock: Clock, signer: Signer, ring: Callable[[], KeyRing]) -> None:
        """`state`: the state folder; `signer`: the issuer's; `ring`: the keys as they are when asked."""
        self._folder = state / "outgoing" / "leases"
        self.registry: Final = Registry(self._folder / REGISTRY_NAME)
        self._clock = clock
        self._signer = signer
        self._ring = ring
        _publish_schema(state)

    def use_signer(self, signer: Signer) -> None:
        """Sign with another key from now on: the issuer's key was rotated."""
        self._signer = signer

    def close(self) -> None:
        """Release the registry; a second call is silent."""
        self.registry.close()

    def issue(  # noqa: PLR0913 - what a lease says is many named things; a bag of options would only hide them
        self,
        intent: Intent,
        *,
        limits: Limits,
        policy_digest: str,
        expires_in_s: int = MAX_LIFETIME_S,
        not_before_in_s: int = 0,
        task_id: str = "",
        uses: int = 1,
        scope: LeaseScope | None = None,
        capabilities: Sequence[str] | None = None,
        cosigners: Sequence[Cosigning] = (),
    ) -> Lease:
        """A signed, registered lease for what `intent` asks for.

        `limits`: the decision's, not the intent's. `scope` and `capabilities` default to all that the intent asks for.
        Raises `MisuseError` for a life over 600 s, `InvalidInputError` for an intent that fits no lease.
        """
        if not 0 <= not_before_in_s < expires_in_s <= MAX_LIFETIME_S:
            raise MisuseError(
                f"a lease lives 1 to {MAX_LIFETIME_S} s and starts within that; asked for {expires_in_s} s"
            )
        if not 1 <= uses <= MAX_USES:
            raise MisuseError(f"a lease is good for 1 to {MAX_USES} uses; asked for {uses}")
        now_ns = self._clock.now_ns() // 1000 * 1000
        unsigned = Lease(
            schema=SCHEMA,
            lease_id=f"lease-{secrets.token_hex(16)}",
            intent_id=intent.intent_id,
            phase=intent.phase,
            issued_by=ISSUER,
            issued_to=intent.requester,
            issued_at=rfc3339(now_ns),
            not_before=rfc3339(now_ns + not_before_in_s * _SECOND),
            expires_at=rfc3339(now_ns + expires_in_s * _SECOND),
            scope=scope or LeaseScope.of(intent),
            capabilities=tuple(intent.capabilities if capabilities is None else capabilities),
            limits=LeaseLimits.of(limits),
            policy_digest=policy_digest,
            cosigners=(),
            sig=LeaseSignature(ALGORITHM, self._signer.kid, "0" * 128),
            task_id=task_id,
            uses=uses,
        )
        return self._finish(unsigned, now_ns, intent_digest(intent), cosigners, None)

    def cosign(self, lease_id: str, role: Role, holder: str, signer: Signer) -> Lease:
        """Add the signature of a key that is at hand; the lease with one more cosigner."""
        signature = signer.sign(self.get(lease_id).signed_bytes())
        return self.add_cosignature(lease_id, role, holder, signer.kid, signature.hex())

    def add_cosignature(self, lease_id: str, role: str, holder: str, kid: str, signature: str) -> Lease:
        """Add a signature (hex) made elsewhere over the lease's signed bytes; refused unless it verifies."""
        record = self._record(lease_id)
        state = record.state(self._clock.now_ns())
        if state != "active":
            raise LeaseRefusedError(f"lease.{state if state != 'used' else 'replayed'}", f"{lease_id} is {state}")
        lease = parse_lease(canonical.loads(record.document, where=lease_id))
        more = replace(lease, cosigners=(*lease.cosigners, Cosigner(parse_role(role), holder, kid, signature)))
        parse_lease(more.to_json())
        admission.check_cosigners(more, self._ring(), more.signed_bytes())
        if not self.registry.replace_document(more, record.document):
            # Somebody else cosigned in between; with his signature the rules are asked again.
            return self.add_cosignature(lease_id, role, holder, kid, signature)
        self._publish(lease_id, more.document())
        return more

    def revoke(self, lease_id: str, *, by: str, why: str) -> LeaseRecord:
        """Take a lease back for good; a task that runs under it is killed by whoever watches it."""
        return self.registry.revoke(lease_id, by=by, why=why, now_ns=self._clock.now_ns())

    def expire(self, log: SvfLog) -> list[LeaseRecord]:
        """Record in the audit trail every lease whose end is not there yet: its time is over, or it was revoked."""
        return announce_ends(self.registry, log, self._clock.now_ns())

    def renew(
        self,
        lease_id: str,
        *,
        policy_digest: str,
        expires_in_s: int = MAX_LIFETIME_S,
        cosigners: Sequence[Cosigning] = (),
    ) -> Lease:
        """A fresh lease with the same content; the old one is revoked. Cosigners sign anew.

        Raises `LeaseRefusedError` when the old one is no longer good, or the policy has changed since.
        """
        if not 0 < expires_in_s <= MAX_LIFETIME_S:
            raise MisuseError(f"a lease lives 1 to {MAX_LIFETIME_S} s; asked for {expires_in_s} s")
        record = self._record(lease_id)
        now_ns = self._clock.now_ns() // 1000 * 1000
        state = record.state(now_ns)
        if state != "active":
            raise LeaseRefusedError(f"lease.{state if state != 'used' else 'replayed'}", f"{lease_id} is {state}")
        old = parse_lease(canonical.loads(record.document, where=lease_id))
        if old.policy_digest != policy_digest:
            raise LeaseRefusedError("lease.stale_policy", "the policy has changed since: the intent is decided anew")
        unsigned = replace(
            old,
            lease_id=f"lease-{secrets.token_hex(16)}",
            issued_at=rfc3339(now_ns),
            not_before=rfc3339(now_ns),
            expires_at=rfc3339(now_ns + expires_in_s * _SECOND),
            cosigners=(),
            sig=LeaseSignature(ALGORITHM, self._signer.kid, "0" * 128),
        )
        return self._finish(unsigned, now_ns, record.content_digest, cosigners, record)

    def get(self, lease_id: str) -> Lease:
        """The lease as it is stored, cosigners included; raises `MisuseError` when there is none."""
        return parse_lease(canonical.loads(self._record(lease_id).document, where=lease_id))

    def show(self, lease_id: str) -> dict[str, Any]:
        """The document and what the registry knows beside it, JSON-like."""
        record = self._record(lease_id)
        return {
            "lease": self.get(lease_id).to_json(),
            "state": record.state(self._clock.now_ns()),
            "used": record.used,
            "task_id": record.task_id,
            "renews": record.renews,
            "renewals": record.renewals,
            "revoked": {"at": rfc3339(record.revoked_ns), "by": record.revoked_by, "why": record.revoked_why}
            if record.revoked_ns
            else None,
        }

    def list(self, *, intent_id: str = "", limit: int = 100) -> list[LeaseRecord]:
        """The latest leases, newest first."""
        return self.registry.latest(intent_id=intent_id, limit=limit)

    def _finish(
        self,
        unsigned: Lease,
        now_ns: int,
        content_digest: str,
        cosigners: Sequence[Cosigning],
        renews: LeaseRecord | None,
    ) -> Lease:
        parse_lease(unsigned.to_json())
        signed = unsigned.signed_bytes()
        lease = replace(
            unsigned,
            sig=replace(unsigned.sig, value=self._signer.sign(signed).hex()),
            cosigners=tuple(
                Cosigner(one.role, one.holder, one.signer.kid, one.signer.sign(signed).hex()) for one in cosigners
            ),
        )
        if not signature_fits(self._signer.public, signed, bytes.fromhex(lease.sig.value)):
            raise InvalidInputError("the issuer's signer does not sign with the key it names")
        if cosigners:
            admission.check_cosigners(lease, self._ring(), signed)
        document = lease.document()
        self.registry.add(
            lease,
            document=document,
            digest=hashlib.sha256(signed).hexdigest(),
            issued_ns=now_ns,
            content_digest=content_digest,
            renews=renews,
        )
        self._publish(lease.lease_id, document)
        return lease

    def _publish(self, lease_id: str, document: bytes) -> None:
        """The document as a file, for people and for the guest's disk; the registry stays the authority."""
        path = self._folder / f"{lease_id}.json"
        temporary = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            with writing(self._folder):
                temporary.write_bytes(document)
                temporary.replace(path)
        except OSError as error:
            raise outside(f"cannot write {path}", error) from error

    def _record(self, lease_id: str) -> LeaseRecord:
        record = self.registry.find(lease_id)
        if record is None:
            raise MisuseError(f"no lease {lease_id}; `cordon lease list` shows them")
        return record


def sweep(folder: Path) -> None:
    """Remove the halves of files that killed writers left in `folder`; writers that live are waited for."""
    if folder.is_dir():
        with writing(folder, alone=True):
            for half in folder.glob(f"lease-*.{'[0-9a-f]' * 8}"):
                half.unlink(missing_ok=True)


class LeaseVerifier:
    """cp14's side: says whether a lease is good for a use, and takes the use."""

    def __init__(self, ring: Callable[[], KeyRing], registry: Registry | None, *, signatures: bool = True) -> None:
        """`registry` None verifies offline; `signatures` False is for drills that take the control away."""
        self._ring = ring
        self._registry = registry
        self._signatures = signatures

    def verify(
        self,
        document: bytes | Mapping[str, Any],
        *,
        now_ns: int,
        facts: Facts,
        consume: bool = True,
        settled: bool = True,
    ) -> VerifiedLease:
        """The verified lease, one use taken; raises `LeaseRefusedError` with the reason of the first broken rule.

        `settled` False: the use survives a power cut from `Registry.settle` on.
        """
        verified = admission.admit(
            document,
            now_ns=now_ns,
            facts=facts,
            ring=self._ring(),
            find=self._registry.find if self._registry else None,
            signatures=self._signatures,
        )
        if consume and self._registry is not None:
            self._registry.consume(verified.lease.lease_id, task_id=facts.task_id, now_ns=now_ns, settled=settled)
        return verified


def _publish_schema(state: Path) -> None:
    """Keep the schema beside the trust file, where the original plan had it."""
    path = state / "policies" / "lease_schema.json"
    if not path.exists() or path.read_text("utf-8") != SCHEMA_TEXT:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, SCHEMA_TEXT.encode(), 0o644)

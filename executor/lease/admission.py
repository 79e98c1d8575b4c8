"""Decides whether a lease is good, for this use, at this moment. No IO: facts come in, a verified lease comes out.

Admission rules, in this order; the first broken one is raised as `LeaseRefusedError` with its reason, nothing behind
it is looked at:

1.  `lease.malformed`        the bytes are strict JSON, not too long,
2.  `lease.schema`           and fit lease_schema.json (an unknown version does not),
3.  `lease.not_canonical`    and are the canonical form: one lease, one spelling,
4.  `lease.key_retired`      the signing key is not retired,
5.  `lease.key_unknown`      and is the issuer's current or previous one,
6.  `lease.signature`        and the signature fits,
7.  `lease.cosigner_retired`, `lease.cosigner_unknown`, `lease.cosigner_mismatch`, `lease.cosigner_signature`
                             every cosigner's key is registered, in that role, to that holder, and the signature fits,
8.  `lease.cosigner_duplicate`, `lease.self_cosigned`
                             no holder and no key signs twice, and nobody cosigns what is issued to himself,
9.  `lease.two_keys`         production: exactly a human and one of cp14 and cp18,
10. `lease.lifetime`         issued_at <= not_before < expires_at <= issued_at + 600 s,
11. `lease.not_yet`, `lease.expired`
                             not_before <= now < expires_at,
12. `lease.wrong_intent`, `lease.wrong_requester`, `lease.wrong_task`, `lease.wrong_phase`, `lease.stale_policy`
                             it was issued for this intent, requester, task, phase, under the policy in force,
13. `lease.command`, `lease.environment`, `lease.capability`, `lease.network`, `lease.artefact`
                             and every thing that is about to be done is in its scope,
14. `lease.unknown`, `lease.not_as_issued`, `lease.wrong_content`
                             the registry issued exactly this lease, for exactly this intent's content,
15. `lease.revoked`, `lease.replayed`
                             it has not been revoked, and there is a use left.

Consuming the use is the registry's, atomically, after the last rule.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from executor import canonical
from executor.errors import InvalidInputError, LeaseRefusedError
from executor.intent import NetworkMode, Phase
from executor.keys import KeyRing, signature_fits
from executor.lease.document import MAX_DOCUMENT, Lease, parse_lease, parse_moment
from executor.lease.record import LeaseRecord

MAX_LIFETIME_S: Final = 600
"""DESIGN 5.3."""
AGENT_COSIGNERS: Final = frozenset({"cp14", "cp18"})
"""Agents that may be the second key of production; DESIGN 5.3."""
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is about to be done under a lease, and by whom."""

    intent_id: str
    requester: str
    policy_digest: str
    commands: tuple[tuple[str, ...], ...]
    phase: Phase = "staging"
    task_id: str = ""
    """'' where no task exists yet; then a lease bound to a task is refused."""
    env: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    network: NetworkMode = "deny_all"
    artefacts: tuple[tuple[str, str], ...] = ()
    """Name and digest of each artefact that is about to be put in."""
    content_digest: str = ""
    """`intent_digest` of the intent as presented; '' where only the id is known."""


@dataclass(frozen=True, slots=True)
class VerifiedLease:
    """A lease that passed every rule; only `admit` makes one."""

    lease: Lease
    document: bytes
    verified_ns: int
    registered: bool
    """False when it was verified offline, without rules 14 and 15."""


def read_document(document: bytes | Mapping[str, Any]) -> tuple[Lease, bytes]:
    """Rules 1 to 3: the lease and its canonical bytes."""
    try:
        if isinstance(document, Mapping):
            document = canonical.dumps(dict(document))
        if len(document) > MAX_DOCUMENT:
            raise LeaseRefusedError("lease.malformed", f"lease of {len(document)} bytes is over {MAX_DOCUMENT}")
        raw = canonical.loads(document, where="lease")
    except InvalidInputError as error:
        raise LeaseRefusedError("lease.malformed", str(error)) from None
    try:
        lease = parse_lease(raw)
    except InvalidInputError as error:
        raise LeaseRefusedError("lease.schema", str(error)) from None
    if not hmac.compare_digest(lease.document(), document):
        raise LeaseRefusedError("lease.not_canonical", "lease: not in canonical form (RFC 8785)")
    return lease, document


def check_signatures(lease: Lease, ring: KeyRing, signed: bytes) -> None:
    """Rules 4 to 9; `signed`: the lease's signed bytes."""
    kid = lease.sig.kid
    if ring.is_retired(kid):
        raise LeaseRefusedError("lease.key_retired", f"lease signed with the retired key {kid}")
    public = ring.issuer_keys().get(kid)
    if public is None:
        raise LeaseRefusedError("lease.key_unknown", f"key {kid} is neither the issuer's current nor its previous one")
    if not signature_fits(public, signed, bytes.fromhex(lease.sig.value)):
        raise LeaseRefusedError("lease.signature", "the issuer's signature does not fit the lease")
    check_cosigners(lease, ring, signed)
    if lease.phase == "production":
        seats = sorted(cosigner.role for cosigner in lease.cosigners)
        agents = {cosigner.id for cosigner in lease.cosigners if cosigner.role == "agent"}
        if seats != ["agent", "human"] or not agents <= AGENT_COSIGNERS:
            held = ", ".join(f"{cosigner.role} {cosigner.id}" for cosigner in lease.cosigners) or "nobody"
            raise LeaseRefusedError(
                "lease.two_keys", f"production wants one human and one of cp14 and cp18 to cosign; signed: {held}"
            )


def check_cosigners(lease: Lease, ring: KeyRing, signed: bytes) -> None:
    """Rules 7 and 8."""
    for cosigner in lease.cosigners:
        key = ring.registered.get(cosigner.kid)
        who = f"cosigner {cosigner.role} {cosigner.id}"
        if key is None:
            raise LeaseRefusedError("lease.cosigner_unknown", f"{who}: key {cosigner.kid} is not registered")
        if key.retired_ns:
            raise LeaseRefusedError("lease.cosigner_retired", f"{who}: key {cosigner.kid} is retired")
        if (key.role, key.holder) != (cosigner.role, cosigner.id):
            raise LeaseRefusedError(
                "lease.cosigner_mismatch", f"{who}: key {cosigner.kid} belongs to {key.role} {key.holder}"
            )
        if not signature_fits(key.public, signed, bytes.fromhex(cosigner.sig)):
            raise LeaseRefusedError("lease.cosigner_signature", f"{who}: the signature does not fit the lease")
    holders = [cosigner.id for cosigner in lease.cosigners]
    if len(set(holders)) != len(holders):
        raise LeaseRefusedError("lease.cosigner_duplicate", "one holder cosigned twice")
    if lease.issued_to in holders:
        raise LeaseRefusedError(
            "lease.self_cosigned", f"{lease.issued_to} cosigned a lease issued to {lease.issued_to}"
        )


def check_time(lease: Lease, now_ns: int) -> None:
    """Rules 10 and 11."""
    issued, start, end = (parse_moment(text) for text in (lease.issued_at, lease.not_before, lease.expires_at))
    if not issued <= start < end <= issued + MAX_LIFETIME_S * _SECOND:
        raise LeaseRefusedError("lease.lifetime", f"a lease lives at most {MAX_LIFETIME_S} s, from issue to expiry")
    if now_ns < start:
        raise LeaseRefusedError("lease.not_yet", f"the lease is good from {lease.not_before}")
    if now_ns >= end:
        raise LeaseRefusedError("lease.expired", f"the lease expired at {lease.expires_at}")


def check_binding(lease: Lease, facts: Facts) -> None:
    """Rules 12 and 13."""
    bound = (
        ("lease.wrong_intent", "intent", lease.intent_id, facts.intent_id),
        ("lease.wrong_requester", "requester", lease.issued_to, facts.requester),
        ("lease.wrong_task", "task", lease.task_id or facts.task_id, facts.task_id),
        ("lease.wrong_phase", "phase", lease.phase, facts.phase),
        ("lease.stale_policy", "policy", lease.policy_digest, facts.policy_digest),
    )
    for reason, name, held, wanted in bound:
        if not hmac.compare_digest(held.encode(), wanted.encode(errors="surrogatepass")):
            raise LeaseRefusedError(reason, f"the lease is for {name} {held[:200]}, not {wanted[:200] or 'none'}")
    allowed = set(lease.scope.commands_allowlist)
    for argv in facts.commands:
        if argv not in allowed:
            raise LeaseRefusedError("lease.command", f"the lease does not list the command {list(argv)!r:.200}")
    if extra := sorted(set(facts.env) - set(lease.scope.env_allowlist)):
        raise LeaseRefusedError("lease.environment", f"the lease does not list the variable {extra[0]!r:.200}")
    if extra := sorted(set(facts.capabilities) - set(lease.capabilities)):
        raise LeaseRefusedError("lease.capability", f"the lease does not grant {extra[0]:.200}")
    if facts.network != "deny_all" and lease.scope.network == "deny_all":
        raise LeaseRefusedError("lease.network", "the lease grants no network")
    if unnamed := sorted(set(facts.artefacts) - set(lease.scope.artefacts)):
        raise LeaseRefusedError(
            "lease.artefact", f"the lease does not name the artefact {unnamed[0][0]:.80} by its digest"
        )


def check_record(lease: Lease, facts: Facts, record: LeaseRecord | None, signed: bytes) -> None:
    """Rules 14 and 15, from the registry's record."""
    if record is None:
        raise LeaseRefusedError("lease.unknown", f"the registry never issued {lease.lease_id}")
    if not hmac.compare_digest(record.digest, hashlib.sha256(signed).hexdigest()):
        raise LeaseRefusedError("lease.not_as_issued", f"{lease.lease_id} was issued with other content")
    if facts.content_digest and not hmac.compare_digest(record.content_digest, facts.content_digest):
        raise LeaseRefusedError("lease.wrong_content", f"intent {lease.intent_id} is not what the lease was issued for")
    if record.revoked_ns:
        raise LeaseRefusedError("lease.revoked", f"the lease was revoked by {record.revoked_by}: {record.revoked_why}")
    if record.used >= lease.uses:
        raise LeaseRefusedError("lease.replayed", f"the lease has been used by {record.task_id or 'a task'} already")
    if record.task_id and facts.task_id and record.task_id != facts.task_id:
        raise LeaseRefusedError("lease.wrong_task", f"the lease is for task {record.task_id}, not {facts.task_id}")


def admit(
    document: bytes | Mapping[str, Any],
    *,
    now_ns: int,
    facts: Facts,
    ring: KeyRing,
    find: Callable[[str], LeaseRecord | None] | None,
    signatures: bool = True,
) -> VerifiedLease:
    """Apply every rule; the verified lease, or `LeaseRefusedError`.

    `find`: lease id -> the registry's record; None leaves out rules 14 and 15 (offline). `signatures` False leaves out
    4 to 9 (drills that take a control away).
    """
    lease, document = read_document(document)
    signed = lease.signed_bytes()
    if signatures:
        check_signatures(lease, ring, signed)
    check_time(lease, now_ns)
    check_binding(lease, facts)
    if find is not None:
        check_record(lease, facts, find(lease.lease_id), signed)
    return VerifiedLease(lease, document, now_ns, registered=find is not None)

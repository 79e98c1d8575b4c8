"""Who says yes: reviews, the decision, the lease and its verification, each on record in the order it happens.

The judgement is the policy's; this module gathers the facts that take cryptography
or IO, asks, and keeps to the answer.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from executor.api import LeaseStep, Request
from executor.budget import Budget
from executor.builds import Builds
from executor.canonical import dumps
from executor.clock import Clock
from executor.errors import BugError, MisuseError
from executor.forecast import Foreseen, brought_by, forecast, foreseen
from executor.intent import Command, Intent, Limits
from executor.keys import KeyStore, signature_fits
from executor.lease import (
    Cosigning,
    Lease,
    LeaseAuthority,
    LeaseScope,
    LeaseVerifier,
    LeaseWatch,
    Running,
    intent_digest,
)
from executor.lease import Facts as LeaseFacts
from executor.lease.announce import announce_ends
from executor.lease.document import parse_moment
from executor.policy import Decision, DecisionRequest, Facts, PolicyEngine
from executor.policy import request as facts
from executor.sentinel.review import Sentinel
from executor.sentinel.verdict import Review, approval
from executor.svf import SvfLog
from executor.trail import Trail
from executor.violations import Past
from executor.workspace import commands_of

FINDINGS: Final = 50
"""Findings of a review that its event holds; the report has them all."""
INPUT_BYTES: Final = 48 * 1024
"""Bytes of a policy input that are recorded as they are: a record holds 64 KiB of data in all."""
NS: Final = 1_000_000_000
DEFAULT_TTL_S: Final = 60
"""Seconds a lease lives when the decision does not say (a drill that overrides a denial)."""
LEASE_MARGIN_S: Final = 30
"""How much longer than its task may run a lease is asked for: getting a machine counts too. Policy grants it or not."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease that verified: what the machine is prepared with, and nothing that was not in the lease."""

    lease_id: str
    task_id: str
    document: dict[str, Any]
    capabilities: tuple[str, ...]
    paths_write: tuple[str, ...]
    env_allowlist: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    artefacts: tuple[tuple[str, str], ...]
    watch: LeaseWatch


class Governance:
    """Reviews, decides and leases. Thread-safe: its parts are."""

    def __init__(  # noqa: PLR0913, PLR0917 - one of each; `executor/service.py` is the only caller
        self,
        policy: PolicyEngine,
        authority: LeaseAuthority,
        keys: KeyStore,
        sentinel: Sentinel,
        budget: Budget,
        clock: Clock,
        host: Callable[[], facts.Host],
        past: Past,
        builds: Builds,
    ) -> None:
        """`host` measures what the host has to give when a decision is due; `past` is what is known of requesters."""
        self._policy = policy
        self._authority = authority
        self._keys = keys
        self._sentinel = sentinel
        self._budget = budget
        self._clock = clock
        self._host = host
        self.history = past.usage
        self.violations = past.violations
        self.builds = builds
        self._under_way: set[str] = set()
        self._held: dict[str, facts.ActiveLease] = {}

    def decide(self, request: Request, trail: Trail, validate: Callable[[Intent], Review]) -> Decision:
        """From `SUBMITTED` to `APPROVED` or `REJECTED`; `validate` runs a patch's own tests in a sandbox (cp18)."""
        intent = request.intent
        trail.ensure_room()
        trail.emit("intent_event.SUBMITTED", intent.requester, _submitted(request), with_next=True)
        reviews = self._review(request, trail, validate)
        with trail.stage("facts"):
            known = self._facts(intent, reviews, self._signatures(request))
            if "history" not in request.weaken:
                known = replace(known, history=self.violations.of(intent.requester, self._clock.now_ns()))
            question = DecisionRequest(intent, known)
            document = question.document(now=self._clock.now_ns() // NS)
        with trail.stage("decide"):
            decision = self._policy.decide_document(document)
        trail.policy_digest = decision.policy_digest
        answer = decision.to_json()
        expected = forecast(intent, self.history).to_json()
        codes = list(decision.codes)
        assessed = {**answer["risk"], "forecast": expected}
        trail.emit("risk_event.ASSESSED", "cp15", assessed, with_next=True)
        arbitrated = {"verdict": decision.verdict, "reasons": codes}
        trail.emit("intent_event.ARBITRATED", "cp16", arbitrated, with_next=True)
        decided = {"input": recordable(document), "decision": answer}
        trail.emit("policy_event.DECIDED", "cp16", decided, with_next=True)
        kind = "APPROVED" if decision.allowed else "REJECTED"
        trail.emit(f"intent_event.{kind}", "cp16", {"reasons": codes}, with_next=True)
        return decision

    def lease(self, request: Request, decision: Decision, trail: Trail) -> Granted:
        """Issue, cosign and verify; raises `LeaseRefusedError` when the lease does not carry what is presented."""
        task_id = f"task-{secrets.token_hex(8)}"
        with trail.stage("lease.issue"):
            lease = self._issue(request, decision)
        self._under_way.add(lease.lease_id)
        trail.lease_id = lease.lease_id
        digest = lease.digest()
        issued = {"expires_at": lease.expires_at, "digest": digest}
        trail.emit("lease_event.ISSUED", "cp20", issued, with_next=True)
        for cosigner in lease.cosigners:
            signed = {"role": cosigner.role, "kid": cosigner.kid}
            trail.emit("lease_event.COSIGNED", cosigner.id, signed, with_next=True)
        for step in request.life.before_use:
            trail.settle()
            lease = self._befall(step, lease, trail)
            digest = lease.digest()
        document = tampered(lease.to_json(), request.tamper)
        with trail.stage("lease.verify"):
            self._verify(request, document, task_id)
        trail.emit("lease_event.VERIFIED", "cp14", {"digest": digest}, with_next=True)
        self._held[lease.lease_id] = facts.ActiveLease(
            lease.lease_id, lease.issued_to, lease.scope.paths_allowlist, parse_moment(lease.expires_at) // NS
        )
        watch = LeaseWatch()
        watch.start(Running(lease.lease_id, task_id, parse_moment(lease.expires_at)))
        return Granted(
            lease_id=lease.lease_id,
            task_id=task_id,
            document=document,
            capabilities=lease.capabilities,
            paths_write=lease.scope.paths_allowlist,
            env_allowlist=lease.scope.env_allowlist,
            commands=lease.scope.commands_allowlist,
            artefacts=lease.scope.artefacts,
            watch=watch,
        )

    def _befall(self, step: LeaseStep, lease: Lease, trail: Trail) -> Lease:
        """What a drill has happen to `lease` before it is used; the lease that is then presented."""
        if step == "rotate":
            self._keys.rotate(trail.recorder)
            self._authority.use_signer(self._keys.issuer())
        elif step == "spend":
            self._authority.registry.consume(
                lease.lease_id, task_id=f"task-{secrets.token_hex(8)}", now_ns=self._clock.now_ns()
            )
        elif step == "revoke":
            self.revoke(lease.lease_id, trail, "drill")
        else:
            fresh = self._authority.renew(lease.lease_id, policy_digest=lease.policy_digest)
            self._under_way.add(fresh.lease_id)
            trail.emit("lease_event.REVOKED", "cp20", {"by": "cp20", "why": "renewed"})
            self.announced(lease.lease_id)
            trail.lease_id = fresh.lease_id
            trail.emit("lease_event.ISSUED", "cp20", {"expires_at": fresh.expires_at, "renews": lease.lease_id})
            return fresh
        return lease

    def revoke(self, lease_id: str, trail: Trail, why: str) -> None:
        """Take a lease back, on record; whoever runs under it is killed by its watch."""
        self._authority.revoke(lease_id, by="cp20", why=why)
        trail.emit("lease_event.REVOKED", "cp20", {"by": "cp20", "why": why})
        self.announced(lease_id)

    def announced(self, lease_id: str) -> None:
        """The end of a lease is on record: nobody else has to record it."""
        self._authority.registry.mark_announced(lease_id)

    def take_back(self, lease_id: str) -> None:
        """Take a lease back while its command runs; the path records it when it acts on it."""
        self._authority.revoke(lease_id, by="cp20", why="drill")

    def settle_use(self) -> None:
        """Have the use of every verified lease survive a power cut: nothing of a task runs before. `OutsideError`."""
        self._authority.registry.settle()

    def release(self, granted: Granted) -> None:
        """The lease's task has ended: it no longer stands in anybody's way. A second call is silent."""
        self._held.pop(granted.lease_id, None)

    def foreseen(self, intent: Intent, command: Command, limits: Limits) -> tuple[Foreseen, ...]:
        """The quotas that `command` will breach, if it does as it did before."""
        return foreseen(command.argv, intent.requester, limits, self.history, brought=brought_by(intent))

    def settled(self, trail: Trail) -> None:
        """The path of an intent has ended: the ends of its leases are nobody's to record any more."""
        self._under_way -= {str(event["lease_id"]) for event in trail.events}

    def announce_ends(self, log: SvfLog) -> int:
        """Record every end of a lease that no path records, revoked elsewhere or expired unused; how many."""
        return len(announce_ends(self._authority.registry, log, self._clock.now_ns(), skip=frozenset(self._under_way)))

    def stop_reason(self, granted: Granted) -> str:
        """Empty, or why a command running under `granted` has to end now."""
        revoked = self._authority.registry.revocations([granted.lease_id])
        for kill in granted.watch.due(self._clock.now_ns(), revoked):
            return kill.reason.replace(".", "_")
        return ""

    def _issue(self, request: Request, decision: Decision) -> Lease:
        intent, granted = request.intent, decision.obligations
        cosigners: list[Cosigning] = []
        if intent.phase == "production":
            ring = self._keys.ring()
            roles = {key.holder: key.role for key in ring.registered.values()}
            cosigners = [
                Cosigning(roles[holder], holder, self._keys.signer_for(holder))
                for holder in request.approvals
                if roles.get(holder, "persona") != "persona"
            ]
        return self._authority.issue(
            intent,
            limits=granted.limits if decision.allowed else intent.limits,
            policy_digest=decision.policy_digest,
            expires_in_s=request.life.ttl_s or granted.lease_ttl_s or DEFAULT_TTL_S,
            scope=replace(
                LeaseScope.of(intent, paths_denylist=granted.scope.deny),
                commands_allowlist=tuple(command.argv for command in commands_of(intent)),
            ),
            cosigners=cosigners,
        )

    def _verify(self, request: Request, document: Mapping[str, Any], task_id: str) -> None:
        if "lease_check" in request.weaken:
            return
        intent = request.intent
        presented = commands_of(intent, request.attempt)
        verifier = LeaseVerifier(
            self._keys.ring, self._authority.registry, signatures="signature" not in request.weaken
        )
        verifier.verify(
            document,
            settled=False,
            now_ns=self._clock.now_ns() + request.life.clock_shift_s * NS,
            facts=LeaseFacts(
                intent_id=intent.intent_id,
                requester=intent.requester,
                policy_digest=self._policy.digest,  # the one in force now: a reload in between is refused as stale
                commands=tuple(command.argv for command in presented),
                phase=intent.phase,
                task_id=task_id,
                env=tuple(intent.env),
                capabilities=intent.capabilities,
                network=intent.scope.network,
                artefacts=tuple((artefact.name, artefact.sha256) for artefact in intent.artefacts),
                content_digest=intent_digest(intent),
            ),
        )

    def _review(self, request: Request, trail: Trail, validate: Callable[[Intent], Review]) -> list[Review]:
        intent = request.intent
        reviews: list[Review] = []
        with trail.stage("review"):
            if "review" in request.weaken:
                reviews.append(Review("cp14", "PASS", (), "cp14"))
            elif "cp14" in request.approvals:
                reviews.append(self._sentinel.review(intent))
            if intent.patch and all(review.passed for review in reviews):
                # What cp14 refuses is not run, not even to be tested.
                trail.settle()
                reviews.append(validate(intent))
            if "human" in request.approvals:
                reviews.append(approval(intent, holder="human", valid=self._signed(intent, "human")))
        for review in reviews:
            told = review.to_json()
            told |= {"verdict": review.policy_verdict, "findings": told["findings"][:FINDINGS]}
            trail.emit("intent_event.REVIEWED", review.actor, told, with_next=True)
        return reviews

    def _signatures(self, request: Request) -> tuple[facts.Signature, ...]:
        """Every approval that is a registered key's, with whether it signs this very intent."""
        found = []
        for key in self._keys.ring().registered.values():
            if key.holder in request.approvals and not key.retired_ns:
                valid = self._signed(request.intent, key.holder)
                # The policy names agents and personas by holder, people by being human (policies' phases data).
                role = key.role if key.role == "human" else key.holder
                found.append(facts.Signature(role, key.holder, key.kid, valid))
        return tuple(found)

    def _signed(self, intent: Intent, holder: str) -> bool:
        """Have `holder` sign the intent with the key kept here, and check it as if it had come from outside."""
        message = signed_intent(intent)
        try:
            signer = self._keys.signer_for(holder)
        except MisuseError:
            return False
        return signature_fits(signer.public, message, signer.sign(message))

    def _facts(self, intent: Intent, reviews: list[Review], signatures: tuple[facts.Signature, ...]) -> Facts:
        findings = [finding for review in reviews for finding in review.findings]
        return Facts(
            reviews=tuple(facts.Review(review.actor, review.policy_verdict, review.holder) for review in reviews),
            signatures=signatures,
            secrets_found=tuple(facts.Finding(one.rule, one.where) for one in findings if one.kind == "secret"),
            forbidden_patterns=tuple(facts.Finding(one.rule, one.where) for one in findings if one.kind == "pattern"),
            budget=facts.Budget(self._budget.balance(intent.requester, self._clock.now_ns())),
            active_leases=tuple(self._held.values()),
            builds=tuple(
                facts.Build(build.sha256, build.requester, build.lease_id)
                for digest in dict.fromkeys(artefact.sha256 for artefact in intent.artefacts)
                for build in self.builds.find(digest)
            ),
            host=self._host(),
            lease=facts.LeaseAsk(ttl_s=max(DEFAULT_TTL_S, intent.limits.wallclock_timeout_s + LEASE_MARGIN_S)),
        )


def signed_intent(intent: Intent) -> bytes:
    """The bytes a person or a persona signs to stand behind `intent`."""
    return dumps({"schema": "cordon.approval/1", "intent_id": intent.intent_id, "digest": intent_digest(intent)})


def tampered(document: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with each dotted field path of `changes` set to its value: a drill's damage, empty outside drills.

    Raises `BugError` for a path that is not there.
    """
    for path, value in changes.items():
        place: Any = document
        *parents, last = path.split(".")
        try:
            for name in parents:
                place = place[int(name)] if isinstance(place, list) else place[name]
            place[int(last) if isinstance(place, list) else last] = value
        except (KeyError, IndexError, ValueError, TypeError):
            raise BugError(f"tamper: a lease has no field {path}") from None
    return document


def recordable(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy's input as an event can hold it: whole where it fits, else its digest (replay then counts it out)."""
    encoded = dumps(document)
    if len(encoded) <= INPUT_BYTES:
        return document
    return {"too_long": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}


def _submitted(request: Request) -> dict[str, Any]:
    intent = request.intent
    told = {"digest": intent_digest(intent), "phase": intent.phase, "capabilities": list(intent.capabilities)}
    return {**told, "waited_us": request.waited_ns // 1000} if request.waited_ns else told

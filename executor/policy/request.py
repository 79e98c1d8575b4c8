"""What a decision is asked about: an intent and the facts others established about it, as the policy's input.

The facts here are everything the judgement needs that takes cryptography, IO or memory (a valid signature, a secret
found, free host memory). They are plain values; whether they suffice is judged in Rego alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from executor.intent import Intent
from executor.plain import plain
from executor.policy.patch import touched_paths

INPUT_SCHEMA: Final = "cordon.input/1"
ReviewVerdict = Literal["PASS", "FAIL", "ABSTAIN"]


@dataclass(frozen=True, slots=True)
class Review:
    """One review's outcome; `holder` is who holds the key it was given with (the actor itself when left empty)."""

    actor: str
    verdict: ReviewVerdict
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the intent; `valid` says that it verified against a trusted key of that holder."""

    role: str
    holder: str
    kid: str
    valid: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A scanner's hit: the name of its rule and the place, never the text found."""

    rule: str
    where: str


@dataclass(frozen=True, slots=True)
class ActiveLease:
    """A lease that is held at the moment; `write` are its path globs, `expires_at` seconds since the epoch."""

    lease_id: str
    requester: str
    write: tuple[str, ...]
    expires_at: int


@dataclass(frozen=True, slots=True)
class Build:
    """An artefact's digest came out of `requester`'s build under that lease; `executor.builds` verified it."""

    sha256: str
    requester: str
    lease_id: str


@dataclass(frozen=True, slots=True)
class LeaseAsk:
    """The lease asked for: life in seconds, the lease it renews (empty: none) and how often that one was renewed."""

    ttl_s: int = 60
    renews: str = ""
    renewals: int = 0


@dataclass(frozen=True, slots=True)
class PresentedLease:
    """A lease under which an intent is presented again, as its verifier saw it. Times: seconds since the epoch."""

    lease_id: str
    intent_id: str
    issued_to: str
    phase: Literal["staging", "production"]
    not_before: int
    expires_at: int
    policy_digest: str
    signature_valid: bool
    revoked: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """ATP the requester has left."""

    atp: int = 1000


@dataclass(frozen=True, slots=True)
class History:
    """The requester's violations and finished runs in the window that the policy's data names."""

    violations: int = 0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """What the host has to give. The defaults describe a healthy one; the executor measures."""

    mem_free_mb: int = 8192
    cpu_free_percent: int = 100
    disk_free_mb: int = 32768
    vms_running: int = 0
    vms_max: int = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known about an intent besides the intent. No review and no signature is assumed: they are given."""

    reviews: tuple[Review, ...] = ()
    signatures: tuple[Signature, ...] = ()
    secrets_found: tuple[Finding, ...] = ()
    forbidden_patterns: tuple[Finding, ...] = ()
    budget: Budget = field(default_factory=Budget)
    history: History = field(default_factory=History)
    active_leases: tuple[ActiveLease, ...] = ()
    builds: tuple[Build, ...] = ()
    lease: LeaseAsk = field(default_factory=LeaseAsk)
    presented: PresentedLease | None = None
    host: Host = field(default_factory=Host)


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """One question to the policy."""

    intent: Intent
    facts: Facts = field(default_factory=Facts)

    def document(self, *, now: int) -> dict[str, Any]:
        """The policy's input at `now` (seconds since the epoch); not yet validated (see `executor.policy.schema`)."""
        return {"schema": INPUT_SCHEMA, "now": now, "intent": _intent(self.intent), "facts": _facts(self.facts)}


def _intent(intent: Intent) -> dict[str, Any]:
    return {
        "id": intent.intent_id,
        "requester": intent.requester,
        "persona": intent.persona,
        "phase": intent.phase,
        "priority": intent.priority.name,
        "capabilities": list(intent.capabilities),
        "commands": [{"argv": list(command.argv), "cwd": command.cwd} for command in intent.commands],
        "env": [_variable(name, value) for name, value in intent.env.items()],
        "files": [{"path": file.path, "mode": file.mode, "size": len(file.content)} for file in intent.files],
        "artefacts": [{"name": one.name, "sha256": one.sha256, "size": len(one.content)} for one in intent.artefacts],
        "patch": {
            "size": len(intent.patch.encode("utf-8", "surrogatepass")),
            "paths": list(touched_paths(intent.patch)),
        },
        "collect": list(intent.collect),
        "scope": {
            "read": list(intent.scope.paths_read),
            "write": list(intent.scope.paths_write),
            "network": intent.scope.network,
            "endpoints": plain(intent.scope.endpoints),
        },
        "limits": plain(intent.limits),
    }


def _variable(name: str, value: str) -> dict[str, Any]:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        return {"name": name, "size": len(value.encode("utf-8", "surrogatepass")), "control": True}
    return {"name": name, "size": len(raw), "control": not value.isprintable()}


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "reviews": [
            {"actor": review.actor, "verdict": review.verdict, "holder": review.holder or review.actor}
            for review in facts.reviews
        ],
        "signatures": plain(facts.signatures),
        "secrets_found": plain(facts.secrets_found),
        "forbidden_patterns": plain(facts.forbidden_patterns),
        "budget": plain(facts.budget),
        "history": plain(facts.history),
        "active_leases": plain(facts.active_leases),
        "builds": plain(facts.builds),
        "lease": plain(facts.lease),
        "presented": [plain(facts.presented)] if facts.presented else [],
        "host": plain(facts.host),
    }

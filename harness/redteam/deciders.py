"""Targets that decide: the policy by way of a real OPA, and the check of leases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from executor.clock import ManualClock, SystemClock
from executor.errors import InvalidInputError, LeaseRefusedError
from executor.intent import Intent
from executor.keys import KeyStore
from executor.lease import Facts, LeaseAuthority
from executor.lease.admission import admit
from executor.policy import DecisionRequest, PolicyEngine, Review, default_policies_dir
from executor.policy import Facts as PolicyFacts
from harness.redteam.attacks import bent, bent_bytes
from harness.redteam.parsers import INTENTS
from harness.redteam.target import EscapeError, Target

NOW_NS: Final = 1_700_000_000_000_000_000
POLICY: Final = f"sha256:{'1' * 64}"
_LOADER: Final = ("LD_", "BASH_ENV", "PYTHONPATH", "PYTHONHOME", "GLIBC_")
_FACTS: Final = PolicyFacts(reviews=(Review("cp14", "PASS"),))


@contextmanager
def _opa() -> Iterator[PolicyEngine]:
    engine = PolicyEngine(default_policies_dir(), clock=SystemClock())
    try:
        yield engine
    finally:
        engine.close()


def _questions() -> SearchStrategy[Any]:
    """Intents for the policy to judge, and whole inputs that nobody has parsed."""
    whole = [DecisionRequest(Intent.parse(raw), _FACTS).document(now=1_700_000_000) for raw in INTENTS]
    return st.fixed_dictionaries({"intent": bent(INTENTS)}) | st.fixed_dictionaries({"document": bent(whole)})


def _policy(engine: PolicyEngine, attack: Any) -> None:
    """Allowed, denied with reasons, or malformed because the input is: never an error of OPA, never a wild grant."""
    if "document" in attack:
        document = attack["document"]
    else:
        try:
            document = DecisionRequest(Intent.parse(attack["intent"]), _FACTS).document(now=1_700_000_000)
        except InvalidInputError:
            return
    decision = engine.decide_document(document)
    if decision.verdict == "malformed" and decision.codes != ("policy.input_invalid",):
        raise EscapeError(f"no answer to an input: {decision.codes}")
    if decision.verdict == "deny" and not decision.codes:
        raise EscapeError("a denial without a reason")
    if decision.verdict == "allow":
        _tame(document)


def _tame(document: Any) -> None:
    """What no policy of ours allows, told apart from the policy itself."""
    intent = document["intent"]
    paths = [*(file["path"] for file in intent["files"]), *intent["patch"]["paths"], *intent["collect"]]
    for path in paths:
        if ".." in path.split("/") or not path.startswith(("/workspace", "/tmp")) or "\0" in path:  # noqa: S108 - theirs
            raise EscapeError(f"a wild path is allowed: {path!r}")
    if wild := [one["name"] for one in intent["env"] if one["name"].startswith(_LOADER) or one["control"]]:
        raise EscapeError(f"a wild variable is allowed: {wild[0]!r}")
    if "dev:gpu" in intent["capabilities"] or (intent["artefacts"] and not document["facts"]["builds"]):
        raise EscapeError("a capability nobody has, or an artefact nobody built, is allowed")
    if intent["phase"] == "production" and not document["facts"]["signatures"]:
        raise EscapeError("production is allowed without a signature")


@dataclass(frozen=True)
class _Desk:
    """An issued lease, and all that is needed to check one."""

    keys: KeyStore
    authority: LeaseAuthority
    document: bytes
    facts: Facts


_INTENT: Final = Intent.parse(INTENTS[0])


@contextmanager
def _desk() -> Iterator[_Desk]:
    with TemporaryDirectory(prefix="cordon-redteam-") as folder:
        clock = ManualClock(NOW_NS)
        keys = KeyStore(Path(folder), clock)
        keys.init()
        authority = LeaseAuthority(Path(folder), clock, keys.issuer(), keys.ring)
        try:
            lease = authority.issue(_INTENT, limits=_INTENT.limits, policy_digest=POLICY)
            facts = Facts(_INTENT.intent_id, _INTENT.requester, POLICY, (_INTENT.commands[0].argv,))
            yield _Desk(keys, authority, lease.document(), facts)
        finally:
            authority.close()


_LIKE: Final = {
    "capabilities": ["base:execute"], "cosigners": [],
    "expires_at": "2023-11-14T22:23:20.000000Z", "intent_id": "i-1",
    "issued_at": "2023-11-14T22:13:20.000000Z", "issued_by": "cp20", "issued_to": "cbo",
    "lease_id": f"lease-{'0' * 32}",
    "limits": {"cpu_quota": 100, "disk_quota_mb": 256, "fd_limit": 256, "mem_quota_mb": 256, "pids": 64,
               "wallclock_timeout_s": 30},
    "not_before": "2023-11-14T22:13:20.000000Z", "phase": "staging", "policy_digest": POLICY,
    "schema": "cordon.lease/1",
    "scope": {"commands_allowlist": [["echo", "hello"]], "env_allowlist": [], "network": "deny_all",
              "paths_allowlist": ["/workspace/**"], "paths_denylist": []},
    "sig": {"alg": "ed25519", "kid": "0" * 32, "value": "0" * 128},
}  # fmt: skip
"""A lease's shape; the real one's id, key and signature are put in where it has zeros."""


def _leases() -> SearchStrategy[Any]:
    edits = st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=3)
    return (
        st.fixed_dictionaries({"edits": edits})
        | st.fixed_dictionaries({"document": bent([_LIKE])})
        | bent_bytes([json.dumps(_LIKE).encode()]).map(lambda data: {"bytes": data})
    )


def _lease(desk: _Desk, attack: Any) -> None:
    """Only the lease that was issued, byte for byte, is good."""
    presented: Any
    if "edits" in attack:
        data = bytearray(desk.document)
        for at, value in attack["edits"]:
            data[at % len(data)] = value
        presented = bytes(data)
    elif "bytes" in attack:
        presented = attack["bytes"]
    else:
        presented = _real(attack["document"], json.loads(desk.document))
    try:
        found = admit(
            presented, now_ns=NOW_NS, facts=desk.facts, ring=desk.keys.ring(), find=desk.authority.registry.find
        )
    except LeaseRefusedError:
        return
    if found.document != desk.document:
        raise EscapeError("a lease passes that was not issued")


def _real(document: Any, real: dict[str, Any]) -> Any:
    """`document` with the issued lease's id, key and signature in the place of the zeros."""
    if isinstance(document, dict):
        if document.get("lease_id") == _LIKE["lease_id"]:
            document = {**document, "lease_id": real["lease_id"]}
        if document.get("sig") == _LIKE["sig"]:
            document = {**document, "sig": real["sig"]}
    return document if isinstance(document, dict) else json.dumps(document, default=str).encode()


TARGETS: Final = (
    Target("policy", "decisions by a real OPA", _questions, _policy, _opa, examples=60),
    Target("lease", "the check of leases", _leases, _lease, _desk, examples=200),
)

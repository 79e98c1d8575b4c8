"""How long it takes to issue and to verify a lease. Bars: issue p50 <= 2 ms, verify p50 <= 1 ms.

Everything is real: canonical bytes, Ed25519, schema, the SQLite registry on the disk of the temporary folder
(`TMPDIR`). `lease.verify` is the judgement (rules 1 to 15, registry read); `lease.verify_and_consume` also takes the
use, which waits for the disk.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.clock import SystemClock
from executor.intent import Command, Intent, Limits
from executor.keys import KeyStore
from executor.lease import Cosigning, Facts, LeaseAuthority, LeaseVerifier, intent_digest

ROUNDS: Final = 1000
POLICY: Final = f"sha256:{'a' * 64}"


def figures() -> list[dict[str, Any]]:
    """Issue, verify, verify and consume; staging and production (two cosigners)."""
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        store = KeyStore(Path(folder), clock)
        store.init()
        store.create("agent", "cp14")
        store.create("human", "ada")
        ring = store.ring()
        authority = LeaseAuthority(Path(folder), clock, store.issuer(), lambda: ring)
        verifier = LeaseVerifier(lambda: ring, authority.registry)
        agent = Cosigning("agent", "cp14", store.signer_for("cp14"))
        human = Cosigning("human", "ada", store.signer_for("ada"))
        staging = Intent("intent-1", "cbo", (Command(("echo", "Hello, Staging")),))
        production = Intent("intent-2", "cbo", (Command(("echo", "Hello")),), phase="production")
        found = [
            *_phase("", staging, (), authority, verifier),
            *_phase(".production", production, (agent, human), authority, verifier),
        ]
        authority.close()
        return found


def _phase(
    suffix: str, intent: Intent, cosigners: Sequence[Cosigning], authority: LeaseAuthority, verifier: LeaseVerifier
) -> list[dict[str, Any]]:
    """The three figures of one phase, each over leases of their own."""
    now_ns = SystemClock().now_ns
    digest = intent_digest(intent)
    facts = Facts(
        intent.intent_id, "cbo", POLICY, (intent.commands[0].argv,), intent.phase, "task-1", content_digest=digest
    )
    documents: list[bytes] = []

    def issue() -> None:
        lease = authority.issue(intent, limits=Limits(), policy_digest=POLICY, cosigners=cosigners)
        documents.append(lease.document())

    issued = _timed(issue)
    waiting, used = iter(documents), iter(documents)
    verified = _timed(lambda: verifier.verify(next(waiting), now_ns=now_ns(), facts=facts, consume=False))
    consumed = _timed(lambda: verifier.verify(next(used), now_ns=now_ns(), facts=facts))
    return [
        spread(f"lease.issue{suffix}", "ms", issued),
        spread(f"lease.verify{suffix}", "ms", verified),
        spread(f"lease.verify_and_consume{suffix}", "ms", consumed),
    ]


def _timed(action: Callable[[], object]) -> list[float]:
    """Milliseconds of each call."""
    values = []
    for _ in range(ROUNDS):
        begun = time.perf_counter_ns()
        action()
        values.append((time.perf_counter_ns() - begun) / 1e6)
    return values


if __name__ == "__main__":
    json.dump(figures(), sys.stdout, indent=2)
    sys.stdout.write("\n")

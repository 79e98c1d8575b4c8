"""The ladder for lease tests: keys, then an authority, then an intent with its lease."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock
from executor.errors import LeaseRefusedError
from executor.intent import Command, Intent, Limits, Phase
from executor.keys import KeyRing, KeyStore, SeedSigner, Signer
from executor.lease import Cosigning, Facts, Lease, LeaseAuthority, LeaseVerifier, intent_digest

POLICY = f"sha256:{'a' * 64}"
HUMAN = SeedSigner(b"h" * 32)


@dataclass
class Desk:
    """A key store, an authority over it, and a verifier over its registry."""

    state: Path
    clock: ManualClock
    store: KeyStore
    authority: LeaseAuthority
    verifier: LeaseVerifier

    @property
    def ring(self) -> KeyRing:
        """The keys as they are now."""
        return self.store.ring()

    def intent(self, phase: Phase = "staging", *argv: str) -> Intent:
        """An intent of cbo that runs one command."""
        command = Command(argv or ("echo", "Hello, Staging"))
        return Intent("intent-1", "cbo", (command,), phase=phase, env={"LANG": "C"})

    def issue(self, intent: Intent, **options: Any) -> Lease:
        """A lease for all that `intent` asks for."""
        return self.authority.issue(intent, limits=Limits(), policy_digest=POLICY, **options)

    def facts(self, intent: Intent, **changes: Any) -> Facts:
        """What is true when `intent` is carried out as it is."""
        facts = Facts(
            intent_id=intent.intent_id,
            requester=intent.requester,
            policy_digest=POLICY,
            commands=tuple(command.argv for command in intent.commands),
            phase=intent.phase,
            task_id="task-1",
            env=tuple(intent.env),
            capabilities=intent.capabilities,
            content_digest=intent_digest(intent),
        )
        return replace(facts, **changes)

    def refusal(self, document: Any, facts: Facts) -> str:
        """The reason `document` is refused for, or 'accepted'."""
        try:
            self.verifier.verify(document, now_ns=self.clock.ns, facts=facts)
        except LeaseRefusedError as refused:
            return refused.reason
        return "accepted"

    def cosigning(self, *holders: str) -> list[Cosigning]:
        """Registered cosigners by name; `ada` is the human."""
        return [
            Cosigning("human", "ada", HUMAN) if name == "ada" else Cosigning("agent", name, self.store.signer_for(name))
            for name in holders
        ]

    def signed(self, lease: Lease, signer: Signer | None = None, **changes: Any) -> bytes:
        """The lease with other fields, signed again: by the issuer, who would never, or by somebody else."""
        signer = signer or self.store.issuer()
        changed = replace(lease, sig=replace(lease.sig, kid=signer.kid), **changes)
        return replace(changed, sig=replace(changed.sig, value=signer.sign(changed.signed_bytes()).hex())).document()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Keys of cp20, cp14, cp15, cp18 and ada, and an open registry."""
    clock = ManualClock()
    store = KeyStore(tmp_path, clock)
    store.init()
    for agent in ("cp14", "cp15", "cp18"):
        store.create("agent", agent)
    store.register("human", "ada", HUMAN.public.hex())
    authority = LeaseAuthority(tmp_path, clock, store.issuer(), store.ring)
    yield Desk(tmp_path, clock, store, authority, LeaseVerifier(store.ring, authority.registry))
    authority.close()


def second_form(signature: str) -> str:
    """S + L in place of S."""
    order = 2**252 + 27742317777372353535851937790883648493
    raw = bytes.fromhex(signature)
    return (raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")).hex()

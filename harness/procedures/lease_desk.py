"""A desk where leases are presented: real keys, a real registry, the executor's own verifier, time that stands still.

Somebody prepares a `Presented` document there and hands it in. What a task would do with it is not part of this: the
question is whether the verifier takes it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from executor import canonical
from executor.clock import ManualClock
from executor.errors import LeaseRefusedError
from executor.intent import Command, Intent, Limits
from executor.keys import KeyStore, SeedSigner, Signer
from executor.lease import Cosigning, Facts, Lease, LeaseAuthority, LeaseVerifier, intent_digest

Unchecked = Literal["", "signatures", "lease"]
"""What a verifier from which something was taken away does not look at; all the executor's own switches can do."""
POLICY: Final = f"sha256:{'a' * 64}"
HUMAN: Final = SeedSigner(bytes(range(2, 34)))
THIEF: Final = SeedSigner(bytes(range(1, 33)))
"""A key that was never anybody's here."""


@dataclass
class Presented:
    """What is handed in: a lease's bytes, and what its holder is about to do."""

    document: bytes
    facts: Facts


@cache
def _keys() -> Mapping[str, tuple[int, bytes | None]]:
    """What a store of keys leaves in its folder, path -> mode and content (None: a folder), parents first.

    Made once for all desks of a process, each of which has a copy of its own: a desk stands for a call or two, and
    nothing that is handed in at one comes from another.
    """
    with tempfile.TemporaryDirectory(prefix="cordon-desk-") as folder:
        root = Path(folder)
        store = KeyStore(root, ManualClock())
        store.init()
        for agent in ("cp14", "cp15", "cp18"):
            store.create("agent", agent)
        store.register("human", "ada", HUMAN.public.hex())
        return {
            str(place.relative_to(root)): (place.stat().st_mode & 0o777, None if place.is_dir() else place.read_bytes())
            for place in sorted(root.rglob("*"))
        }


@dataclass
class Desk:
    """The issuer's side and the verifier's; agents cp14, cp15 and cp18 and the person ada have registered keys."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    store: KeyStore = field(init=False)
    authority: LeaseAuthority = field(init=False)

    def __post_init__(self) -> None:
        for name, (mode, content) in _keys().items():
            place = self.folder / name
            if content is None:
                place.mkdir(mode=mode)
                continue
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as out:
                out.write(content)
        self.store = KeyStore(self.folder, self.clock)
        self.authority = LeaseAuthority(self.folder, self.clock, self.store.issuer(), self.store.ring)

    def intent(self, **changes: Any) -> Intent:
        """What cbo asks for: one command."""
        return replace(Intent("intent-1", "cbo", (Command(("echo", "leased")),), env={"LANG": "C"}), **changes)

    def issue(self, intent: Intent | None = None, **options: Any) -> Lease:
        """A lease for all that the intent asks for."""
        return self.authority.issue(intent or self.intent(), limits=Limits(), policy_digest=POLICY, **options)

    def cosigning(self, *holders: str) -> list[Cosigning]:
        """Registered cosigners by name."""
        return [
            Cosigning("human", name, HUMAN) if name == "ada" else Cosigning("agent", name, self.store.signer_for(name))
            for name in holders
        ]

    def honest(self, lease: Lease | None = None, intent: Intent | None = None) -> Presented:
        """A lease handed in for exactly what it was issued for."""
        asked = intent or self.intent()
        facts = Facts(
            intent_id=asked.intent_id,
            requester=asked.requester,
            policy_digest=POLICY,
            commands=tuple(command.argv for command in asked.commands),
            phase=asked.phase,
            task_id="task-1",
            env=tuple(asked.env),
            capabilities=asked.capabilities,
            network=asked.scope.network,
            content_digest=intent_digest(asked),
        )
        return Presented((lease or self.issue(asked)).document(), facts)

    def signed(self, lease: Lease, signer: Signer | None = None) -> Lease:
        """`lease` with a fresh issuer's signature: what the holder of the issuer's key, or of another, can make."""
        with_key = signer or self.store.issuer()
        named = replace(lease, sig=replace(lease.sig, kid=with_key.kid))
        value = with_key.sign(named.signed_bytes()).hex()
        return replace(named, sig=replace(named.sig, value=value))

    def refusal(self, presented: Presented, unchecked: Unchecked = "") -> str:
        """The reason for which it is refused, empty when it is taken. `unchecked`: what nobody looks at."""
        if unchecked == "lease":
            return ""
        registry = self.authority.registry
        verifier = LeaseVerifier(self.store.ring, registry, signatures=unchecked != "signatures")
        try:
            verifier.verify(presented.document, now_ns=self.clock.now_ns(), facts=presented.facts)
        except LeaseRefusedError as refused:
            return refused.reason
        return ""


def altered(document: bytes, **changes: Any) -> bytes:
    """The document with top-level fields exchanged, canonical again: what anybody can make of a lease they hold."""
    return canonical.dumps({**canonical.loads(document, where="lease"), **changes})

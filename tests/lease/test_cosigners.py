"""Two keys for production: who may be one of them, when, and each way to be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executor.errors import InvalidInputError, LeaseRefusedError
from executor.keys import SeedSigner
from executor.lease import Cosigner, Lease
from executor.lease.registry import Registry
from tests.lease.conftest import HUMAN, Desk, second_form


def test_cosigners_at_the_same_moment_lose_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stores a signature over one that came in between asks the rules again; both are in the lease."""
    lease = desk.issue(desk.intent("production"))
    store = Registry.replace_document
    agents = iter(["cp14"])

    def late(self: Registry, more: Lease, old: bytes) -> bool:
        for agent in agents:
            desk.authority.cosign(lease.lease_id, "agent", agent, desk.store.signer_for(agent))
        return store(self, more, old)

    monkeypatch.setattr(Registry, "replace_document", late)
    whole = desk.authority.cosign(lease.lease_id, "human", "ada", HUMAN)
    assert [cosigner.id for cosigner in whole.cosigners] == ["cp14", "ada"]
    assert desk.authority.get(lease.lease_id) == whole


def test_two_keys_for_production(desk: Desk) -> None:
    """Production with a human and cp14 or cp18, in either order, at issue or later, is accepted."""
    intent = desk.intent("production")
    for holders in (("ada", "cp14"), ("cp18", "ada")):
        lease = desk.issue(intent, cosigners=desk.cosigning(*holders))
        assert desk.refusal(lease.document(), desk.facts(intent)) == "accepted"
    lease = desk.issue(intent)
    assert desk.refusal(lease.document(), desk.facts(intent)) == "lease.two_keys"
    desk.authority.cosign(lease.lease_id, "agent", "cp14", desk.store.signer_for("cp14"))
    by_hand = HUMAN.sign(lease.signed_bytes()).hex()
    whole = desk.authority.add_cosignature(lease.lease_id, "human", "ada", HUMAN.kid, by_hand)
    assert [cosigner.id for cosigner in whole.cosigners] == ["cp14", "ada"]
    assert whole.sig == lease.sig
    assert desk.refusal(whole.document(), desk.facts(intent)) == "accepted"


@pytest.mark.parametrize(
    ("holders", "reason"),
    [
        ((), "lease.two_keys"),
        (("ada",), "lease.two_keys"),
        (("cp14",), "lease.two_keys"),
        (("cp14", "cp18"), "lease.two_keys"),
        (("ada", "cp15"), "lease.two_keys"),
        (("ada", "cp14", "cp18"), "lease.two_keys"),
    ],
    ids=["none", "human-only", "agent-only", "two-agents", "wrong-agent", "three"],
)
def test_wrong_sets_of_keys_for_production(desk: Desk, holders: tuple[str, ...], reason: str) -> None:
    """Anything but one human and one of cp14 and cp18 is refused in production, and is good in staging."""
    production, staging = desk.intent("production"), desk.intent("staging")
    lease = desk.issue(production, cosigners=desk.cosigning(*holders))
    assert desk.refusal(lease.document(), desk.facts(production)) == reason
    lease = desk.issue(staging, cosigners=desk.cosigning(*holders))
    assert desk.refusal(lease.document(), desk.facts(staging)) == "accepted"


def _with(lease: Lease, *cosigners: Cosigner) -> bytes:
    return replace(lease, cosigners=cosigners).document()


def test_wrong_cosignatures(desk: Desk) -> None:
    """Each way one cosignature can be wrong has its reason."""
    intent = desk.intent("production")
    lease = desk.issue(intent, cosigners=desk.cosigning("ada", "cp14"))
    ada, agent = lease.cosigners
    stranger = SeedSigner(b"s" * 32)
    other = desk.issue(desk.intent("production"), cosigners=desk.cosigning("ada", "cp14"))
    cases = {
        "stranger's key": (
            Cosigner("human", "ada", stranger.kid, stranger.sign(lease.signed_bytes()).hex()),
            "unknown",
        ),
        "another's name": (replace(ada, id="bob"), "mismatch"),
        "another role": (replace(ada, role="persona"), "mismatch"),
        "agent's key as human": (Cosigner("human", "cp14", agent.kid, agent.sig), "mismatch"),
        "signature over another lease": (replace(ada, sig=other.cosigners[0].sig), "signature"),
        "issuer's signature": (replace(ada, sig=lease.sig.value), "signature"),
        "zero signature": (replace(ada, sig="0" * 128), "signature"),
        "second form": (replace(ada, sig=second_form(ada.sig)), "signature"),
        "same holder twice": (agent, "duplicate"),
    }
    for name, (cosigner, reason) in cases.items():
        document = _with(lease, cosigner, agent)
        assert desk.refusal(document, desk.facts(intent)) == f"lease.cosigner_{reason}", name
    desk.store.retire(ada.kid)
    assert desk.refusal(lease.document(), desk.facts(intent)) == "lease.cosigner_retired"


def test_nobody_cosigns_his_own_lease(desk: Desk) -> None:
    """Who asked cannot be one of the two keys."""
    intent = replace(desk.intent("production"), requester="ada")
    with pytest.raises(LeaseRefusedError) as refused:
        desk.issue(intent, cosigners=desk.cosigning("ada", "cp14"))
    assert refused.value.reason == "lease.self_cosigned"


def test_a_cosignature_that_does_not_fit_is_not_stored(desk: Desk) -> None:
    """Adding a wrong or second signature is refused and leaves the lease as it was."""
    lease = desk.issue(desk.intent("production"), cosigners=desk.cosigning("cp14"))
    for role, holder, kid, sig in (
        ("human", "ada", HUMAN.kid, "00" * 64),
        ("human", "eve", HUMAN.kid, HUMAN.sign(lease.signed_bytes()).hex()),
        ("agent", "cp14", lease.cosigners[0].kid, lease.cosigners[0].sig),
    ):
        with pytest.raises(LeaseRefusedError):
            desk.authority.add_cosignature(lease.lease_id, role, holder, kid, sig)
    with pytest.raises(InvalidInputError, match="no such role"):
        desk.authority.add_cosignature(lease.lease_id, "king", "ada", HUMAN.kid, "00" * 64)
    assert desk.authority.get(lease.lease_id) == lease

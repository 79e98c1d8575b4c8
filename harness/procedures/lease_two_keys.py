"""Class A, two keys: production leases in which a seat is empty, taken twice by one, or taken by somebody else."""

from __future__ import annotations

from dataclasses import replace

from executor.lease import Cosigner, Cosigning
from harness.procedures.lease_desk import HUMAN, THIEF, Desk, Presented
from harness.procedures.lease_tricks import trick


@trick
def _two_keys(desk: Desk) -> Presented:
    """Harmless: production, with a person's and an agent's signature."""
    intent = desk.intent(phase="production")
    return desk.honest(desk.issue(intent, cosigners=desk.cosigning("ada", "cp14")), intent)


def _production(desk: Desk, *holders: str) -> Presented:
    intent = desk.intent(phase="production")
    return desk.honest(desk.issue(intent, cosigners=desk.cosigning(*holders)), intent)


@trick
def _no_person(desk: Desk) -> Presented:
    return _production(desk, "cp14")


@trick
def _no_agent(desk: Desk) -> Presented:
    return _production(desk, "ada")


@trick
def _two_agents(desk: Desk) -> Presented:
    return _production(desk, "cp14", "cp18")


@trick
def _agent_without_seat(desk: Desk) -> Presented:
    """An agent that reviews nothing in the reviewing agent's seat."""
    return _production(desk, "ada", "cp15")


def _with(desk: Desk, *cosigners: Cosigner) -> Presented:
    """A production lease, cosigned by whoever; the issuer vouches for none of them."""
    intent = desk.intent(phase="production")
    return desk.honest(replace(desk.issue(intent), cosigners=cosigners), intent)


def _cosigned(who: Cosigning, *, over: bytes) -> Cosigner:
    return Cosigner(who.role, who.holder, who.signer.kid, who.signer.sign(over).hex())


@trick
def _one_person_twice(desk: Desk) -> Presented:
    """One person signs for both seats."""
    intent = desk.intent(phase="production")
    lease = desk.issue(intent)
    (ada,) = desk.cosigning("ada")
    seat = _cosigned(ada, over=lease.signed_bytes())
    return desk.honest(replace(lease, cosigners=(seat, seat)), intent)


@trick
def _cosigns_for_itself(desk: Desk) -> Presented:
    intent = desk.intent(phase="production", requester="cp14")
    lease = desk.issue(intent)
    both = tuple(_cosigned(who, over=lease.signed_bytes()) for who in desk.cosigning("ada", "cp14"))
    return desk.honest(replace(lease, cosigners=both), intent)


@trick
def _cosigned_another(desk: Desk) -> Presented:
    """Both signed; but another lease."""
    other = desk.issue(desk.intent(intent_id="intent-2", phase="production")).signed_bytes()
    return _with(desk, *(_cosigned(who, over=other) for who in desk.cosigning("ada", "cp14")))


@trick
def _cosigner_unknown(desk: Desk) -> Presented:
    return _with(desk, _cosigned(Cosigning("human", "mallory", THIEF), over=b""))


@trick
def _in_anothers_name(desk: Desk) -> Presented:
    """An agent's key, presented as the person's."""
    (agent,) = desk.cosigning("cp18")
    return _with(desk, Cosigner("human", "ada", agent.signer.kid, "0" * 128))


@trick
def _cosigner_retired(desk: Desk) -> Presented:
    handed_in = _two_keys(desk)
    desk.store.retire(HUMAN.kid)
    return handed_in

"""Class A, leases: documents that were altered, forged, borrowed, kept too long or used twice, handed in at a desk.

Who tries it has what the trick says: a lease of their own, somebody else's, a cosigner's key, in some the issuer's key
itself (a key thief without the host: the registry still knows what was issued). The control takes the check away.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from executor.clock import rfc3339
from executor.intent import Command
from harness.procedures.lease_desk import POLICY, THIEF, Desk, Presented, altered

Trick = Callable[[Desk], Presented]
TRICKS: Final[dict[str, Trick]] = {}
_SECOND: Final = 1_000_000_000


def trick(work: Trick) -> Trick:
    """Registers the function below under its name, `-` for `_`."""
    TRICKS[work.__name__.strip("_").replace("_", "-")] = work
    return work


@trick
def _none(desk: Desk) -> Presented:
    return desk.honest()


# Time --------------------------------------------------------------------------------------------------------------


@trick
def _expired(desk: Desk) -> Presented:
    handed_in = desk.honest()
    desk.clock.advance(601)
    return handed_in


@trick
def _not_yet(desk: Desk) -> Presented:
    return desk.honest(desk.issue(not_before_in_s=60))


@trick
def _clock_set_back(desk: Desk) -> Presented:
    """Used, run out, and the clock set back to when it was good."""
    handed_in = desk.honest()
    desk.refusal(handed_in)
    desk.clock.advance(601)
    desk.clock.advance(-300)
    return handed_in


@trick
def _before_its_issue(desk: Desk) -> Presented:
    """The verifier's clock is set back behind the issue."""
    handed_in = desk.honest()
    desk.clock.advance(-3600)
    return handed_in


# Signatures --------------------------------------------------------------------------------------------------------


@trick
def _unknown_key(desk: Desk) -> Presented:
    return desk.honest(desk.signed(desk.issue(), THIEF))


@trick
def _retired_key(desk: Desk) -> Presented:
    old = desk.store.issuer()
    lease = desk.issue()
    for _ in range(2):
        desk.store.rotate()
    return desk.honest(desk.signed(lease, old))


@trick
def _agents_key(desk: Desk) -> Presented:
    """An agent whose key is registered signs in the issuer's place."""
    return desk.honest(desk.signed(desk.issue(), desk.store.signer_for("cp14")))


@trick
def _altered_field(desk: Desk) -> Presented:
    handed_in = desk.honest()
    limits = {**json.loads(handed_in.document)["limits"], "mem_quota_mb": 4096}
    return _other_bytes(handed_in, altered(handed_in.document, limits=limits))


def _signature(desk: Desk, value: str) -> Presented:
    handed_in = desk.honest()
    sig = {**json.loads(handed_in.document)["sig"], "value": value}
    return _other_bytes(handed_in, altered(handed_in.document, sig=sig))


@trick
def _signature_cut(desk: Desk) -> Presented:
    return _signature(desk, json.loads(desk.honest().document)["sig"]["value"][:-2])


@trick
def _signature_of_zeros(desk: Desk) -> Presented:
    return _signature(desk, "0" * 128)


@trick
def _signature_of_another(desk: Desk) -> Presented:
    return _signature(desk, desk.issue(desk.intent(intent_id="intent-2")).sig.value)


# The issuer's key in the wrong hands -------------------------------------------------------------------------------


@trick
def _never_issued(desk: Desk) -> Presented:
    return desk.honest(desk.signed(replace(desk.issue(), lease_id=f"lease-{'f' * 32}")))


@trick
def _more_than_issued(desk: Desk) -> Presented:
    lease = desk.issue()
    return desk.honest(desk.signed(replace(lease, limits=replace(lease.limits, mem_quota_mb=4096))))


@trick
def _lives_a_day(desk: Desk) -> Presented:
    lease = desk.issue()
    end = rfc3339(desk.clock.now_ns() + 86_400 * _SECOND)
    return desk.honest(desk.signed(replace(lease, expires_at=end)))


@trick
def _uses_added(desk: Desk) -> Presented:
    """Used once; the same lease again, with a thousand uses."""
    lease = desk.issue()
    desk.refusal(desk.honest(lease))
    return desk.honest(desk.signed(replace(lease, uses=100)))


# Spelling ----------------------------------------------------------------------------------------------------------


@trick
def _said_twice(desk: Desk) -> Presented:
    """One key twice, of which each reader takes another."""
    handed_in = desk.honest()
    return _other_bytes(handed_in, handed_in.document[:-1] + b',"issued_to":"cp15"}')


@trick
def _spelled_otherwise(desk: Desk) -> Presented:
    handed_in = desk.honest()
    return _other_bytes(handed_in, json.dumps(json.loads(handed_in.document), indent=1).encode())


@trick
def _nested(desk: Desk) -> Presented:
    return _other_bytes(desk.honest(), b"[" * 200_000 + b"]" * 200_000)


@trick
def _huge(desk: Desk) -> Presented:
    handed_in = desk.honest()
    return _other_bytes(handed_in, handed_in.document + b" " * (2 << 20))


def _other_bytes(handed_in: Presented, document: bytes) -> Presented:
    """The same purpose with other bytes."""
    return Presented(document, handed_in.facts)


# What it is used for -----------------------------------------------------------------------------------------------


@trick
def _replayed(desk: Desk) -> Presented:
    handed_in = desk.honest()
    desk.refusal(handed_in)
    return handed_in


@trick
def _of_another_task(desk: Desk) -> Presented:
    return desk.honest(desk.issue(task_id="task-2"))


@trick
def _of_another_intent(desk: Desk) -> Presented:
    return desk.honest(desk.issue(desk.intent(intent_id="intent-2")))


@trick
def _of_another_requester(desk: Desk) -> Presented:
    return desk.honest(desk.issue(desk.intent(requester="cp15")))


@trick
def _for_another_phase(desk: Desk) -> Presented:
    return desk.honest(desk.issue(), desk.intent(phase="production"))


@trick
def _of_another_policy(desk: Desk) -> Presented:
    handed_in = desk.honest()
    return Presented(handed_in.document, replace(handed_in.facts, policy_digest=POLICY.replace("a", "b")))


@trick
def _other_content(desk: Desk) -> Presented:
    """The same id and command; what the command will find in the workspace was exchanged after the decision."""
    handed_in = desk.honest()
    return Presented(handed_in.document, replace(handed_in.facts, content_digest="f" * 64))


@trick
def _more_commands(desk: Desk) -> Presented:
    more = desk.intent(commands=(Command(("echo", "leased")), Command(("cat", "/etc/shadow"))))
    return desk.honest(desk.issue(), more)


@trick
def _more_variables(desk: Desk) -> Presented:
    return desk.honest(desk.issue(), desk.intent(env={"LANG": "C", "LD_PRELOAD": "/workspace/x.so"}))


@trick
def _more_capabilities(desk: Desk) -> Presented:
    return desk.honest(desk.issue(), desk.intent(capabilities=("base:execute", "res:large_mem")))


@trick
def _network_added(desk: Desk) -> Presented:
    handed_in = desk.honest()
    return Presented(handed_in.document, replace(handed_in.facts, network="egress"))


@trick
def _revoked(desk: Desk) -> Presented:
    lease = desk.issue()
    desk.authority.revoke(lease.lease_id, by="ada", why="a drill")
    return desk.honest(lease)

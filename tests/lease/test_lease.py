"""Leases: accepted for exactly what they were issued for, once, in time; each way to be wrong has its own reason."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor.errors import InvalidInputError, LeaseRefusedError, MisuseError, OutsideError
from executor.intent import Command, FileIn, Intent, Limits
from executor.keys import SeedSigner
from executor.keys.atomic import writing
from executor.lease import Lease, LeaseAuthority, LeaseVerifier, intent_digest
from executor.lease.authority import sweep
from executor.lease.registry import Registry
from tests.lease.conftest import POLICY, Desk

Fields = dict[str, Any]


def test_lease_has_the_designs_fields(desk: Desk) -> None:
    """The document holds exactly the fields of the design; what it says is what was asked and decided."""
    raw = desk.issue(desk.intent()).to_json()
    lease_id, sig = raw.pop("lease_id"), raw.pop("sig")
    assert len(lease_id) == len("lease-") + 32
    assert (sig["alg"], sig["kid"], len(sig["value"])) == ("ed25519", desk.store.issuer().kid, 128)
    assert raw == {
        "schema": "cordon.lease/1",
        "intent_id": "intent-1",
        "phase": "staging",
        "issued_by": "cp20",
        "issued_to": "cbo",
        "issued_at": "2023-11-14T22:13:20.000000Z",
        "not_before": "2023-11-14T22:13:20.000000Z",
        "expires_at": "2023-11-14T22:23:20.000000Z",
        "scope": {
            "paths_allowlist": ["/workspace/**"],
            "paths_denylist": [],
            "commands_allowlist": [["echo", "Hello, Staging"]],
            "env_allowlist": ["LANG"],
            "network": "deny_all",
        },
        "capabilities": ["base:execute"],
        "limits": {
            "cpu_quota": 100,
            "mem_quota_mb": 256,
            "disk_quota_mb": 256,
            "wallclock_timeout_s": 30,
            "fd_limit": 256,
            "pids": 64,
        },
        "policy_digest": POLICY,
        "cosigners": [],
    }


def test_lease_is_accepted_once(desk: Desk) -> None:
    """A lease verifies for what it was issued for, and a second time it is a replay."""
    intent = desk.intent()
    lease = desk.issue(intent)
    verified = desk.verifier.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent))
    assert (verified.lease, verified.document, verified.registered) == (lease, lease.document(), True)
    assert desk.refusal(lease.document(), desk.facts(intent)) == "lease.replayed"
    assert desk.authority.show(lease.lease_id)["state"] == "used"


def test_looking_does_not_use_it(desk: Desk) -> None:
    """Verifying without consuming leaves the use where it is."""
    intent = desk.intent()
    lease = desk.issue(intent)
    for _ in range(2):
        desk.verifier.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent), consume=False)
    assert desk.refusal(lease.document(), desk.facts(intent)) == "accepted"


def test_lease_may_say_it_can_be_used_more_often(desk: Desk) -> None:
    """A lease that says three uses is good for three, all by the task that took the first."""
    intent = desk.intent()
    lease = desk.issue(intent, uses=3)
    assert lease.to_json()["uses"] == 3
    seen = [desk.refusal(lease.document(), desk.facts(intent, task_id=task)) for task in ("t1", "t2", "t1", "t1", "t1")]
    assert seen == ["accepted", "lease.wrong_task", "accepted", "accepted", "lease.replayed"]


def test_racing_uses_win_once(desk: Desk) -> None:
    """Eight verifiers at once, one lease: exactly one gets it."""
    intent = desk.intent()
    document = desk.issue(intent).document()
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(desk.refusal(document, desk.facts(intent)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["accepted"] + ["lease.replayed"] * 7


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"intent_id": "intent-2"}, "lease.wrong_intent"),
        ({"requester": "mallory"}, "lease.wrong_requester"),
        ({"phase": "production"}, "lease.wrong_phase"),
        ({"policy_digest": f"sha256:{'b' * 64}"}, "lease.stale_policy"),
        ({"commands": (("echo", "Hello"),)}, "lease.command"),
        ({"commands": (("echo", "Hello, Staging"), ("whoami",))}, "lease.command"),
        ({"commands": (("echo", "Hello, Staging", ""),)}, "lease.command"),
        ({"env": ("LD_PRELOAD",)}, "lease.environment"),
        ({"capabilities": ("base:execute", "net:egress")}, "lease.capability"),
        ({"network": "egress"}, "lease.network"),
        ({"content_digest": "0" * 64}, "lease.wrong_content"),
        ({"intent_id": "\udcff"}, "lease.wrong_intent"),
    ],
)
def test_lease_is_bound_to_what_it_was_issued_for(desk: Desk, changes: Fields, reason: str) -> None:
    """One fact other than the lease's, and it is refused for that; with the right facts it is still good."""
    intent = desk.intent()
    lease = desk.issue(intent)
    assert desk.refusal(lease.document(), desk.facts(intent, **changes)) == reason
    assert desk.refusal(lease.document(), desk.facts(intent)) == "accepted"


def test_lease_is_bound_to_its_task(desk: Desk) -> None:
    """A lease issued to a task is refused to another, and where there is no task."""
    intent = desk.intent()
    lease = desk.issue(intent, task_id="task-1")
    assert lease.to_json()["task_id"] == "task-1"
    assert desk.refusal(lease.document(), desk.facts(intent, task_id="task-2")) == "lease.wrong_task"
    assert desk.refusal(lease.document(), desk.facts(intent, task_id="")) == "lease.wrong_task"
    assert desk.refusal(lease.document(), desk.facts(intent)) == "accepted"


def test_swapped_content_under_the_same_id_is_refused(desk: Desk) -> None:
    """Files, patch and the rest belong to the lease by digest: the same id with other content is another intent."""
    intent = desk.intent()
    lease = desk.issue(intent)
    for swapped in (
        replace(intent, files=(FileIn("/workspace/a", b"evil"),)),
        replace(intent, patch="--- a\n+++ b\n"),
        replace(intent, env={"LANG": "evil"}),
    ):
        facts = desk.facts(intent, content_digest=intent_digest(swapped))
        assert desk.refusal(lease.document(), facts) == "lease.wrong_content"


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (-1, "lease.not_yet"),
        (9.999999, "lease.not_yet"),
        (10, "accepted"),
        (59.999999, "accepted"),
        (60, "lease.expired"),
    ],
)
def test_lease_is_good_from_its_beginning_to_before_its_end(desk: Desk, seconds: float, reason: str) -> None:
    """The first moment counts, the last does not; to the microsecond."""
    intent = desk.intent()
    lease = desk.issue(intent, not_before_in_s=10, expires_in_s=60)
    desk.clock.advance(seconds)
    assert desk.refusal(lease.document(), desk.facts(intent)) == reason


@pytest.mark.parametrize(
    "options", [{"expires_in_s": 601}, {"expires_in_s": 0}, {"expires_in_s": 5, "not_before_in_s": 5}]
)
def test_no_lease_lives_longer_than_ten_minutes(desk: Desk, options: Fields) -> None:
    """A longer life than 600 s is not issued."""
    with pytest.raises(MisuseError, match="600 s"):
        desk.issue(desk.intent(), **options)


def test_even_a_signed_lease_lives_no_longer(desk: Desk) -> None:
    """The verifier holds the issuer to the rule too: a signed lease of 601 s, or one that ends first, is refused."""
    lease = desk.issue(desk.intent())
    facts = desk.facts(desk.intent())
    assert desk.refusal(desk.signed(lease, expires_at="2023-11-14T22:23:20.000001Z"), facts) == "lease.lifetime"
    assert desk.refusal(desk.signed(lease, not_before="2023-11-14T22:23:20.000000Z"), facts) == "lease.lifetime"
    assert desk.refusal(desk.signed(lease, issued_at="2023-11-14T22:13:20.000001Z"), facts) == "lease.lifetime"


def test_keys_are_current_previous_or_refused(desk: Desk) -> None:
    """Leases of the current and the previous key are good; two rotations later they are of a retired key."""
    intent = desk.intent()
    leases = [desk.issue(intent) for _ in range(3)]
    seen = []
    for lease in leases:
        seen.append(desk.refusal(lease.document(), desk.facts(intent)))
        desk.store.rotate()
    assert seen == ["accepted", "accepted", "lease.key_retired"]


def test_a_strangers_signature_is_refused(desk: Desk) -> None:
    """A lease signed by a key that is nobody's, or by a cosigner's key in the issuer's place, is refused."""
    intent = desk.intent()
    lease = desk.issue(intent)
    stranger = desk.signed(lease, SeedSigner(b"x" * 32))
    assert desk.refusal(stranger, desk.facts(intent)) == "lease.key_unknown"
    agent = desk.signed(lease, desk.store.signer_for("cp14"))
    assert desk.refusal(agent, desk.facts(intent)) == "lease.key_unknown"


def test_a_lease_the_registry_does_not_know_is_refused(desk: Desk) -> None:
    """A well-signed lease that was never issued, or was issued with other content, is refused."""
    intent = desk.intent()
    lease = desk.issue(intent)
    forged = desk.signed(lease, lease_id=f"lease-{'0' * 32}")
    assert desk.refusal(forged, desk.facts(intent)) == "lease.unknown"
    other = desk.signed(lease, capabilities=("base:execute", "dev:compiler"))
    assert desk.refusal(other, desk.facts(intent)) == "lease.not_as_issued"


def test_offline_verification_leaves_the_registry_out(desk: Desk) -> None:
    """Without a registry everything but issue, revocation and use is checked, and the answer says so."""
    intent = desk.intent()
    lease = desk.issue(intent)
    desk.authority.revoke(lease.lease_id, by="ada", why="test")
    offline = LeaseVerifier(desk.store.ring, None)
    verified = offline.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent))
    assert not verified.registered


def test_revoked_is_revoked(desk: Desk) -> None:
    """A revoked lease is refused with who and why; it cannot be revoked twice, cosigned or renewed."""
    intent = desk.intent()
    lease = desk.issue(intent)
    desk.authority.revoke(lease.lease_id, by="ada", why="wrong target")
    with pytest.raises(LeaseRefusedError, match="revoked by ada: wrong target"):
        desk.verifier.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent))
    with pytest.raises(MisuseError, match="revoked already, by ada"):
        desk.authority.revoke(lease.lease_id, by="bob", why="again")
    with pytest.raises(MisuseError, match="no lease"):
        desk.authority.revoke("lease-x", by="bob", why="again")
    with pytest.raises(LeaseRefusedError, match="revoked"):
        desk.authority.renew(lease.lease_id, policy_digest=POLICY)
    with pytest.raises(LeaseRefusedError, match="revoked"):
        desk.authority.cosign(lease.lease_id, "agent", "cp14", desk.store.signer_for("cp14"))


def test_renewal_replaces(desk: Desk) -> None:
    """A renewed lease is the same permission with a new life; the old one is superseded; renewals are counted."""
    intent = desk.intent()
    first = desk.issue(intent, expires_in_s=60)
    desk.clock.advance(59)
    second = desk.authority.renew(first.lease_id, policy_digest=POLICY, expires_in_s=60)
    desk.clock.advance(59)
    assert (second.scope, second.limits, second.issued_to) == (first.scope, first.limits, first.issued_to)
    assert desk.refusal(first.document(), desk.facts(intent)) == "lease.expired"
    record = desk.authority.registry.find(second.lease_id)
    assert record is not None
    assert (record.renews, record.renewals) == (first.lease_id, 1)
    assert desk.authority.show(first.lease_id)["revoked"]["why"] == f"superseded by {second.lease_id}"
    assert desk.refusal(second.document(), desk.facts(intent)) == "accepted"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda desk, _: desk.clock.advance(600), "lease.expired"),
        (
            lambda desk, lease: desk.authority.registry.consume(lease.lease_id, task_id="t", now_ns=desk.clock.ns),
            "lease.replayed",
        ),
    ],
)
def test_what_is_over_is_not_renewed(desk: Desk, spoil: Callable[[Desk, Lease], object], reason: str) -> None:
    """Expired and used leases are not renewed, nor any under a changed policy."""
    lease = desk.issue(desk.intent())
    with pytest.raises(LeaseRefusedError) as refused:
        desk.authority.renew(lease.lease_id, policy_digest=f"sha256:{'b' * 64}")
    assert refused.value.reason == "lease.stale_policy"
    spoil(desk, lease)
    with pytest.raises(LeaseRefusedError) as refused:
        desk.authority.renew(lease.lease_id, policy_digest=POLICY)
    assert refused.value.reason == reason


def test_a_use_taken_before_it_is_settled_counts_at_once_and_is_synced_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else gets it meanwhile; `settle` syncs what SQLite wrote, and only where something was."""
    synced: list[str] = []
    sync = os.fdatasync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr("executor.lease.registry.os.fdatasync", noted)
    intent = desk.intent()
    lease = desk.issue(intent)
    desk.verifier.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent), settled=False)
    assert desk.refusal(lease.document(), desk.facts(intent)) == "lease.replayed"
    other = Registry(desk.state / "outgoing" / "leases" / "registry.sqlite")
    with pytest.raises(LeaseRefusedError):
        other.consume(lease.lease_id, task_id="task-2", now_ns=desk.clock.ns)
    other.close()
    assert synced == []
    desk.authority.registry.settle()
    desk.authority.registry.settle()
    assert synced == ["registry.sqlite-wal"]


def test_a_use_that_cannot_be_synced_is_never_said_to_be(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one failed sync the disk's state is unknown: a later one that works proves nothing."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    intent = desk.intent()
    lease = desk.issue(intent)
    desk.verifier.verify(lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent), settled=False)
    with monkeypatch.context() as patched:
        patched.setattr("executor.lease.registry.os.fdatasync", fail)
        with pytest.raises(OutsideError, match="cannot be synced"):
            desk.authority.registry.settle()
    with pytest.raises(OutsideError, match="start the executor anew"):
        desk.authority.registry.settle()


def test_an_intent_that_fits_no_lease_is_not_signed(desk: Desk) -> None:
    """What the schema does not take is refused before it is signed, and nothing is registered."""
    for intent in (
        Intent("", "cbo", (Command(("true",)),)),
        Intent("i", "cbo", ()),
        Intent("i", "cbo", (Command(("\udcff",)),)),
        Intent("i", "cbo", (Command(("true",)),), capabilities=("Base Execute",)),
    ):
        with pytest.raises(InvalidInputError):
            desk.issue(intent)
    assert desk.authority.list() == []


def test_registry_survives_and_is_shared(desk: Desk) -> None:
    """A second process's authority sees the same leases, and a use there is a use here."""
    intent = desk.intent()
    lease = desk.issue(intent)
    other = LeaseAuthority(desk.state, desk.clock, desk.store.issuer(), desk.store.ring)
    assert other.get(lease.lease_id) == lease
    LeaseVerifier(desk.store.ring, other.registry).verify(
        lease.document(), now_ns=desk.clock.ns, facts=desk.facts(intent)
    )
    other.close()
    other.close()
    assert desk.refusal(lease.document(), desk.facts(intent)) == "lease.replayed"
    assert [record.lease_id for record in desk.authority.list(intent_id="intent-1")] == [lease.lease_id]
    assert desk.authority.list(intent_id="other") == []
    assert (desk.state / "outgoing" / "leases" / f"{lease.lease_id}.json").read_bytes() == lease.document()


def test_ends_are_announced_once(desk: Desk) -> None:
    """Revoked and unused expired leases wait to be recorded in the audit trail; used ones do not, nor recorded ones."""
    intent = desk.intent()
    revoked, unused, used = (desk.issue(intent) for _ in range(3))
    desk.authority.revoke(revoked.lease_id, by="ada", why="test")
    assert desk.refusal(used.document(), desk.facts(intent)) == "accepted"
    desk.clock.advance(600)
    registry = desk.authority.registry
    waiting = [record.lease_id for record in registry.unannounced(desk.clock.ns)]
    assert sorted(waiting) == sorted([revoked.lease_id, unused.lease_id])
    for lease_id in waiting:
        registry.mark_announced(lease_id)
    assert registry.unannounced(desk.clock.ns) == []


def test_issuer_whose_signer_lies_issues_nothing(desk: Desk) -> None:
    """A signer that signs with another key than it names is found before the lease goes out."""

    class Liar:
        kid = desk.store.issuer().kid
        public = desk.store.issuer().public
        sign = SeedSigner(b"l" * 32).sign

    authority = LeaseAuthority(desk.state, desk.clock, Liar(), desk.store.ring)
    with pytest.raises(InvalidInputError, match="does not sign with the key"):
        authority.issue(desk.intent(), limits=Limits(), policy_digest=POLICY)
    assert authority.list() == []
    authority.close()


def test_what_a_killed_writer_left_of_a_lease_goes_and_the_living_are_waited_for(tmp_path: Path) -> None:
    """A half is removed, whole files and others' stay; while somebody writes nothing is touched."""
    half, whole = tmp_path / f"lease-{'a' * 32}.0123abcd", tmp_path / f"lease-{'a' * 32}.json"
    for path in (half, whole, tmp_path / "notes.0123abcd"):
        path.write_text("x")
    swept = threading.Thread(target=sweep, args=(tmp_path,))
    with writing(tmp_path):
        swept.start()
        assert half.exists()
    swept.join(timeout=10)
    assert not half.exists()
    assert whole.exists()
    assert (tmp_path / "notes.0123abcd").exists()
    sweep(tmp_path / "gone")

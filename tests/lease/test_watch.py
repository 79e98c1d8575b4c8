"""The watch over running leases: who is to be killed, when, and for which of two reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.lease import POLL_S, Kill, LeaseWatch, Revocation, Running
from tests.lease.conftest import POLICY, Desk

SECOND = 1_000_000_000
TASK = Running("lease-1", "task-1", 100 * SECOND)


def watching(*tasks: Running) -> LeaseWatch:
    """A watch over `tasks`."""
    watch = LeaseWatch()
    for task in tasks:
        watch.start(task)
    return watch


def test_expiry_kills_at_its_moment_and_once() -> None:
    """Not before the moment, at it, and told once; the event to record says expired."""
    watch = watching(TASK)
    assert watch.due(100 * SECOND - 1, {}) == ()
    assert watch.next_ns() == 100 * SECOND
    (kill,) = watch.due(100 * SECOND, {})
    assert kill == Kill("lease-1", "task-1", "lease.expired", "the lease expired", 100 * SECOND)
    assert kill.event == "lease_event.EXPIRED"
    assert watch.due(101 * SECOND, {}) == ()
    assert (watch.next_ns(), watch.leases()) == (None, frozenset())


def test_revocation_kills_and_says_who_and_why() -> None:
    """A revoked lease kills at once, with the name and the reason of whoever took it back."""
    (kill,) = watching(TASK).due(50 * SECOND, {"lease-1": Revocation("ada", "wrong target", 49 * SECOND)})
    assert kill == Kill("lease-1", "task-1", "lease.revoked", "the lease was revoked by ada: wrong target", 49 * SECOND)
    assert kill.event == "lease_event.REVOKED"


@pytest.mark.parametrize(
    ("revoked_at", "reason"), [(99, "lease.revoked"), (100, "lease.expired"), (101, "lease.expired")]
)
def test_the_earlier_end_is_the_reason(revoked_at: int, reason: str) -> None:
    """Asked late, when a lease is both revoked and expired, what came first is the reason."""
    (kill,) = watching(TASK).due(105 * SECOND, {"lease-1": Revocation("ada", "x", revoked_at * SECOND)})
    assert kill.reason == reason


def test_ended_tasks_are_not_killed() -> None:
    """A task that ended is forgotten; forgetting twice is silent."""
    watch = watching(TASK)
    watch.stop("task-1")
    watch.stop("task-1")
    assert watch.due(200 * SECOND, {}) == ()


@given(
    st.dictionaries(st.integers(0, 20), st.tuples(st.integers(1, 50), st.none() | st.integers(1, 50))),
    st.integers(0, 60),
)
def test_exactly_the_ended_are_killed(tasks: dict[int, tuple[int, int | None]], now: int) -> None:
    """Over any set of tasks: killed are those whose lease is revoked or over by now, in the order of their ends."""
    watch = watching(*(Running(f"l{name}", f"t{name}", ends) for name, (ends, _) in tasks.items()))
    revoked = {f"l{name}": Revocation("x", "y", at) for name, (_, at) in tasks.items() if at is not None and at <= now}
    kills = watch.due(now, revoked)
    expected = {f"t{name}" for name, (ends, _) in tasks.items() if ends <= now or f"l{name}" in revoked}
    assert {kill.task_id for kill in kills} == expected
    assert [kill.ended_ns for kill in kills] == sorted(kill.ended_ns for kill in kills)
    assert watch.leases() == {f"l{name}" for name in tasks if f"t{name}" not in expected}


def test_registry_answers_the_watch(desk: Desk) -> None:
    """What is revoked through the authority is what the watch is told, for the leases it asks about."""
    first, second = desk.issue(desk.intent()), desk.issue(desk.intent())
    watch = watching(
        Running(first.lease_id, "t1", first.expires_ns()), Running(second.lease_id, "t2", second.expires_ns())
    )
    registry = desk.authority.registry
    assert watch.due(desk.clock.ns, registry.revocations(watch.leases())) == ()
    desk.authority.revoke(second.lease_id, by="ada", why="test")
    (kill,) = watch.due(desk.clock.ns, registry.revocations(watch.leases()))
    assert (kill.task_id, kill.reason) == ("t2", "lease.revoked")
    assert registry.revocations([]) == {}
    assert first.policy_digest == POLICY


def test_polling_leaves_time_to_kill() -> None:
    """Asked every POLL_S, a revocation is seen with more than half of the second left that a kill may take."""
    assert 0 < POLL_S <= 0.5

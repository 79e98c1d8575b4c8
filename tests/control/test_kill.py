"""The kill switch: an order reaches exactly what it means, what waits is turned away, and the service goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.control.kill import MAX_EARLY, KillOrder, KillSwitch
from executor.errors import InvalidInputError, RequestRefusedError
from executor.svf import read
from executor.svf.machine import check_trace
from tests.bridge.stand import Stand, intent

NAMES = st.sampled_from("abc")
ORDERS = st.one_of(
    st.builds(KillOrder, st.just("task"), NAMES, st.just("op")),
    st.builds(KillOrder, st.just("requester"), NAMES, st.just("op")),
    st.just(KillOrder("all", "", "op")),
)


@given(st.dictionaries(NAMES, NAMES), ORDERS, ORDERS)
def test_order_reaches_what_it_means_and_nothing_else(
    running: dict[str, str], first: KillOrder, late: KillOrder
) -> None:
    """Of any tasks that run, exactly those an order means have it, and the first order is the one that counts."""
    switch = KillSwitch()
    contexts = [switch.entered(intent_id, requester) for intent_id, requester in running.items()]
    for context in contexts:
        context.__enter__()
    meant = {name for name, requester in running.items() if first.reaches(name, requester)}
    assert set(switch.pull(first)) == meant
    switch.pull(late)
    for name, requester in running.items():
        expected = first if name in meant else late if late.reaches(name, requester) else None
        assert switch.order_for(name) == expected
    for context in contexts:
        context.__exit__(None, None, None)
    assert all(switch.order_for(name) is None for name in running)


def test_order_does_not_reach_what_comes_later() -> None:
    """Killing everything is no ban: the next task runs."""
    switch = KillSwitch()
    assert switch.pull(KillOrder("all", "", "op")) == ()
    with switch.entered("late", "cbo"):
        assert switch.order_for("late") is None


def test_task_that_is_about_to_enter_is_reached() -> None:
    """Handed out and not yet begun: the order waits for it, and orders that nobody comes for are forgotten."""
    switch = KillSwitch()
    order = KillOrder("requester", "cbo", "op")
    assert switch.pull(order, ["handed-out"]) == ("handed-out",)
    with switch.entered("handed-out", "cbo"):
        assert switch.order_for("handed-out") == order
    switch.pull(order, ["old", *(f"gone-{number}" for number in range(MAX_EARLY))])
    with switch.entered("old", "cbo"):
        assert switch.order_for("old") is None


@pytest.mark.parametrize(
    ("scope", "name", "message"),
    [
        ("everybody", "x", "none of task, requester, all"),
        ("all", "x", "must be empty"),
        ("task", "", "is required"),
    ],
)
def test_malformed_orders_are_refused(scope: str, name: str, message: str) -> None:
    """A scope there is not, or a name too many or missing."""
    with pytest.raises(InvalidInputError, match=message):
        KillOrder.parse(scope, name, "op", "")


def test_requesters_tasks_end_and_everybody_elses_go_on(stand: Stand) -> None:
    """Through the control socket: the running one has the order, the waiting ones are turned away, others wait on."""
    with stand.client() as client, stand.operator() as operator:
        client.submit(intent("running", "wait", "go"))
        stand.executor.wait_started(1)
        waiting = [client.submit(intent(f"w-{number}", "wait", "go"), stream=False) for number in range(3)]
        waiting[-1].accepted.result(10)
        assert operator.kill("requester", "somebody else") == {
            "killed": [],
            "flushed": 0,
            "took_us": pytest.approx(0, abs=10**6),
        }
        done = operator.kill("requester", "cbo", "a drill")
        assert (done["flushed"], done["killed"]) == (3 + 1 - len(stand.executor.started), stand.executor.started)
        assert stand.executor.orders[-1] == KillOrder("requester", "cbo", "stop", "a drill")
        refused = [task.outcome.exception(10) for task in waiting[len(stand.executor.started) - 1 :]]
        assert {error.reason for error in refused if isinstance(error, RequestRefusedError)} == {"control.killed"}
        stand.executor.gate("go").set()
        assert client.submit(intent("next")).outcome.result(10).effect == "completed"
        stand.service.switch.wait_recorded()
        assert operator.status()["safe_mode"] == {"on": False}
    events = list(read(stand.state / "logs" / "svf_audit"))
    turned = [event for event in events if event.type == "task_event.REJECTED"]
    assert {event.data["reason"] for event in turned} == {"control.killed"}
    assert check_trace(events, whole=True, complete=True) == []


def test_one_task_is_killed_by_the_id_its_owner_knows(stand: Stand) -> None:
    """The bridge's id and the intent's name the same task; another operator's mistake reaches nobody."""
    with stand.client() as client, stand.operator() as operator:
        task = client.submit(intent("one", "wait", "go"))
        stand.executor.wait_started(1)
        assert operator.kill("task", task.accepted.result(10))["killed"] == ["one"]
        assert operator.kill("task", "one")["killed"] == ["one"]
        assert operator.kill("task", "q-unknown")["killed"] == []
        with pytest.raises(RequestRefusedError, match="must be empty"):
            operator.kill("all", "one")
        stand.executor.gate("go").set()

"""The kill switch: an order reaches exactly what it means, what waits is turned away, and the service goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon.__main__ import main
from cordon.parser import EXIT_MISUSE
from executor.control.desk import MAX_MESSAGE
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
    tasks = {context.__enter__() for context in contexts}
    meant = {name for name, requester in running.items() if first.reaches(name, requester)}
    assert set(switch.pull(first)) == meant
    switch.pull(late)
    for task in tasks:
        name, requester = task.intent_id, task.requester
        expected = first if name in meant else late if late.reaches(name, requester) else None
        assert task.order == expected
    for context in contexts:
        context.__exit__(None, None, None)
    assert switch.pull(KillOrder("all", "", "op")) == ()


def test_order_does_not_reach_what_comes_later() -> None:
    """Killing everything is no ban: the next task runs."""
    switch = KillSwitch()
    assert switch.pull(KillOrder("all", "", "op")) == ()
    with switch.entered("late", "cbo") as task:
        assert task.order is None


def test_task_that_is_about_to_enter_is_reached() -> None:
    """Handed out and not yet begun: the order waits for it, and orders that nobody comes for are forgotten."""
    switch = KillSwitch()
    order = KillOrder("requester", "cbo", "op")
    assert switch.pull(order, ["handed-out"]) == ("handed-out",)
    with switch.entered("handed-out", "cbo") as task:
        assert task.order == order
    switch.pull(order, ["old", *(f"gone-{number}" for number in range(MAX_EARLY))])
    with switch.entered("old", "cbo") as task:
        assert task.order is None


def test_order_cuts_a_task_that_runs_no_command_and_passes_one_by_that_is_over() -> None:
    """The first order takes the machine away, once; none is said to have killed what only cleans up."""
    switch, first = KillSwitch(), KillOrder("task", "one", "op")
    with switch.entered("one", "cbo") as one, switch.entered("two", "cbo") as two:
        cuts: list[str] = []
        one.idle(lambda: cuts.append("one"))
        two.idle(lambda: cuts.append("two"))
        two.busy()
        assert switch.pull(first) == ("one",)
        assert switch.pull(KillOrder("all", "", "op")) == ("one", "two")
        assert (cuts, one.conclude()) == (["one"], first)
        assert switch.pull(first) == ()


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


def _typed(stand: Stand, *words: str) -> int:
    """`cordon kill WORDS`, as an operator types it."""
    keys = stand.state / "keys" / "curve"
    here = ["--connect", stand.service.control.endpoint, "--key", f"{keys}/stop.key"]
    return main(["kill", *here, "--server-key", f"{keys}/control.pub", *words])


@pytest.mark.parametrize("words", [("--task", ""), ("--requester", ""), ("--task=",)])
def test_an_empty_name_kills_nobody(stand: Stand, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`cordon kill --task "$ID"` where ID is not set: wrong use, and what runs runs on."""
    with stand.client() as client:
        task = client.submit(intent("one", "wait", "go"))
        stand.executor.wait_started(1)
        assert _typed(stand, *words) == EXIT_MISUSE
        assert "a name is wanted" in capsys.readouterr().err
        assert stand.executor.orders == []
        stand.executor.gate("go").set()
        assert task.outcome.result(10).effect == "completed"


def test_who_is_not_there_is_told_at_once(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown id says so with exit 1; an order that is too long is refused here, and not met by silence."""
    assert _typed(stand, "--task", "q-nobody") == 1
    assert "nothing of task q-nobody runs or waits here" in capsys.readouterr().err
    assert _typed(stand, "--all", "--why", "y" * MAX_MESSAGE) == EXIT_MISUSE
    assert f"at most {MAX_MESSAGE} bytes" in capsys.readouterr().err

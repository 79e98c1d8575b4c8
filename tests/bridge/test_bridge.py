"""The bridge as its clients see it: identity, order, replies, streams, and that nothing sent to it takes it down."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from executor.bridge import wire
from executor.bridge.client import BridgeClient
from executor.bridge.curve import CurvePair, make_pair
from executor.bridge.outcome_wire import unpack
from executor.errors import OutsideError, RequestRefusedError
from executor.intent import Priority
from tests.bridge.stand import Raw, Stand, eventually, intent

HELLO = wire.header("hello", id="h")


def raw(stand: Stand, name: str = "cbo", *, identity: bytes = b"") -> Raw:
    """A bare connection with the key of `name`."""
    return Raw(stand.service.bridge.endpoint, stand.keys["bridge"].public, stand.keys[name], identity=identity)


def test_outcome_output_events_and_files_come_back(stand: Stand) -> None:
    """A task's output and events stream, and its outcome is the executor's, whole."""
    with stand.client() as client:
        assert (client.welcome.requester, client.welcome.engine) == ("cbo", "sim")
        task = client.submit(intent("i-1", "echo", "hello", collect=("/workspace/x",)))
        assert [(piece.command, piece.stream, piece.data) for piece in task.output()] == [(1, "stdout", b"hello\n")]
        outcome = task.outcome.result(10)
        assert (outcome.effect, outcome.results[0].stdout, outcome.files[0].content) == (
            "completed",
            b"hello\n",
            b"\x00\xff/workspace/x",
        )
        assert [event["type"] for event in task.events] == [event["type"] for event in outcome.events]


def test_answer_is_there_before_the_cleanup_is_done(stand: Stand) -> None:
    """Who waits for the answer does not wait for the cleanup behind it; the outcome comes with the whole trail."""
    cleanup = stand.executor.gate("cleanup")
    with stand.client() as client:
        task = client.submit(intent("i-1", "echo", "hello"))
        answer = task.answer.result(10)
        assert (answer.effect, answer.results[0].stdout) == ("completed", b"hello\n")
        assert [piece.data for piece in task.output()] == [b"hello\n"]  # it ends with the answer
        assert not task.outcome.done()
        quiet = client.submit(intent("i-2", "echo", "hello"), stream=False)
        cleanup.set()
        outcome = task.outcome.result(10)
        assert outcome.events[: len(answer.events)] == answer.events
        assert [event["type"] for event in outcome.events[len(answer.events) :]] == [
            "vm_event.DESTROYED",
            "report_event.PUBLISHED",
        ]
        assert quiet.answer.result(10) == quiet.outcome.result(10)  # nobody streams: one message


def test_output_comes_while_the_task_runs(stand: Stand) -> None:
    """The first command's words are here while the second still waits."""
    with stand.client() as client:
        made = intent("i-1")
        task = client.submit(
            type(made)(
                "i-1", "cbo", (type(made.commands[0])(("echo", "first")), type(made.commands[0])(("wait", "go")))
            )
        )
        assert next(task.output()).data == b"first\n"
        assert not task.outcome.done()
        stand.executor.gate("go").set()
        assert task.outcome.result(10).effect == "completed"


def test_two_clients_get_their_own_replies(tmp_path: Path) -> None:
    """Interleaved tasks of two clients: each gets its own outcomes and no other's."""
    stand = Stand(tmp_path, workers=4).open()
    try:
        with stand.client("cbo") as one, stand.client("other") as two:
            mine = [one.submit(intent(f"a-{number}")) for number in range(40)]
            theirs = [two.submit(intent(f"b-{number}", requester="other")) for number in range(40)]
            assert [task.outcome.result(20).intent_id for task in mine] == [f"a-{number}" for number in range(40)]
            assert [task.outcome.result(20).intent_id for task in theirs] == [f"b-{number}" for number in range(40)]
    finally:
        stand.close()


def test_key_is_the_identity(stand: Stand) -> None:
    """Whoever says another requester's name is refused, and nothing of it reaches the executor."""
    with stand.client("other") as client:
        task = client.submit(intent("i-1", requester="cbo"))
        with pytest.raises(RequestRefusedError, match="submits as other, not as cbo") as error:
            task.outcome.result(10)
        assert (error.value.status, error.value.reason) == (403, "bridge.wrong_requester")
        assert client.submit(intent("i-2", requester="other")).outcome.result(10).effect == "completed"
    assert stand.executor.started == ["i-2"]


def test_signature_of_somebody_else_cannot_be_asked_for(stand: Stand) -> None:
    """The executor keeps people's keys in a drill; a client cannot have it sign with them."""
    with stand.client() as client:
        task = client.submit(intent("i-1", phase="production"), approvals=("cp14", "human"))
        with pytest.raises(RequestRefusedError, match="may not ask for the signature of human"):
            task.accepted.result(10)
    assert stand.executor.started == []


def test_priority_above_the_clients_own_is_refused(tmp_path: Path) -> None:
    """CRITICAL is for those whom the configuration allows it."""
    stand = Stand(tmp_path, top_priority=Priority.HIGH).open()
    try:
        with stand.client() as client:
            with pytest.raises(RequestRefusedError, match="may ask for HIGH at most"):
                client.submit(intent("i-1", priority=Priority.CRITICAL)).accepted.result(10)
            assert client.submit(intent("i-2", priority=Priority.HIGH)).accepted.result(10)
    finally:
        stand.close()


def test_drill_fields_never_come_over_the_wire(stand: Stand) -> None:
    """What reaches the executor is never weakened, tampered with, or run as something else than was decided."""
    with stand.client() as client:
        client.submit(intent("i-1")).outcome.result(10)
    found = stand.executor.requests[0]
    assert (found.weaken, found.tamper, found.attempt, found.approvals) == (frozenset(), {}, None, ("cp14",))


def test_unlisted_key_is_not_let_in(stand: Stand) -> None:
    """A stranger's connection is refused in the handshake; nothing it sends is read."""
    received = stand.service.bridge.counts["received"]
    with pytest.raises(OutsideError, match="this key"):
        BridgeClient(
            stand.service.bridge.endpoint,
            server_key=stand.keys["bridge"].public,
            pair=CurvePair.generate(),
            connect_s=1,
        )
    assert stand.service.bridge.counts["received"] == received
    assert stand.service.status()["handshakes"]["refused"] >= 1


def test_operators_key_does_not_submit_and_a_clients_key_does_not_stop(stand: Stand) -> None:
    """The two sockets have two lists."""
    with raw(stand, "stop") as operator:
        assert operator.ask(HELLO, seconds=1) is None
    with Raw(stand.service.control.endpoint, stand.keys["control"].public, stand.keys["cbo"]) as client:
        order = json.dumps({"v": "cordon.control/1", "op": "scram", "id": "x", "why": ""}).encode()
        assert client.ask(order, seconds=1) is None
    assert stand.service.switch.mode is None


def test_peer_without_curve_is_not_let_in(stand: Stand) -> None:
    """Plain ZeroMQ gets no answer."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.setsockopt(zmq.LINGER, 0)
        plain.connect(stand.service.bridge.endpoint)
        plain.send(HELLO)
        assert not plain.poll(1000)


NOISE = [
    (b"",),
    (b"\x00" * 100,),
    (b"{}",),
    (b"[" * 100_000,),
    (b'{"v":"cordon.bridge/1","op":"hello","id":"h"}', b"payload"),
    (HELLO, b"", b""),
    (b'{"v":"cordon.bridge/1","op":"submit","id":"h","intent":{},"approvals":[],"stream":true}',),
    (b'{"v":"cordon.bridge/1","op":"submit","id":"h","intent":null,"approvals":[],"stream":true}',),
    (b'{"v":"cordon.bridge/1","op":"attach","id":"h","tasks":[{}]}',),
    ("\ud800".encode("utf-8", "surrogatepass"),),
]


def test_every_malformed_message_is_answered_by_an_error(stand: Stand) -> None:
    """Whatever is sent is answered with a 400, and the next good message is served."""
    with raw(stand) as peer:
        for frames in NOISE:
            answer = peer.ask(*frames)
            assert answer is not None, frames
            assert (answer["op"], answer["status"]) == ("error", 400), frames
        welcome = peer.ask(HELLO)
        assert welcome is not None
        assert welcome["op"] == "welcome"
    assert stand.service.status()["bridge"]["malformed"] == len(NOISE)


def test_message_beyond_the_size_bound_costs_the_connection_and_nothing_else(stand: Stand) -> None:
    """libzmq drops a peer whose frame is over the bound; others are served."""
    with raw(stand) as peer, stand.client("other") as other:
        peer.socket.send(b"x" * (wire.MAX_PAYLOAD + 1024))
        assert peer.ask(seconds=1) is None
        assert other.submit(intent("i-1", requester="other")).outcome.result(10).effect == "completed"


def test_peer_that_does_not_read_holds_up_nobody(stand: Stand) -> None:
    """Thousands of unread replies are dropped, and another client is served."""
    with raw(stand) as deaf, stand.client("other") as other:
        deaf.socket.setsockopt(zmq.RCVHWM, 1)
        for _ in range(5000):
            deaf.socket.send(HELLO)
        assert other.submit(intent("i-1", requester="other")).outcome.result(20).effect == "completed"
        assert eventually(lambda: stand.service.bridge.counts["received"] >= 5000)
        assert other.submit(intent("i-2", requester="other")).outcome.result(20).effect == "completed"


def test_critical_behind_low_starts_next_and_order_is_kept_within_one(stand: Stand) -> None:
    """One worker, one task running: CRITICAL overtakes every LOW, LOW stay in their order."""
    with stand.client() as client:
        first = client.submit(intent("first", "wait", "go"))
        stand.executor.wait_started(1)
        low = [client.submit(intent(f"low-{number}", priority=Priority.LOW)) for number in range(20)]
        urgent = client.submit(intent("urgent", priority=Priority.CRITICAL))
        urgent.accepted.result(10)
        stand.executor.gate("go").set()
        for task in (first, urgent, *low):
            assert task.outcome.result(20).effect == "completed"
    assert stand.executor.started == ["first", "urgent", *(f"low-{number}" for number in range(20))]


def test_how_long_a_task_waited_reaches_the_record(stand: Stand) -> None:
    """Whoever waited behind another one is handed over with the time it did, so that the trail can say when it came."""
    with stand.client() as client:
        first = client.submit(intent("first", "wait", "go"))
        stand.executor.wait_started(1)
        second = client.submit(intent("second"))
        second.accepted.result(10)
        stand.executor.gate("go").set()
        for task in (first, second):
            task.outcome.result(10)
    waits = [request.waited_ns for request in stand.executor.requests]
    assert 0 <= waits[0] < waits[1]


def test_full_queue_refuses_the_next_with_503(tmp_path: Path) -> None:
    """Beyond its capacity a queue refuses, and takes again when there is room."""
    stand = Stand(tmp_path, capacity=3).open()
    try:
        with stand.client() as client:
            running = client.submit(intent("running", "wait", "go"))
            stand.executor.wait_started(1)
            waiting = [client.submit(intent(f"w-{number}")) for number in range(3)]
            with pytest.raises(RequestRefusedError, match="3 tasks wait") as error:
                client.submit(intent("over")).accepted.result(10)
            assert (error.value.status, error.value.reason) == (503, "queue.full")
            stand.executor.gate("go").set()
            for task in (running, *waiting):
                task.outcome.result(10)
            assert client.submit(intent("over")).outcome.result(10).effect == "completed"
    finally:
        stand.close()


def test_flood_of_one_leaves_places_to_others(tmp_path: Path) -> None:
    """One client gets its share of the queue and 503 beyond it; another still gets in; alone it may fill the queue."""
    stand = Stand(tmp_path, capacity=10, share=50).open()
    try:
        with stand.client() as flood, stand.client("other") as other:
            flood.submit(intent("running", "wait", "go")).accepted.result(10)
            stand.executor.wait_started(1)
            for number in range(5):
                flood.submit(intent(f"w-{number}")).accepted.result(10)
            with pytest.raises(RequestRefusedError, match="share") as error:
                flood.submit(intent("over")).accepted.result(10)
            assert (error.value.status, error.value.reason) == (503, "queue.share")
            other.submit(intent("another", requester="other")).accepted.result(10)
            stand.service.reload(replace(stand.config(), clients=stand.config().clients[:1]))
            for number in range(4):
                flood.submit(intent(f"alone-{number}")).accepted.result(10)
            with pytest.raises(RequestRefusedError, match="10 tasks wait"):
                flood.submit(intent("full")).accepted.result(10)
            stand.executor.gate("go").set()
    finally:
        stand.close()


def test_removed_key_is_refused_from_the_reload_on(stand: Stand) -> None:
    """On the connection that is there, and on a new one; what it had submitted still ends; an added key is let in."""
    added = make_pair(stand.state, "added")
    with stand.client() as client, stand.client("other") as other:
        running = client.submit(intent("running", "wait", "go"))
        running.accepted.result(10)
        (cbo, kept) = stand.config().clients
        new = replace(stand.config(), clients=(kept, replace(cbo, key=added.public)))
        assert stand.service.reload(new) == ()
        with pytest.raises(RequestRefusedError) as error:  # the same name, with the key of before
            client.submit(intent("late")).accepted.result(10)
        assert (error.value.status, error.value.reason) == (403, "bridge.stranger")
        assert not stand.lets_in()
        assert other.submit(intent("other-1", requester="other")).accepted.result(10)
        stand.executor.gate("go").set()
        assert running.outcome.result(10).effect == "completed"
    endpoint, server = stand.service.bridge.endpoint, stand.keys["bridge"].public
    with BridgeClient(endpoint, server_key=server, pair=added) as renewed:
        assert renewed.submit(intent("again")).outcome.result(10).effect == "completed"


def test_removed_operator_gives_no_more_orders(stand: Stand) -> None:
    """The control socket's list is reloaded as well."""
    with stand.operator() as operator:
        assert operator.status()["queue"]["mode"] == "open"
        stand.service.reload(replace(stand.config(), operators=()))
        with pytest.raises(RequestRefusedError, match="no operator"):
            operator.scram("late")
    assert stand.service.intake.mode == "open"


def test_reload_names_what_takes_a_restart(stand: Stand) -> None:
    """Fields that cannot change while the service runs are told, and are not taken over."""
    new = replace(stand.config(), workers=7, bridge_listen="tcp://127.0.0.1:1", share=80)
    assert stand.service.reload(new) == ("bridge_listen", "workers")
    assert stand.service.status()["workers"]["configured"] == stand.workers


def test_full_disk_under_the_journal_takes_no_worker(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that cannot be noted is refused and never runs; those that run or wait go on; then all is as before."""

    def full(_data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with stand.client() as client:
        running = client.submit(intent("running", "wait", "go"))
        stand.executor.wait_started(1)
        waiting = client.submit(intent("waiting"))
        waiting.accepted.result(10)
        with monkeypatch.context() as patch:
            patch.setattr(stand.service._journal, "_write", full)
            with pytest.raises(RequestRefusedError, match="journal cannot be written") as error:
                client.submit(intent("unnoted")).accepted.result(10)
            assert (error.value.status, error.value.reason) == (500, "host.out_of_disk")
            stand.executor.gate("go").set()
            assert running.outcome.result(10).effect == "completed"
            assert waiting.outcome.result(10).effect == "completed"
        assert client.submit(intent("unnoted")).outcome.result(10).effect == "completed"
    assert stand.executor.started == ["running", "waiting", "unnoted"]
    assert stand.service.status()["queue"]["unjournaled"] == 3
    assert stand.service.status()["workers"]["alive"] == stand.workers


def test_intent_id_is_used_once(stand: Stand) -> None:
    """The same intent twice would be two runs under one name in the audit trail."""
    with stand.client() as client:
        assert client.submit(intent("i-1")).outcome.result(10).effect == "completed"
        with pytest.raises(RequestRefusedError, match="submitted already") as error:
            client.submit(intent("i-1")).accepted.result(10)
        assert error.value.status == 409
    assert stand.executor.started == ["i-1"]


def test_broken_task_is_an_error_with_its_code_and_the_worker_goes_on(stand: Stand) -> None:
    """An error of the executor comes back as such; a bug comes back without the words it was raised with."""
    with stand.client() as client:
        with pytest.raises(RequestRefusedError, match="stand-in breaks") as error:
            client.submit(intent("i-1", "break")).outcome.result(10)
        assert (error.value.status, error.value.reason) == (500, "guest.lost")
        with pytest.raises(RequestRefusedError, match="ZeroDivisionError") as bug:
            client.submit(intent("i-2", "crash")).outcome.result(10)
        assert bug.value.reason == "cordon.bug"
        assert "secret" not in str(bug.value)
        assert client.submit(intent("i-3")).outcome.result(10).effect == "completed"
    assert "secret" not in stand.log.getvalue()


def test_result_is_fetched_over_a_new_connection_by_the_same_key_only(stand: Stand) -> None:
    """A client whose connection broke attaches and gets its result; for anybody else the task does not exist."""
    with raw(stand) as first:
        accepted = first.ask(*wire.submit("c", intent("i-1", "wait", "go"), ("cp14",), stream=False))
        assert accepted is not None
        task = accepted["task"]
        stand.executor.wait_started(1)
    attach = wire.header("attach", id="a", tasks=[task])
    with raw(stand, "other") as other, raw(stand) as again:
        refused = other.ask(attach)
        assert refused is not None
        assert (refused["status"], refused["code"]) == (404, "bridge.unknown_task")
        answer = again.ask(attach)
        assert answer is not None
        assert answer["op"] == "accepted"
        stand.executor.gate("go").set()
        result = again.ask()
        assert result is not None
        assert (result["op"], result["outcome"]["intent_id"]) == ("result", "i-1")
    with raw(stand) as later:  # it has ended by now: the result was kept
        later.socket.send_multipart([attach])
        assert later.socket.poll(10_000)
        head, payload = later.socket.recv_multipart()
        assert unpack(json.loads(head)["outcome"], payload).effect == "completed"


def test_future_of_a_task_that_a_new_executor_does_not_know_fails(tmp_path: Path) -> None:
    """The executor is started anew on the same address: who waits is told, nobody waits for ever."""
    stand = Stand(tmp_path).open()
    endpoint = stand.service.bridge.endpoint
    client = stand.client()
    try:
        task = client.submit(intent("i-1", "wait", "never"))
        stand.executor.wait_started(1)
        killed = stand.executor
        stand.kill()
        stand.listen = endpoint
        stand.open()
        with pytest.raises(RequestRefusedError, match="no task") as error:
            task.outcome.result(30)
        assert error.value.status == 404
        killed.gate("never").set()
    finally:
        client.close()
        stand.close()


def test_second_connection_with_the_same_routing_id_gets_nothing(stand: Stand) -> None:
    """A routing id that is taken is not handed over: the first connection keeps its replies."""
    with raw(stand, identity=b"same") as first:
        assert first.ask(HELLO) is not None  # the one that was there first
        with raw(stand, "other", identity=b"same") as second:
            assert second.ask(HELLO, seconds=1) is None
            answer = first.ask(HELLO)
            assert answer is not None
            assert answer["requester"] == "cbo"


def test_closing_twice_is_silent_and_closing_fails_what_waits(stand: Stand) -> None:
    """A client that is closed fails its futures and refuses new work; the executor runs on."""
    client = stand.client()
    task = client.submit(intent("i-1", "wait", "go"))
    stand.executor.wait_started(1)
    client.close()
    client.close()
    with pytest.raises(OutsideError, match="was closed"):
        task.outcome.result(1)
    stand.executor.gate("go").set()
    assert eventually(lambda: stand.service.intake.statistics()["ended"] == 1)
    assert stand.lets_in()

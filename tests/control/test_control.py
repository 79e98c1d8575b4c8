"""SCRAM and back: what is stopped, what is on record, who may go on, and that a restart changes nothing of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from executor.bridge import wire
from executor.bridge.client import BridgeClient
from executor.clock import ManualClock
from executor.control.desk import parse
from executor.control.permit import PermitOffice, sign
from executor.control.safe_mode import SafeMode, SafeModeFile
from executor.errors import InvalidInputError, OutsideError, RequestRefusedError
from executor.keys import KeyStore, SeedSigner
from executor.svf import read
from executor.svf.machine import check_trace, match_trail
from tests.bridge.stand import Raw, Stand, intent

QUEUED = 1000


def control_events(state: Path) -> list[str]:
    """The control events on record."""
    return [event.type for event in read(state / "logs" / "svf_audit") if event.type.startswith("control_event.")]


def test_scram_with_a_full_queue_takes_less_than_a_second(stand: Stand) -> None:
    """1000 waiting: all refused, connections refused, safe mode durable, in less than a second; then all on record."""
    with stand.client() as client, stand.operator() as operator:
        running = client.submit(intent("running", "wait", "go"))
        stand.executor.wait_started(1)
        waiting = [client.submit(intent(f"w-{number}"), stream=False) for number in range(QUEUED)]
        waiting[-1].accepted.result(20)
        begun = time.monotonic()
        done = operator.scram("a drill")
        took = time.monotonic() - begun
        assert (done["flushed"], done["faults"]) == (QUEUED, [])
        assert took < 1.0
        assert not stand.lets_in()
        assert SafeModeFile(stand.state).read() == SafeMode(done["since"], "stop", "a drill")
        for task in waiting:
            error = task.outcome.exception(10)
            assert isinstance(error, RequestRefusedError)
            assert (error.status, error.reason) == (503, "control.scram")
        with pytest.raises(RequestRefusedError, match="a person has to resume") as late:
            client.submit(intent("late")).accepted.result(10)
        assert late.value.reason == "control.safe_mode"
        stand.executor.gate("go").set()
        assert running.outcome.result(10).effect == "completed"
        stand.service.switch.wait_recorded()
    assert control_events(stand.state) == ["control_event.SCRAM", "control_event.SAFE_MODE"]
    assert check_trace(read(stand.state / "logs" / "svf_audit"), whole=True, complete=True) == []
    flushed = [event for event in read(stand.state / "logs" / "svf_audit") if event.intent_id == "w-7"]
    assert not match_trail(flushed, "flushed_unjudged")
    assert [event.actor for event in flushed] == ["cbo", "cp20"]


def test_task_whose_turn_came_in_between_is_turned_away(stand: Stand) -> None:
    """A task that was being judged at the stop is flushed behind its reservation, which is given back."""
    stand.executor.halted.set()
    with stand.client() as client:
        outcome = client.submit(intent("i-1")).outcome.result(10)
    assert (outcome.effect, outcome.reasons) == ("refused", ("control.scram",))
    assert not match_trail([event for event in read(stand.state / "logs" / "svf_audit") if event.intent_id], "flushed")


def test_safe_mode_survives_a_restart_and_a_person_ends_it(tmp_path: Path) -> None:
    """Stopped, killed, started again: still stopped, nobody connects; after a person's signature work goes on."""
    stand = Stand(tmp_path).open()
    with stand.operator() as operator:
        operator.scram("why not")
    stand.kill()
    stand.open()
    try:
        assert stand.service.intake.mode == "safe"
        assert stand.executor.halted.is_set()
        assert not stand.lets_in()
        with stand.operator() as operator:
            assert operator.status()["safe_mode"]["why"] == "why not"
            assert operator.resume(stand.store.signer_for("ada"))["by"] == "ada"
            assert operator.status()["safe_mode"] == {"on": False}
        with stand.client() as client:
            assert client.submit(intent("i-1")).outcome.result(10).effect == "completed"
        assert control_events(tmp_path) == [
            "control_event.SCRAM",
            "control_event.SAFE_MODE",
            "control_event.SAFE_MODE",
            "control_event.RESUMED",
        ]
        resumed = [event for event in read(tmp_path / "logs" / "svf_audit") if event.type == "control_event.RESUMED"]
        assert (resumed[0].actor, resumed[0].data["kid"]) == ("ada", stand.store.signer_for("ada").kid)
    finally:
        stand.close()


def test_nobody_but_a_registered_person_resumes(stand: Stand) -> None:
    """An agent's key, an unknown key and the issuer's key do not end safe mode."""
    with stand.operator() as operator:
        operator.scram("x")
        for signer in (stand.store.signer_for("cp14"), SeedSigner(b"s" * 32), stand.store.issuer()):
            with pytest.raises(RequestRefusedError, match="no registered person's") as error:
                operator.resume(signer)
            assert (error.value.status, error.value.reason) == (403, "control.not_permitted")
        stand.store.retire(stand.store.signer_for("ada").kid)
        with pytest.raises((RequestRefusedError, OutsideError), match=r"no registered person's|cannot read"):
            operator.resume(_Kept(stand))
        assert operator.status()["safe_mode"]["on"] is True
    assert "control_event.RESUMED" not in control_events(stand.state)


class _Kept:
    """Ada's key as she kept a copy of it, after it was retired."""

    def __init__(self, stand: Stand) -> None:
        self.public = next(key.public for key in stand.store.ring().registered.values() if key.holder == "ada")
        self.kid = next(key.kid for key in stand.store.ring().registered.values() if key.holder == "ada")

    def sign(self, _message: bytes) -> bytes:
        return b"\x01" * 64


def test_resume_without_a_stop_is_told(stand: Stand) -> None:
    """There is nothing to resume: a 409."""
    with stand.operator() as operator, pytest.raises(RequestRefusedError, match="nothing is stopped") as error:
        operator.resume(stand.store.signer_for("ada"))
    assert error.value.status == 409


def test_scram_twice_is_one_stop_with_two_records(stand: Stand) -> None:
    """A second SCRAM is on record, and one signature ends both; a challenge for the first is void."""
    with stand.operator() as operator:
        operator.scram("one")
        first = stand.service.switch.challenge()
        operator.scram("two")
        with pytest.raises(RequestRefusedError, match="no open challenge"):
            stand.service.switch.resume(sign(first, stand.store.signer_for("ada")))
        operator.resume(stand.store.signer_for("ada"))
    assert [name.split(".")[1] for name in control_events(stand.state)] == [
        "SCRAM", "SAFE_MODE", "SCRAM", "SAFE_MODE", "RESUMED",
    ]  # fmt: skip
    assert check_trace(read(stand.state / "logs" / "svf_audit"), whole=True, complete=True) == []


@pytest.fixture
def office(tmp_path: Path) -> tuple[PermitOffice, KeyStore, ManualClock]:
    """A permit office whose time the test moves."""
    clock = ManualClock()
    store = KeyStore(tmp_path, clock)
    store.init()
    store.create("human", "ada")
    return PermitOffice(store.ring, clock), store, clock


def test_permit_is_good_once_and_in_time(office: tuple[PermitOffice, KeyStore, ManualClock]) -> None:
    """A signature ends one stop: not twice, not late, not with another number, not for another stop."""
    desk, store, clock = office
    signer = store.signer_for("ada")
    good = sign(desk.challenge("s"), signer)
    assert desk.check(good["nonce"], good["kid"], good["sig"], "s").holder == "ada"
    with pytest.raises(RequestRefusedError, match="no open challenge"):
        desk.check(good["nonce"], good["kid"], good["sig"], "s")
    late = sign(desk.challenge("s"), signer)
    clock.advance(121)
    with pytest.raises(RequestRefusedError, match="no open challenge"):
        desk.check(late["nonce"], late["kid"], late["sig"], "s")
    desk.challenge("s")
    with pytest.raises(RequestRefusedError, match="another challenge"):
        desk.check(late["nonce"], late["kid"], late["sig"], "s")
    other = sign(desk.challenge("s"), signer)
    with pytest.raises(RequestRefusedError, match="no open challenge"):
        desk.check(other["nonce"], other["kid"], other["sig"], "t")
    wrong = sign(desk.challenge("s"), signer)
    with pytest.raises(RequestRefusedError, match="does not fit"):
        desk.check(wrong["nonce"], wrong["kid"], "00" * 64, "s")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"schema":"cordon.safe_mode/2"}', b"[]"])
def test_unreadable_safe_mode_file_means_safe_mode(tmp_path: Path, content: bytes) -> None:
    """Fail closed: whatever is in the file, being there means stopped."""
    file = SafeModeFile(tmp_path)
    assert file.read() is None
    file.path.write_bytes(content)
    assert file.read() == SafeMode("", "", "the safe mode file cannot be read")
    file.leave()
    file.leave()
    assert file.read() is None


def test_dangling_link_means_safe_mode(tmp_path: Path) -> None:
    """A link to nowhere is not the absence of the file."""
    file = SafeModeFile(tmp_path)
    file.path.symlink_to(tmp_path / "nowhere")
    assert file.read() is not None


ORDERS = [
    b"",
    b"{}",
    json.dumps({"v": "cordon.control/1", "op": "scram", "id": "1"}).encode(),
    json.dumps({"v": "cordon.control/1", "op": "scram", "id": "1", "why": 1}).encode(),
    json.dumps({"v": "cordon.control/1", "op": "reboot", "id": "1"}).encode(),
    json.dumps({"v": "cordon.control/1", "op": "status", "id": "1", "more": "x"}).encode(),
    b"x" * 20_000,
]


@pytest.mark.parametrize("order", ORDERS, ids=[f"{order[:40]!r}" for order in ORDERS])
def test_malformed_order_is_refused_and_nothing_happens(stand: Stand, order: bytes) -> None:
    """No half order is carried out."""
    with pytest.raises(InvalidInputError, match="order"):
        parse([order])
    assert [json.loads(reply[0])["status"] for reply in stand.service_desk().answer("stop", b"", [order])] == [400]
    assert stand.service.switch.mode is None


def test_client_that_comes_in_safe_mode_gets_in_when_it_ends(stand: Stand) -> None:
    """In safe mode nobody new is let in, and a client that keeps trying is served once a person has resumed."""
    with stand.operator() as operator:
        operator.scram("x")
        with pytest.raises(OutsideError, match="does not answer"):
            BridgeClient(
                stand.service.bridge.endpoint,
                server_key=stand.keys["bridge"].public,
                pair=stand.keys["cbo"],
                connect_s=0.5,
            )
        with Raw(stand.service.bridge.endpoint, stand.keys["bridge"].public, stand.keys["cbo"]) as waiting:
            assert waiting.ask(wire.header("hello", id="h"), seconds=0.5) is None
            operator.resume(stand.store.signer_for("ada"))
            welcome = waiting.ask()
            assert welcome is not None
            assert welcome["requester"] == "cbo"

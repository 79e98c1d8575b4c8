"""What a killed executor left is closed by events at the next start, and the queue's state is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executor.bridge.recovery import CAUSE, closing, recover
from executor.clock import SystemClock
from executor.errors import RequestRefusedError
from executor.intent import Priority
from executor.queue import Leftover
from executor.svf import SvfLog, read
from executor.svf.machine import MACHINES, check_trace, match_trail
from tests.bridge.stand import Stand, intent

WAY = [
    ("intent_event.SUBMITTED", "cbo"),
    ("intent_event.REVIEWED", "cp14"),
    ("risk_event.ASSESSED", "cp15"),
    ("intent_event.ARBITRATED", "cp16"),
    ("policy_event.DECIDED", "cp16"),
    ("intent_event.APPROVED", "cp16"),
    ("lease_event.ISSUED", "cp20"),
    ("lease_event.VERIFIED", "cp14"),
    ("resource_event.RESERVED", "cp19"),
    ("task_event.QUEUED", "cp20"),
    ("task_event.DISPATCHED", "cp20"),
    ("vm_event.READY", "cp20"),
    ("vm_event.ACQUIRED", "cp20"),
    ("rollback_event.CREATED", "cp20"),
    ("exec_event.STARTED", "cp20"),
    ("exec_event.FINISHED", "cp20"),
    ("resource_event.RELEASED", "cp19"),
    ("vm_event.DESTROYED", "cp20"),
    ("report_event.PUBLISHED", "cp17"),
]
REJECTED, ABORTED, RELEASED = "task_event.REJECTED", "exec_event.ABORTED", "resource_event.RELEASED"
DESTROYED, PUBLISHED = "vm_event.DESTROYED", "report_event.PUBLISHED"
ABORT = [ABORTED, RELEASED, DESTROYED, PUBLISHED]
CLOSINGS: dict[int, list[str]] = {
    **{count: [REJECTED] for count in range(1, 9)},
    9: [REJECTED, RELEASED],
    10: [REJECTED, RELEASED],
    11: [ABORTED, RELEASED, PUBLISHED],
    **dict.fromkeys(range(12, 17), ABORT),
    17: [DESTROYED, PUBLISHED],
    18: [PUBLISHED],
    19: [],
}
"""Events recorded before the kill -> what closes them."""
SEEN = {"quota": "memory", "value": 2, "limit": 1, "at_ms": 1}


class NoJournal:
    """Remembers what was ended."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def ended(self, task_id: str) -> None:
        self.ids.append(task_id)


def log_in(state: Path) -> SvfLog:
    """An open trail in a state folder."""
    return SvfLog.open(state / "logs" / "svf_audit", SystemClock())


def record(log: SvfLog, intent_id: str, count: int) -> None:
    """The first `count` events of a run."""
    ids = {"lease_id": "", "vm_id": ""}
    for kind, actor in WAY[:count]:
        if kind == "lease_event.ISSUED":
            ids["lease_id"] = f"lease-{intent_id}"
        if kind == "vm_event.READY":
            ids["vm_id"] = f"vm-{intent_id}"
        log.emit(kind, actor, intent_id=intent_id, lease_id=ids["lease_id"], vm_id=ids["vm_id"])


def trail(state: Path, intent_id: str) -> list[Any]:
    """The events of one intent."""
    return [event for event in read(state / "logs" / "svf_audit") if event.intent_id == intent_id]


@pytest.mark.parametrize("count", range(1, len(WAY) + 1))
def test_kill_after_any_event_is_closed(tmp_path: Path, count: int) -> None:
    """Killed behind each event of the path: the trail ends in order, with the cause, in a state it may end in."""
    with log_in(tmp_path) as log:
        record(log, "i-1", count)
    with log_in(tmp_path) as log:
        done = recover(log, tmp_path, "tcg", (), NoJournal())
    events = trail(tmp_path, "i-1")
    assert [event.type for event in events[count:]] == CLOSINGS[count]
    assert done.interrupted == (("i-1",) if CLOSINGS[count] else ())
    assert check_trace(events, complete=True) == []
    causes = [
        value for event in events[count:] for key, value in event.data.items() if key in {"cause", "reason", "why"}
    ]
    assert set(causes) <= {CAUSE}
    assert all(event.lease_id == events[count - 1].lease_id for event in events[count:])


def test_interrupted_run_has_its_report(tmp_path: Path) -> None:
    """A run that was killed while a command ran has a report that says aborted, and the event holds its digest."""
    with log_in(tmp_path) as log:
        record(log, "i-1", 15)
        recover(log, tmp_path, "tcg", (), NoJournal())
    report = json.loads((tmp_path / "outgoing/staging_runs/lease-i-1/report.json").read_text())
    assert (report["effect"], report["reasons"]) == ("aborted", [CAUSE])
    assert trail(tmp_path, "i-1")[-1].data["effect"] == "aborted"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("FINISHED", {"exit_code": 0, "by": "exit"}, ("completed", [])),
        ("FINISHED", {"exit_code": 3, "by": "exit"}, ("failed", [])),
        ("KILLED", {"by": "quota", "quota": "memory"}, ("breached", ["quota.memory"])),
        ("KILLED", {"by": "seccomp"}, ("killed", [])),
        ("TIMEOUT", {"by": "host"}, ("timeout", [])),
        ("DENIED", {"reason": "guest.path"}, ("refused", ["guest.path"])),
        ("ABORTED", {"cause": "guest.lost"}, ("aborted", ["guest.lost"])),
    ],
)
def test_run_that_had_ended_is_reported_as_it_ended(
    tmp_path: Path, kind: str, data: dict[str, Any], expected: tuple[str, list[str]]
) -> None:
    """Killed behind the release, when its caller may have the answer: the report says what the record says."""
    ids = {"intent_id": "i-1", "lease_id": "lease-i-1", "vm_id": "vm-i-1"}
    denied = kind == "DENIED"
    with log_in(tmp_path) as log:
        record(log, "i-1", 14 if denied else 15)
        if "quota" in data:
            log.emit("resource_event.ALERT", "cp19", **ids, task_id="t-1", data=SEEN)
            log.emit("resource_event.BREACH", "cp19", **ids, task_id="t-1", data=SEEN)
        log.emit(f"exec_event.{kind}", "cp20", **ids, data=data)
        log.emit(RELEASED, "cp19", **ids, data={"overlay_bytes": 0})
    with log_in(tmp_path) as log:
        recover(log, tmp_path, "tcg", (), NoJournal())
    events = trail(tmp_path, "i-1")
    assert [event.type for event in events[-3:]] == [RELEASED, DESTROYED, PUBLISHED]
    assert check_trace(events, complete=True) == []
    report = json.loads((tmp_path / "outgoing/staging_runs/lease-i-1/report.json").read_text())
    assert (report["effect"], report["reasons"]) == expected
    assert events[-1].data["effect"] == expected[0]


def test_machine_whose_end_was_not_recorded_is_told_and_a_living_one_is_not(tmp_path: Path) -> None:
    """Killed between a machine's end and its event: its trail ends all the same, and the new ones' goes on."""
    with log_in(tmp_path) as log:
        log.emit("policy_event.LOADED", "cp16", policy_digest="p", data={"policy_digest": "p", "cause": "start"})
        for name in ("vm-idle", "vm-sick", "vm-over", "vm-found"):
            log.emit("vm_event.READY", "cp20", vm_id=name)
        log.emit("vm_event.ZOMBIE", "cp20", vm_id="vm-sick")
        log.emit("vm_event.DESTROYED", "cp20", vm_id="vm-over")
    with log_in(tmp_path) as log:
        log.emit("policy_event.LOADED", "cp16", policy_digest="p", data={"policy_digest": "p", "cause": "start"})
        log.emit("vm_event.READY", "cp20", vm_id="vm-new")
        done = recover(log, tmp_path, "tcg", (), NoJournal(), orphans=("vm-found", "vm-nameless"))
        assert recover(log, tmp_path, "tcg", (), NoJournal()).orphans == ()
    assert sorted(done.orphans) == ["vm-found", "vm-idle", "vm-nameless", "vm-sick"]
    events = list(read(tmp_path / "logs" / "svf_audit"))
    told = {name: [event.type.partition(".")[2] for event in events if event.vm_id == name] for name in done.orphans}
    assert told == {
        "vm-found": ["READY", "ZOMBIE", "DESTROYED"],
        "vm-idle": ["READY", "ZOMBIE", "DESTROYED"],
        "vm-nameless": ["ZOMBIE", "DESTROYED"],
        "vm-sick": ["READY", "ZOMBIE", "DESTROYED"],
    }
    assert [event.type for event in events if event.vm_id == "vm-new"] == ["vm_event.READY"]
    assert check_trace(events, complete=True) == []


def test_waiting_task_is_turned_away_on_record(tmp_path: Path) -> None:
    """A task that only waited: that it came and that it will not run, as the named trail says."""
    journal = NoJournal()
    waiting = Leftover("q-1", "i-1", "cbo", "LOW")
    with log_in(tmp_path) as log:
        done = recover(log, tmp_path, "tcg", (waiting,), journal, unreadable=3)
    assert match_trail(trail(tmp_path, "i-1"), "flushed_unjudged").missing == ()
    assert check_trace(trail(tmp_path, "i-1"), complete=True) == []
    assert done.to_json() == {
        "interrupted": [],
        "queued": 1,
        "queued_by_priority": {"LOW": 1},
        "unreadable": 3,
        "orphans": [],
    }
    assert journal.ids == ["q-1"]


def test_machines_that_waited_for_nobody_are_told_of(tmp_path: Path) -> None:
    """Orphans no task had: ZOMBIE and DESTROYED each; of one a task had, only its trail's end tells."""
    with log_in(tmp_path) as log:
        log.emit("vm_event.READY", "cp20", vm_id="vm-idle")
        record(log, "i-1", 15)
        done = recover(log, tmp_path, "tcg", (), NoJournal(), orphans=("vm-idle", "vm-i-1"))
    events = [event for event in read(tmp_path / "logs" / "svf_audit") if event.type.startswith("vm_event")]
    assert done.orphans == ("vm-idle",)
    assert [event.type for event in events if event.vm_id == "vm-idle"] == [
        "vm_event.READY",
        "vm_event.ZOMBIE",
        "vm_event.DESTROYED",
    ]
    assert [fault for fault in check_trace(events) if fault.machine == "vm"] == []


def test_an_intent_id_is_not_taken_again_after_a_restart(tmp_path: Path) -> None:
    """Submitted before a kill, submitted again after it, and after a second restart too: refused as a duplicate."""
    stand = Stand(tmp_path)
    for start in range(3):
        stand.open()
        with stand.client() as client:
            submission = client.submit(intent("once"))
            if start == 0:
                submission.outcome.result(20)
            else:
                refusal = submission.accepted.exception(20)
                assert isinstance(refusal, RequestRefusedError)
                assert (refusal.status, refusal.reason) == (409, "bridge.duplicate")
        stand.kill()


def test_second_recovery_finds_nothing_and_reads_no_old_record(tmp_path: Path) -> None:
    """What is closed is not closed again, also when the start after the kill is killed."""
    with log_in(tmp_path) as log:
        record(log, "i-1", 12)
        recover(log, tmp_path, "tcg", (), NoJournal())
        count = len(trail(tmp_path, "i-1"))
        assert recover(log, tmp_path, "tcg", (), NoJournal()).interrupted == ()
        (tmp_path / "recovered.json").unlink()
        assert recover(log, tmp_path, "tcg", (), NoJournal()).interrupted == ()
    assert len(trail(tmp_path, "i-1")) == count


def test_mark_of_another_trail_is_no_mark(tmp_path: Path) -> None:
    """A state folder whose trail was replaced is read from its beginning."""
    with log_in(tmp_path) as log:
        record(log, "i-1", 19)
        recover(log, tmp_path, "tcg", (), NoJournal())
    (tmp_path / "logs" / "svf_audit").rename(tmp_path / "old")
    with log_in(tmp_path) as log:
        record(log, "i-2", 3)
        assert recover(log, tmp_path, "tcg", (), NoJournal()).interrupted == ("i-2",)


@pytest.mark.parametrize("state", sorted(MACHINES["intent"].states.keys() - {"new"}))
def test_every_state_has_a_way_to_its_end(state: str) -> None:
    """No state of an intent is a dead end for recovery."""
    machine, here = MACHINES["intent"], state
    for event in closing(state):
        (step,) = machine.steps([here], event)
        here = step.target
    assert here in machine.final


def test_killed_service_closes_what_ran_and_what_waited(tmp_path: Path) -> None:
    """Kill with one task running and three waiting: the next start closes all four and says how the queue stood."""
    stand = Stand(tmp_path).open()
    client = stand.client()
    client.submit(intent("running", "wait", "never"))
    stand.executor.wait_started(1)
    for number in range(3):
        client.submit(intent(f"w-{number}", priority=Priority.LOW if number else Priority.HIGH)).accepted.result(10)
    client.close()
    killed = stand.executor
    stand.kill()
    stand.open()
    try:
        assert stand.service.recovered.to_json() == {
            "interrupted": ["running"],
            "queued": 3,
            "queued_by_priority": {"HIGH": 1, "LOW": 2},
            "unreadable": 0,
            "orphans": [],
        }
        assert check_trace(read(tmp_path / "logs" / "svf_audit"), whole=True, complete=True) == []
        with stand.client() as again:
            assert again.submit(intent("after")).outcome.result(10).effect == "completed"
        line = json.loads(next(line for line in reversed(stand.log.getvalue().splitlines()) if "recovered" in line))
        assert (line["event"], line["queued"]) == ("recovered", 3)
    finally:
        killed.gate("never").set()
        stand.close()


def test_drain_works_off_what_waits_and_turns_the_rest_away(tmp_path: Path) -> None:
    """SIGTERM's way: no new task, what can be done in time is done, what cannot is refused on record."""
    stand = Stand(tmp_path).open()
    with stand.client() as client:
        held = client.submit(intent("held", "wait", "go"))
        stand.executor.wait_started(1)
        waiting = client.submit(intent("waiting"))
        waiting.accepted.result(10)
        assert stand.service.drain(0.05) == 1
        late = client.submit(intent("late"))
        assert [str(task.outcome.exception(10)) for task in (waiting, late)] == [
            "the executor ended before the task's turn came",
            "the executor is ending; come back when it has started again",
        ]
        stand.executor.gate("go").set()
        assert held.outcome.result(10).effect == "completed"
    stand.close()
    assert match_trail(trail(tmp_path, "waiting"), "flushed_unjudged").unexpected == ()
    stand.open()
    assert stand.service.recovered.to_json()["queued"] == 0
    stand.close()

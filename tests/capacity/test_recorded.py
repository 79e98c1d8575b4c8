"""A recorded trail as a load: stages are measured between the right events, arrivals are when the door was reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock, rfc3339
from executor.errors import InvalidInputError, OutsideError
from executor.keys import KeyStore
from executor.svf import SvfLog
from executor.svf.event import Event
from harness.errors import ScenarioError
from harness.simulate.load_file import parse_text
from harness.simulate.recorded import of_events, read
from harness.simulate.refit import as_load, mean, predicted_waits
from harness.simulate.run import simulate

START = 1_700_000_000


def event(kind: str, at: float, intent: str, **data: Any) -> Event:
    """One record; what chains it does not matter here."""
    moment = rfc3339(START * 1_000_000_000 + round(at * 1e9))
    actor = "cbo" if kind == "intent_event.SUBMITTED" else "cp20"
    return Event(1, moment, kind, actor, intent, "", "", "", "tcg", "", data, "", "")


def passage(intent: str, submitted: float, *, waited: float = 0.0, pool: str = "hit", run: float = 2.0) -> list[Event]:
    """Review 0.1 s, decision 0.2 s, lease 0.3 s, machine 0.4 s (3.4 s when it had to be made), then `run`."""
    machine = 0.4 if pool == "hit" else 3.4
    return [
        event("intent_event.SUBMITTED", submitted, intent, waited_us=round(waited * 1e6)),
        event("intent_event.REVIEWED", submitted + 0.1, intent),
        event("policy_event.DECIDED", submitted + 0.3, intent),
        event("task_event.QUEUED", submitted + 0.5, intent, priority="HIGH"),
        event("task_event.DISPATCHED", submitted + 0.6, intent),
        *([event("vm_event.READY", submitted + 0.6 + machine, intent)] if pool == "miss" else []),
        event("vm_event.ACQUIRED", submitted + 0.6 + machine, intent),
        event("report_event.PUBLISHED", submitted + 0.6 + machine + run, intent),
    ]


def test_stages_are_the_times_between_events() -> None:
    """Each stage by hand; a machine that had to be made is split into making and acquiring."""
    events = [*passage("a", 10.0), *passage("b", 20.0, waited=4.0, pool="miss", run=5.0)]
    found = of_events(events)
    assert {name: [round(value, 6) for value in values] for name, values in found.stages.items()} == {
        "review": [0.1, 0.1],
        "decision": [0.2, 0.2],
        "lease": [0.3, 0.3],
        "acquire": [0.4],
        "clone": [3.0],
        "run": [2.0, 5.0],
        "refill": [],
    }
    assert [round(time, 6) for time in found.arrivals_of("cbo")] == [0.0, 6.0]
    assert found.arrivals_of("cp15") == ()
    assert [(one.priority, round(one.waited_s, 6)) for one in found.passages] == [("HIGH", 0.0), ("HIGH", 4.0)]


def test_the_pools_own_machines_are_refills() -> None:
    """Two taken in a row are made anew one after the other; what the pool had at first is none."""

    def ready(at: float, vm: str) -> Event:
        return event("vm_event.READY", at, "")._replace(vm_id=vm)

    def taken(at: float, vm: str, intent: str) -> list[Event]:
        acquired = event("vm_event.ACQUIRED", at + 0.4, intent)._replace(vm_id=vm)
        return [event("task_event.DISPATCHED", at, intent), acquired]

    events = [ready(0.0, "a"), ready(2.0, "b"), *taken(10.0, "a", "i-1"), *taken(10.5, "b", "i-2")]
    events += [ready(12.0, "c"), ready(13.5, "d"), *taken(20.0, "c", "i-3"), ready(20.7, "e")]
    assert [round(value, 6) for value in of_events(events).stages["refill"]] == [2.0, 1.5, 0.7]


def test_a_denied_intent_counts_as_far_as_it_came() -> None:
    """It has a review and a decision, no machine; an intent whose beginning is missing is left out."""
    found = of_events([*passage("a", 0.0)[:3], *passage("cut", 5.0)[1:]])
    assert len(found.passages) == 1
    assert set(found.passages[0].stages) == {"review", "decision"}


def test_a_trail_on_disk_is_a_load(tmp_path: Path) -> None:
    """A load file takes arrivals and stages from a real log, and the waits it predicts are those the log shows."""
    clock = ManualClock(START * 1_000_000_000)
    KeyStore(tmp_path, clock).init()
    with SvfLog.open(tmp_path / "svf", clock, signer=KeyStore(tmp_path, clock).issuer()) as log:
        # One worker, three tasks at once, each takes 1 s: they wait 0, 1 and 2 s.
        for number in range(3):
            intent = f"i-{number}"
            log.emit("intent_event.SUBMITTED", "cbo", intent_id=intent, data={"waited_us": number * 1_000_000})
            log.emit("intent_event.REVIEWED", "cp14", intent_id=intent, data={"verdict": "PASS"})
            clock.advance(0.25)
            log.emit("vm_event.ACQUIRED", "cp20", intent_id=intent, vm_id="vm-1")
            clock.advance(0.75)
            log.emit("vm_event.DESTROYED", "cp20", intent_id=intent, vm_id="vm-1")
    text = """\
schema: cordon.load/1
id: again
title: Once more
recorded: {log: svf}
executor: {workers: 1, acquire_s: {constant: 0.25}}
sources:
  - {name: all, arrivals: {recorded: "*"}, service_s: {recorded: run}}
"""
    found, _ = simulate(parse_text(text, "load.yaml", tmp_path))
    assert found["wait_s"]["all"]["mean"] == pytest.approx(1.0)
    assert found["wait_s"]["all"]["max"] == pytest.approx(2.0)
    with pytest.raises(ScenarioError, match=r"recorded trail shows no lease \(allowed: review, run\)"):
        parse_text(text.replace("recorded: run", "recorded: lease"), "load.yaml", tmp_path)
    with pytest.raises(ScenarioError, match=r"nobody called cp15 .* \(allowed: \*, cbo\)"):
        parse_text(text.replace('"*"', "cp15"), "load.yaml", tmp_path)
    assert len(read(tmp_path / "svf").passages) == 3


def test_a_trail_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(OutsideError, match="nowhere"):
        read(tmp_path / "nowhere")


def test_a_broken_trail_is_told_with_its_folder(tmp_path: Path) -> None:
    """A load may name any: the mistake says which."""
    (tmp_path / "svf-000000000001.jsonl").write_text("nonsense\n")
    with pytest.raises(InvalidInputError, match=f"the audit trail in {tmp_path} cannot be read: .*line 1"):
        read(tmp_path)


def test_a_folder_without_a_trail_in_it_shows_nothing(tmp_path: Path) -> None:
    """A load that wants something of it is told what is missing, and where."""
    assert read(tmp_path).passages == ()


def test_a_recorded_run_is_predicted() -> None:
    """Three tasks of 3 s at once on one worker wait 0, 3 and 6 s; two workers halve that."""
    events = [one for number in range(3) for one in passage(f"i-{number}", 100.0 + 3 * number, waited=3.0 * number)]
    recorded = of_events(events)
    waits = predicted_waits(as_load(recorded, workers=1, pool=1), seeds=3)
    assert mean(waits) == pytest.approx(3.0)
    assert mean([one.waited_s for one in recorded.passages]) == pytest.approx(3.0)
    assert mean(predicted_waits(as_load(recorded, workers=2, pool=2), seeds=1)) == pytest.approx(1.0)
    assert simulate(as_load(recorded, workers=1, pool=1, form="in_order"))[0]["tasks"]["completed"] == 3

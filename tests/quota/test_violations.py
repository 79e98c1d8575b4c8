"""What the record remembers of a requester: a violation a run at most, in the window, and on whom it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock
from executor.errors import InvalidInputError
from executor.keys import SeedSigner
from executor.policy.request import History
from executor.svf import SvfLog
from executor.violations import Violations, load, window

POLICIES = Path(__file__).parents[2] / "policies"
DAY = 86_400
Kind = tuple[str, str, dict[str, Any]]
BROKEN: dict[str, Kind] = {
    "breach": ("resource_event.BREACH", "cp19", {"quota": "memory"}),
    "filter": ("exec_event.KILLED", "cp20", {"by": "seccomp"}),
    "guest": ("exec_event.DENIED", "cp20", {"reason": "guest.program_not_granted"}),
    "channel": ("channel_event.VIOLATION", "cp20", {"reason": "bad_magic"}),
}


def record(
    log: SvfLog, intent_id: str, requester: str, *events: tuple[str, str, dict[str, Any]], weak: bool = False
) -> None:
    ids = {"intent_id": intent_id, "vm_id": "vm-1"}
    log.emit("intent_event.SUBMITTED", requester, intent_id=intent_id)
    log.emit("vm_event.ACQUIRED", "cp20", data={"weakened": ["seccomp"] if weak else []}, **ids)
    for kind, actor, data in events:
        log.emit(kind, actor, data=data, **ids)
    log.emit("report_event.PUBLISHED", "cp17", intent_id=intent_id)


@pytest.fixture
def trail(tmp_path: Path) -> tuple[SvfLog, ManualClock, Path]:
    clock = ManualClock()
    return SvfLog.open(tmp_path, clock, SeedSigner(b"s" * 32), file_bytes=4096), clock, tmp_path


@pytest.mark.parametrize("event", BROKEN.values(), ids=BROKEN.keys())
def test_each_kind_of_violation_counts_once_a_run(trail: Any, event: Kind) -> None:
    """However often one run breaks rules, it is one violation, and a finished run."""
    log, clock, folder = trail
    with log:
        record(log, "i-1", "cbo", event, event, BROKEN["breach"])
        record(log, "i-2", "cbo")
    assert load(folder, DAY, clock.now_ns()).of("cbo", clock.now_ns()) == History(violations=1, runs=2)


def test_what_is_no_violation(trail: Any) -> None:
    """A signal, a kill order, a refusal by the policy, a run in a weakened machine, a drill."""
    log, clock, folder = trail
    with log:
        record(log, "i-1", "cbo", ("exec_event.KILLED", "cp20", {"by": "signal"}))
        record(log, "i-2", "cbo", ("exec_event.KILLED", "cp20", {"by": "kill_switch"}))
        record(log, "i-3", "cbo", BROKEN["breach"], weak=True)
        record(log, "drill-4", "cbo", BROKEN["breach"])
        log.emit("intent_event.SUBMITTED", "cbo", intent_id="i-5")
        log.emit("intent_event.REJECTED", "cp16", intent_id="i-5", data={"reasons": ["matrix.not_granted"]})
    assert load(folder, DAY, clock.now_ns(), ignored="drill-").of("cbo", clock.now_ns()) == History(0, 2)
    assert load(folder, DAY, clock.now_ns()).of("cbo", clock.now_ns()) == History(1, 3)


def test_validation_run_counts_for_who_sent_the_change(trail: Any) -> None:
    """cp18 runs other people's code: what that code does is theirs."""
    log, clock, folder = trail
    with log:
        log.emit("intent_event.SUBMITTED", "cbo", intent_id="i-1")
        record(log, "i-1.cp18", "cp18", BROKEN["filter"])
    found = load(folder, DAY, clock.now_ns())
    assert found.of("cbo", clock.now_ns()).violations == 1
    assert found.of("cp18", clock.now_ns()) == History()


def test_window_moves_on(trail: Any) -> None:
    """What is older than the window is forgotten, at a fresh start (whole files are passed over) and later on."""
    log, clock, folder = trail
    with log:
        for number in range(20):
            record(log, f"i-{number}", "cbo", BROKEN["breach"])
            clock.advance(3600)
    live = load(folder, DAY, clock.now_ns())
    assert live.of("cbo", clock.now_ns()) == History(20, 20)
    clock.advance(DAY - 3600 * 5)
    assert live.of("cbo", clock.now_ns()).violations == 4
    assert load(folder, DAY, clock.now_ns()).of("cbo", clock.now_ns()).violations == 4


def test_window_is_the_policys(tmp_path: Path) -> None:
    """The policy's own data says how far back it looks; without it nothing is guessed."""
    assert window(POLICIES) == DAY
    with pytest.raises(InvalidInputError, match="violations_window_s"):
        window(tmp_path)


def test_nothing_known_is_nothing_held_against() -> None:
    """A requester who never came has no history."""
    assert Violations(DAY).of("new", 0) == History()

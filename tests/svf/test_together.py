"""Several events at once: one sync, the same chain, all or none; what a drill drops stays dropped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock, SystemClock, parse_rfc3339
from executor.errors import AuditError, MisuseError
from executor.svf import SvfLog, read, verify
from executor.svf.log import Emission
from executor.trail import Trail

IDS = {"intent_id": "i", "lease_id": "", "task_id": "", "vm_id": "", "engine": "sim", "policy_digest": ""}
KINDS = ("risk_event.ASSESSED", "intent_event.ARBITRATED", "policy_event.DECIDED", "intent_event.APPROVED")
ACTORS = {kind: "cp15" if kind == "risk_event.ASSESSED" else "cp16" for kind in KINDS}


def log_in(folder: Path) -> SvfLog:
    return SvfLog.open(folder / "trail", SystemClock())


def test_events_in_a_block_share_one_sync_and_keep_their_order(tmp_path: Path) -> None:
    """Four events, one commit; numbers, chain and what is told are as if each had come alone."""
    told: list[str] = []
    with log_in(tmp_path) as log:
        trail = Trail(log, SystemClock(), "i", "sim", told=lambda event: told.append(event["type"]))
        with trail.together():
            for kind in KINDS:
                trail.emit(kind, ACTORS[kind])
            assert told == []
        counts = log.statistics()
    assert (counts["events"], counts["commits"]) == (4, 1)
    assert [event["type"] for event in trail.events] == told == list(KINDS)
    assert [event.to_json() for event in read(tmp_path / "trail")] == trail.events
    verify(tmp_path / "trail", None)


def test_a_block_that_fails_records_what_came_before(tmp_path: Path) -> None:
    """What was emitted happened: an exception on the way out does not take it from the record."""
    with log_in(tmp_path) as log:
        trail = Trail(log, SystemClock(), "i", "sim")

        def fail() -> None:
            with trail.together():
                trail.emit(KINDS[0], "cp15")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
    assert [event.type for event in read(tmp_path / "trail")] == [KINDS[0]]


def test_one_event_that_does_not_fit_keeps_all_of_its_block_out(tmp_path: Path) -> None:
    """Events of one call are recorded together or not at all."""
    with log_in(tmp_path) as log:
        with pytest.raises(MisuseError):
            log.emit_all([Emission(KINDS[0], "cp15", IDS, {}), Emission("vm_event.READY", "cp20", IDS, {})])
        assert log.statistics()["events"] == 0


def test_blocks_and_single_events_of_many_threads_make_one_chain(tmp_path: Path) -> None:
    """Blocks stay whole among each other, and nobody waits for ever."""

    def block(number: int) -> None:
        for _ in range(20):
            log.emit_all([Emission(kind, ACTORS[kind], {**IDS, "intent_id": f"i{number}"}, {}) for kind in KINDS])

    def single() -> None:
        for _ in range(40):
            log.emit("vm_event.READY", "cp20", vm_id="v")

    with log_in(tmp_path) as log:
        work: list[Any] = [threading.Thread(target=block, args=(number,)) for number in range(4)]
        work += [threading.Thread(target=single) for _ in range(4)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join(60)
            assert not thread.is_alive()
    verify(tmp_path / "trail", None)
    seen = [event for event in read(tmp_path / "trail") if event.intent_id]
    assert len(seen) == 4 * 20 * 4
    for at in range(0, len(seen), 4):
        assert [event.type for event in seen[at : at + 4]] == list(KINDS)
        assert len({event.intent_id for event in seen[at : at + 4]}) == 1
        assert seen[at + 3].seq == seen[at].seq + 3


def test_a_trail_that_cannot_be_written_says_so_for_the_whole_block(tmp_path: Path) -> None:
    """A closed trail takes none of a block's events."""
    log = log_in(tmp_path)
    log.close()
    trail = Trail(log, SystemClock(), "i", "sim")
    with pytest.raises(AuditError), trail.together():
        trail.emit(KINDS[0], "cp15")
    assert trail.events == []


def _on_disk(folder: Path) -> list[str]:
    return [event.type for event in read(folder / "trail")]


def test_what_was_kept_and_failed_stops_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that fails is known before anything that the events led up to may happen."""
    log = log_in(tmp_path)
    trail = Trail(log, SystemClock(), "i", "sim")

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("executor.svf.log.os.fdatasync", fail)
    trail.emit(KINDS[0], "cp15", with_next=True)
    with pytest.raises(AuditError, match="cannot be written"):
        trail.settle()
    with pytest.raises(AuditError):
        trail.emit(KINDS[1], "cp16")
    assert trail.events == []
    monkeypatch.undo()
    log.close()


def test_events_kept_by_many_threads_are_in_each_ones_order(tmp_path: Path) -> None:
    """With the next and at once, mixed by eight threads: one chain, each one's events in the order it emitted them."""

    def work(number: int) -> None:
        trail = Trail(log, SystemClock(), f"i{number}", "sim")
        for at in range(25):
            for kind in KINDS:
                trail.emit(kind, ACTORS[kind], with_next=(at + number) % 3 > 0)
        trail.settle()
        found[number] = [event["type"] for event in trail.events]

    found: dict[int, list[str]] = {}
    with log_in(tmp_path) as log:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    verify(tmp_path / "trail", None)
    assert found == {number: list(KINDS) * 25 for number in range(8)}
    for number in range(8):
        assert [event.type for event in read(tmp_path / "trail") if event.intent_id == f"i{number}"] == found[number]


def test_what_goes_with_the_next_shares_its_sync_and_keeps_its_own_moment(tmp_path: Path) -> None:
    """Nothing is on the disk before, one commit for all, and the record says when each was emitted."""
    clock = ManualClock()
    with SvfLog.open(tmp_path / "trail", clock) as log:
        trail = Trail(log, clock, "i", "sim")
        for kind in KINDS[:3]:
            trail.emit(kind, ACTORS[kind], with_next=True)
            clock.advance(1)
        assert _on_disk(tmp_path) == [event["type"] for event in trail.events] == []
        trail.emit(KINDS[3], ACTORS[KINDS[3]])
        assert log.statistics()["commits"] == 1
        assert _on_disk(tmp_path) == list(KINDS)
    moments = [parse_rfc3339(event["ts"]) for event in trail.events]
    assert [later - moments[0] for later in moments] == [0, 1_000_000_000, 2_000_000_000, 3_000_000_000]
    verify(tmp_path / "trail", None)


def test_new_work_is_refused_before_anything_of_it_is_kept(tmp_path: Path) -> None:
    """A trail that takes nothing says so to whoever is about to begin."""
    log = log_in(tmp_path)
    trail = Trail(log, SystemClock(), "i", "sim")
    trail.ensure_room()
    log.close()
    with pytest.raises(AuditError):
        trail.ensure_room()


def test_one_event_that_fits_no_record_takes_none_that_came_before_with_it(tmp_path: Path) -> None:
    """What was kept happened: it is recorded, in order, up to the one that nobody may record."""
    with log_in(tmp_path) as log:
        trail = Trail(log, SystemClock(), "i", "sim")
        trail.emit(KINDS[0], "cp15", with_next=True)
        trail.emit(KINDS[1], "cp16", with_next=True)
        trail.emit(KINDS[2], "nobody", with_next=True)
        with pytest.raises(MisuseError, match="nobody"):
            trail.emit(KINDS[3], "cp16")
        assert [event["type"] for event in trail.events] == _on_disk(tmp_path) == list(KINDS[:2])
    verify(tmp_path / "trail", None)

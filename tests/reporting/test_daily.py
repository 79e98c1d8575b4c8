"""The overview of a day: counted from a real trail, whole values compared."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from executor.clock import ManualClock, rfc3339
from executor.errors import InvalidInputError
from executor.keys import SeedSigner
from executor.reporting import daily
from executor.reporting.tally import MAX_NAMES, OTHER, Tally
from executor.svf import SvfLog
from tests.reporting.page_reader import HOSTILE, check_page

DAY = date(2023, 11, 15)
MIDNIGHT_NS = 1_700_006_400_000_000_000


def run(log: SvfLog, clock: ManualClock, number: int, *, held_s: float, end: str = "FINISHED") -> None:
    """One approved intent whose lease of 60 s is held for `held_s`."""
    ids: dict[str, Any] = {"intent_id": f"i{number}", "lease_id": f"l{number}"}
    log.emit("intent_event.SUBMITTED", "cbo", intent_id=ids["intent_id"])
    log.emit("intent_event.APPROVED", "cp16", intent_id=ids["intent_id"])
    log.emit("lease_event.ISSUED", "cp20", **ids, data={"expires_at": rfc3339(clock.now_ns() + 60_000_000_000)})
    log.emit("resource_event.RESERVED", "cp19", **ids, data={"atp": 5, "memory_mb": 512})
    log.emit("exec_event.STARTED", "cp20", **ids, vm_id="vm")
    log.emit("resource_event.MONITORED", "cp19", **ids, data={"memory_bytes": 1000 * number})
    data = {"cause": "vm lost"} if end == "ABORTED" else {}
    clock.advance(held_s)
    log.emit(f"exec_event.{end}", "cp20", **ids, vm_id="vm", data=data)
    log.emit("resource_event.RELEASED", "cp19", **ids)


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    clock = ManualClock(MIDNIGHT_NS - 3_600_000_000_000)
    with SvfLog.open(tmp_path / "svf", clock, SeedSigner(bytes(range(32)))) as log:
        run(log, clock, 1, held_s=30, end="ABORTED")
        clock.ns = MIDNIGHT_NS
        run(log, clock, 2, held_s=15)
        clock.advance(2 * 3600)
        run(log, clock, 3, held_s=45, end="KILLED")
        log.emit("resource_event.BREACH", "cp19", intent_id="i3", data={"quota": "memory"})
        log.emit("intent_event.SUBMITTED", "scout", intent_id="i4")
        log.emit("intent_event.REJECTED", "cp16", intent_id="i4", data={"reasons": ["paths.denied", "reviews.missing"]})
        log.emit("lease_event.ISSUED", "cp20", lease_id="l5", data={"expires_at": rfc3339(clock.now_ns())})
        log.emit("lease_event.DENIED", "cp14", lease_id="l5", data={"reason": "lease.expired"})
        clock.advance(86_400)
        run(log, clock, 6, held_s=1)
    return tmp_path / "svf"


def test_a_day_is_counted_exactly(audit: Path, tmp_path: Path) -> None:
    """Every figure of the day, nothing of the days around it but in the trend."""
    paths = daily.write(audit, tmp_path / "out", DAY)
    overview = json.loads(paths["json"].read_bytes())
    by_hour = [1, 0, 2] + [0] * 21
    assert overview["intents"] == {
        "submitted": 3, "approved": 2, "rejected": 1, "by_hour": by_hour, "by_requester": {"cbo": 2, "scout": 1},
    }  # fmt: skip
    assert overview["refusals"] == {"paths.denied": 1, "reviews.missing": 1, "lease.expired": 1}
    assert overview["commands"] == {"FINISHED": 1, "KILLED": 1}
    assert overview["leases"] == {
        "issued": 3, "used": 2, "denied": 1, "revoked": 0, "expired": 0, "used_percent": 67, "time_used_percent": 50,
    }  # fmt: skip
    assert overview["pressure"] == {
        "atp_reserved": 10, "memory_peak_bytes": 3000, "reserved_mb_by_hour": [512, 0, 512] + [0] * 21, "alerts": {},
        "breaches": {"memory": 1}, "throttled": 0, "zombies": 0, "scrams": 0,
    }  # fmt: skip
    before, today = overview["trend"][-2:]
    assert (before["day"], before["submitted"], before["aborted"]) == ("2023-11-14", 1, 1)
    assert (today["day"], today["submitted"], today["lease denials"], today["breaches"]) == ("2023-11-15", 3, 1, 1)
    assert len(overview["trend"]) == 7


def test_each_form_names_the_reasons(audit: Path, tmp_path: Path) -> None:
    """Markdown and HTML say what JSON says."""
    paths = daily.write(audit, tmp_path / "out", DAY)
    for kind in ("md", "html"):
        assert "lease.expired" in paths[kind].read_text()
        assert "time_used_percent" in paths[kind].read_text()


def test_an_empty_day_has_a_report(audit: Path, tmp_path: Path) -> None:
    """Nothing happened: zeros, no division, every form written."""
    paths = daily.write(audit, tmp_path / "out", date(2020, 1, 1))
    assert json.loads(paths["json"].read_bytes())["events"] == 0
    assert "None." in paths["md"].read_text()


def test_hostile_names_are_only_text() -> None:
    """Reasons and requesters are chosen by others."""
    event = {"type": "intent_event.REJECTED", "ts": "2023-11-15T00:00:00.000000Z", "actor": HOSTILE, "lease_id": "",
             "intent_id": "", "data": {"reasons": [HOSTILE]}}  # fmt: skip
    page = daily.html_page(daily.count([event, {**event, "type": "intent_event.SUBMITTED"}], DAY))
    assert "<script>alert(1)</script>" in "".join(check_page(page).text)


def test_a_flood_of_names_stays_small() -> None:
    """However many different reasons come, the day's figures have a bounded number of names."""
    tally = Tally("2023-11-15")
    for number in range(3 * MAX_NAMES):
        tally.add({"type": "lease_event.DENIED", "ts": "2023-11-15T00:00:00.000000Z", "actor": "cp14", "lease_id": "l",
                   "intent_id": "", "data": {"reason": f"lease.r{number}"}})  # fmt: skip
    refusals = tally.to_json()["refusals"]
    assert len(refusals) == MAX_NAMES + 1
    assert refusals[OTHER] == 2 * MAX_NAMES
    assert sum(refusals.values()) == 3 * MAX_NAMES


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "../2023-11-15"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """A day is a date: it becomes a file name."""
    with pytest.raises(InvalidInputError):
        daily.parse_day(text)

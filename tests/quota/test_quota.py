"""Quotas: an alert before every breach, each said once, and nothing after a breach."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.intent import Limits
from executor.quota import MIB, HostUsage, Monitor, Notice, Quota, Reading, VmBounds, decide

LIMITS = Limits(cpu_quota=50, mem_quota_mb=100, disk_quota_mb=10, wallclock_timeout_s=10, fd_limit=50, pids=20)
BOUNDS = VmBounds(memory_mb=1000, fds=200, threads=64)
CALM = {"at_ms": 0, "cpu_usec": 0, "memory_bytes": 0, "disk_bytes": 0, "pids": 1, "fds": 3}
READINGS = st.lists(
    st.builds(
        Reading,
        quota=st.sampled_from(get_args(Quota)),
        side=st.sampled_from(("guest", "host")),
        used=st.integers(0, 300),
        limit=st.integers(-1, 200),
    )
)


def monitor(**more: object) -> Monitor:
    return Monitor(LIMITS, BOUNDS, **more)  # type: ignore[arg-type]


def short(notices: tuple[Notice, ...]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.quota, one.side) for one in notices]


@given(READINGS, st.frozensets(st.sampled_from(get_args(Quota))))
def test_alert_comes_before_breach_and_nothing_after(readings: list[Reading], said: frozenset[str]) -> None:
    """Whatever is read: one alert a quota at most, none that was said before, one breach at most, and it is last."""
    found = decide(readings, said, 80)
    alerts = [one.quota for one in found if one.kind == "ALERT"]
    breaches = [one for one in found if one.kind == "BREACH"]
    assert len(alerts) == len(set(alerts))
    assert not said & set(alerts)
    assert breaches == list(found[-1:]) or not breaches
    assert all(one.quota in {*alerts, *said} and one.used > one.limit > 0 for one in breaches)
    assert all(100 * one.used >= 80 * one.limit for one in found)


@given(READINGS)
def test_nothing_over_is_passed_by(readings: list[Reading]) -> None:
    """A reading over its limit always ends in a breach, except of the wall clock."""
    over = any(one.used > one.limit > 0 and one.quota != "wallclock" for one in readings)
    assert any(one.kind == "BREACH" for one in decide(readings, frozenset(), 80)) == over


@given(st.lists(st.tuples(st.sampled_from(("memory_bytes", "disk_bytes", "pids", "fds")), st.integers(0, 2**28))))
def test_course_of_samples_has_one_breach_at_most(course: list[tuple[str, int]]) -> None:
    """Over any course of samples: each quota alerted once at most, before its breach; after a breach silence."""
    watch = monitor()
    found: list[Notice] = []
    for number, (name, value) in enumerate(course):
        found += watch.sampled({**CALM, "at_ms": number, name: value})
    kinds = [(one.kind, one.quota) for one in found]
    assert len(kinds) == len(set(kinds))
    assert [kind for kind, _ in kinds].count("BREACH") <= 1
    for kind, quota in kinds:
        assert kind == "ALERT" or ("ALERT", quota) in kinds[:-1]
    assert all(kind == "ALERT" for kind, _ in kinds[:-1])


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (79 * MIB, []),
        (80 * MIB, [("ALERT", "memory", "guest")]),
        (100 * MIB, [("ALERT", "memory", "guest")]),
        (100 * MIB + 1, [("ALERT", "memory", "guest"), ("BREACH", "memory", "guest")]),
    ],
)
def test_thresholds_are_exact(used: int, expected: list[tuple[str, str, str]]) -> None:
    """At 80 % of a limit there is an alert, at the limit no breach, a byte beyond it one, with the alert before."""
    assert short(monitor().sampled({**CALM, "memory_bytes": used})) == expected


def test_what_the_host_sees_counts_as_much() -> None:
    """A guest that says nothing: overlay, QEMU's memory, descriptors and threads are each bounded by the host."""
    grown = HostUsage(overlay_bytes=5 * MIB + 107 * MIB)
    assert short(monitor(overlay_before=5 * MIB).looked(grown, 0))[-1] == ("BREACH", "disk", "host")
    assert short(monitor(overlay_before=7 * MIB).looked(grown, 0)) == []
    for usage, quota in (
        (HostUsage(memory_bytes=1001 * MIB), "memory"),
        (HostUsage(fds=201), "fds"),
        (HostUsage(threads=65), "pids"),
    ):
        assert short(monitor().looked(usage, 0)) == [("ALERT", quota, "host"), ("BREACH", quota, "host")]


def test_processor_use_is_judged_over_a_window() -> None:
    """A short burst is nothing; two seconds at twice the quota mean that nothing throttles."""
    watch = monitor()
    found = [watch.sampled({**CALM, "at_ms": at, "cpu_usec": at * 1000}) for at in range(0, 2200, 200)]
    assert [short(notices) for notices in found[:-1]] == [[]] * 10
    assert short(found[-1]) == [("ALERT", "cpu", "guest"), ("BREACH", "cpu", "guest")]
    calm = monitor()
    assert not any(calm.sampled({**CALM, "at_ms": at, "cpu_usec": at * 500}) for at in range(0, 9000, 200))


def test_qemu_may_use_more_than_the_task_but_not_much() -> None:
    """The guest's own work is granted on top of the quota; beyond that the host ends it."""
    fine, much = monitor(), monitor()
    assert not any(fine.looked(HostUsage(cpu_usec=1 + at * 1100), at) for at in range(0, 9000, 200))
    found = [one for at in range(0, 9000, 200) for one in much.looked(HostUsage(cpu_usec=1 + at * 1200), at)]
    assert short(tuple(found)) == [("ALERT", "cpu", "host"), ("BREACH", "cpu", "host")]


def test_wall_clock_is_alerted_and_never_breached() -> None:
    """Its end is a timeout, which has an event of its own."""
    watch = monitor()
    assert watch.elapsed(7999) == ()
    assert short(watch.elapsed(8000)) == [("ALERT", "wallclock", "host")]
    assert watch.elapsed(99_000) == ()


def test_guests_own_end_is_alerted_first() -> None:
    """An OOM kill between two samples still has its alert, and one that was alerted has not a second one."""
    assert short(monitor().ended("memory", 1, 1)) == [("ALERT", "memory", "guest"), ("BREACH", "memory", "guest")]
    watch = monitor()
    watch.sampled({**CALM, "memory_bytes": 90 * MIB})
    assert short(watch.ended("memory", 1, 1)) == [("BREACH", "memory", "guest")]
    assert short(watch.ended("memory", 1, 1)) == []
    assert short(monitor().ended("wallclock", 1, 1)) == [("ALERT", "wallclock", "guest")]


def test_forecast_alerts_and_takes_the_alerts_place() -> None:
    """A foreseen breach is alerted once; the breach itself then needs no second alert."""
    watch = monitor()
    assert short(watch.foreseen("output", 2, 1)) == [("ALERT", "output", "forecast")]
    assert short(watch.foreseen("output", 2, 1)) == []
    assert short(watch.written(17 * MIB)) == [("BREACH", "output", "host")]


def test_each_switch_takes_away_what_it_says() -> None:
    """`host_quota` off: the host sees and ends nothing; `alert` off: breaches come without their alert."""
    over = {**CALM, "memory_bytes": 101 * MIB}
    assert short(monitor(off=frozenset({"host_quota"})).sampled(over)) == [("ALERT", "memory", "guest")]
    assert short(monitor(off=frozenset({"alert"})).sampled(over)) == [("BREACH", "memory", "guest")]


def test_missing_limit_is_no_limit() -> None:
    """Bounds that are not known here bound nothing."""
    watch = Monitor(replace(LIMITS, cpu_quota=400), VmBounds())
    assert watch.looked(HostUsage(cpu_usec=1, memory_bytes=2**40, fds=9999, threads=9999), 0) == ()

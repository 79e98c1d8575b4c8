"""Decides when a running command is close to a quota (ALERT) and when it is over one (BREACH). Pure.

What is known comes as readings: a quota, who looked, what is used, what is allowed. The guest's samples, the host's own
look at QEMU and at the overlay, the bytes that have arrived and the clock all become readings; whichever is over first
ends the command. Rules, in order:

1. nothing is said of a quota twice, and nothing at all after a breach: the command is being killed,
2. a quota that is breached was alerted first, also when one reading jumps over both thresholds,
3. the wall clock is alerted here and never breached: its end is `exec_event.TIMEOUT`.

What the kernel refuses at the limit (a descriptor more, a byte more of a file) never gets over it; a refused fork, an
OOM kill and a full disk are told by the guest and come in through `Monitor.ended`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from executor.intent import Limits

Quota = Literal["cpu", "memory", "disk", "pids", "fds", "wallclock", "output"]
Side = Literal["guest", "host", "forecast"]
QUOTAS: Final[frozenset[str]] = frozenset({"cpu", "memory", "disk", "pids", "fds", "wallclock", "output"})
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When to speak. Percent of a limit, milliseconds, MiB, counts: the units are in the names."""

    alert_percent: int = 80
    """Of a limit: four fifths leaves a task time to end by itself; below it a task may do as it likes."""
    cpu_window_ms: int = 2000
    """Processor use is judged over this long: ten samples, and a kill is due a second after a breach."""
    cpu_slack_percent: int = 50
    """Of the quota, beyond it: the guest's kernel throttles at the quota; half as much again means that it does not."""
    cpu_slack_points: int = 30
    """Percent of one CPU, beyond the quota: under emulation on a crowded host a throttled fifth has shown as 31 %."""
    qemu_points: int = 60
    """Percent of one CPU that QEMU may use beyond the task's quota: the guest's kernel and agent, the devices."""
    overlay_slack_mb: int = 96
    """The file system's journal (64 MiB) and tables, and clusters of 64 KiB where the guest wrote 4 KiB."""


@dataclass(frozen=True, slots=True)
class VmBounds:
    """What one VM may cost the host, whatever runs in it. 0: not bounded here."""

    memory_mb: int = 0
    """Resident memory of its QEMU."""
    fds: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class HostUsage:
    """The host's look at a machine: QEMU's process and its overlay. 0 where it could not be had."""

    cpu_usec: int = 0
    memory_bytes: int = 0
    fds: int = 0
    threads: int = 0
    overlay_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one quota. A `limit` of 0 or less is no limit."""

    quota: Quota
    side: Side
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be recorded: an alert, or a breach that ends the command."""

    kind: Literal["ALERT", "BREACH"]
    quota: Quota
    side: Side
    used: int
    limit: int

    def data(self) -> dict[str, int | str]:
        """As `resource_event.ALERT` and `BREACH` record it; the unit is the quota's own."""
        return {"quota": self.quota, "by": self.side, "used": self.used, "limit": self.limit}


def decide(readings: Iterable[Reading], said: frozenset[str], alert_percent: int) -> tuple[Notice, ...]:
    """What is new in `readings`, when the quotas in `said` were alerted already; it ends with the first breach."""
    found: list[Notice] = []
    known = set(said)
    for reading in readings:
        if reading.limit <= 0:
            continue
        over = reading.used > reading.limit and reading.quota != "wallclock"
        close = 100 * reading.used >= alert_percent * reading.limit
        if (over or close) and reading.quota not in known:
            known.add(reading.quota)
            found.append(Notice("ALERT", reading.quota, reading.side, reading.used, reading.limit))
        if over:
            return (*found, Notice("BREACH", reading.quota, reading.side, reading.used, reading.limit))
    return tuple(found)


def guest_readings(sample: Mapping[str, int], limits: Limits) -> tuple[Reading, ...]:
    """The guest's sample (keys as in `resource_event.MONITORED`) against the lease's limits."""
    return (
        Reading("memory", "guest", sample["memory_bytes"], limits.mem_quota_mb * MIB),
        Reading("disk", "guest", sample["disk_bytes"], limits.disk_quota_mb * MIB),
        Reading("pids", "guest", sample["pids"], limits.pids),
        Reading("fds", "guest", sample["fds"], limits.fd_limit),
    )


class _Rate:
    """Processor use in percent of one CPU over a moving window; -1 until the window is full."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._points: deque[tuple[int, int]] = deque()

    def percent(self, at_ms: int, cpu_usec: int) -> int:
        self._points.append((at_ms, cpu_usec))
        while len(self._points) > 1 and self._points[1][0] <= at_ms - self._window_ms:
            self._points.popleft()
        since_ms, before = self._points[0]
        spent_ms = at_ms - since_ms
        return (cpu_usec - before) // (10 * spent_ms) if spent_ms >= self._window_ms else -1


class Monitor:
    """One command's quotas. Not thread-safe: whoever follows the command asks."""

    def __init__(
        self,
        limits: Limits,
        bounds: VmBounds = VmBounds(),
        *,
        overlay_before: int = 0,
        thresholds: Thresholds = Thresholds(),
        off: frozenset[str] = frozenset(),
    ) -> None:
        """`overlay_before`: the overlay's bytes when the task began. `off`: controls a drill takes away, by name."""
        self._limits = limits
        self._bounds = bounds
        self._overlay_before = overlay_before
        self._thresholds = thresholds
        self._alerts = "alert" not in off
        self._host = "host_quota" not in off
        self._said: frozenset[str] = frozenset()
        self._guest_rate = _Rate(thresholds.cpu_window_ms)
        self._host_rate = _Rate(thresholds.cpu_window_ms)
        self.breached: Quota | None = None

    def sampled(self, sample: Mapping[str, int]) -> tuple[Notice, ...]:
        """The guest has sent a sample."""
        rate = self._guest_rate.percent(sample["at_ms"], sample["cpu_usec"])
        quota, thresholds = self._limits.cpu_quota, self._thresholds
        allowed = quota + max(thresholds.cpu_slack_points, quota * thresholds.cpu_slack_percent // 100)
        return self._take((*guest_readings(sample, self._limits), *self._over("cpu", "guest", rate, allowed)))

    def looked(self, usage: HostUsage, at_ms: int) -> tuple[Notice, ...]:
        """The host has looked at the machine, `at_ms` after the command began."""
        rate = self._host_rate.percent(at_ms, usage.cpu_usec) if usage.cpu_usec else -1
        grown = max(0, usage.overlay_bytes - self._overlay_before)
        slack = self._thresholds.overlay_slack_mb
        return self._take(
            (
                *self._over("disk", "host", grown, (self._limits.disk_quota_mb + slack) * MIB),
                *self._over("memory", "host", usage.memory_bytes, self._bounds.memory_mb * MIB),
                *self._over("fds", "host", usage.fds, self._bounds.fds),
                *self._over("pids", "host", usage.threads, self._bounds.threads),
                *self._over("cpu", "host", rate, self._limits.cpu_quota + self._thresholds.qemu_points),
            )
        )

    def written(self, total: int) -> tuple[Notice, ...]:
        """So many bytes of output have arrived."""
        return self._take((Reading("output", "host", total, self._limits.output_mb * MIB),))

    def elapsed(self, milliseconds: int) -> tuple[Notice, ...]:
        """So long the command has been running."""
        return self._take((Reading("wallclock", "host", milliseconds, self._limits.wallclock_timeout_s * 1000),))

    def foreseen(self, quota: Quota, used: int, limit: int) -> tuple[Notice, ...]:
        """The forecast says that the command will use `used` of `limit`: an alert, never a breach."""
        return self._told((Notice("ALERT", quota, "forecast", used, limit),)) if quota not in self._said else ()

    def ended(self, quota: Quota, used: int, limit: int) -> tuple[Notice, ...]:
        """The guest has ended the command for `quota`: alert first where that was not said, then the breach."""
        alert = () if quota in self._said else (Notice("ALERT", quota, "guest", used, limit),)
        breach = () if quota == "wallclock" or self.breached else (Notice("BREACH", quota, "guest", used, limit),)
        return self._told((*alert, *breach))

    @staticmethod
    def _over(quota: Quota, side: Side, used: int, limit: int) -> tuple[Reading, ...]:
        """A reading that counts only when it is over: what lies below is another's to alert (a throttle's, a VM's)."""
        return (Reading(quota, side, used, limit),) if used > limit > 0 else ()

    def _take(self, readings: Iterable[Reading]) -> tuple[Notice, ...]:
        if self.breached:
            return ()
        # Only the host decides here: without its quotas the guest's own enforcement is all there is.
        found = decide(readings, self._said, self._thresholds.alert_percent)
        return self._told(found if self._host else tuple(one for one in found if one.kind == "ALERT"))

    def _told(self, found: tuple[Notice, ...]) -> tuple[Notice, ...]:
        self._said |= {one.quota for one in found}
        self.breached = next((one.quota for one in found if one.kind == "BREACH"), self.breached)
        return found if self._alerts else tuple(one for one in found if one.kind != "ALERT")

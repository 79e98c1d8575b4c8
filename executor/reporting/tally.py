"""Counting a day from its audit events: one pass, nothing kept per event, so a day of any length fits in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from executor.clock import parse_rfc3339

ENDS: Final = frozenset({"FINISHED", "KILLED", "TIMEOUT", "ABORTED", "DENIED"})
_REFUSALS: Final = frozenset({"intent_event.REJECTED", "lease_event.DENIED", "exec_event.DENIED"})
MAX_NAMES: Final = 1000
"""Different reasons, requesters or quotas counted by name; the rest is one line: a requester cannot fill the memory."""
OTHER: Final = "(others)"
MAX_LEASES: Final = 100_000
"""Leases followed at a time; far above what one executor issues in the ten minutes a lease can live."""


@dataclass(slots=True)
class _Held:
    """A lease while its run goes on: when it was issued and how long it may live, in nanoseconds."""

    issued_ns: int
    life_ns: int
    used: bool = False


@dataclass(slots=True)
class Tally:
    """One day's figures, growing event by event."""

    day: str
    events: int = 0
    types: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    """Intents submitted, by hour (UTC)."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Reason codes of rejected intents, denied leases and denied commands."""
    requesters: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """How commands ended."""
    breaches: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    atp_reserved: int = 0
    memory_peak_bytes: int = 0
    reserved_mb: list[int] = field(default_factory=lambda: [0] * 24)
    """Memory reserved at the same time, highest per hour, MiB."""
    leases_used: int = 0
    held_ns: int = 0
    """Time leases with a run were really held, from issue to the end of their run."""
    granted_ns: int = 0
    """Time those leases could have been held."""
    _held: dict[str, _Held] = field(default_factory=dict)
    _reserved: dict[str, int] = field(default_factory=dict)

    def add(self, event: Mapping[str, Any]) -> None:
        """Count one event of this day (`SvfEvent.to_json`)."""
        kind, data, hour = event["type"], event["data"], int(event["ts"][11:13])
        self.events += 1
        self.types[kind] += 1
        if kind == "intent_event.SUBMITTED":
            self.hours[hour] += 1
            _count(self.requesters, event["actor"])
        if kind in _REFUSALS:
            for reason in _reasons(data):
                _count(self.refusals, reason)
        if kind.startswith("exec_event.") and kind[11:] in ENDS:
            self.ends[kind[11:]] += 1
        self._pressure(event, kind, data, hour)
        self._lease(event, kind, data)

    def _pressure(self, event: Mapping[str, Any], kind: str, data: Mapping[str, Any], hour: int) -> None:
        if kind == "resource_event.BREACH":
            _count(self.breaches, data.get("quota", "?"))
        elif kind == "resource_event.ALERT":
            _count(self.alerts, data.get("quota", "?"))
        elif kind == "resource_event.MONITORED":
            self.memory_peak_bytes = max(self.memory_peak_bytes, _whole(data.get("memory_bytes")))
        elif kind == "resource_event.RESERVED":
            self.atp_reserved += _whole(data.get("atp"))
            if len(self._reserved) < MAX_LEASES:
                self._reserved[event["intent_id"]] = _whole(data.get("memory_mb"))
            self.reserved_mb[hour] = max(self.reserved_mb[hour], sum(self._reserved.values()))
        elif kind == "resource_event.RELEASED":
            self._reserved.pop(event["intent_id"], None)

    def _lease(self, event: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> None:
        lease_id = event["lease_id"]
        if kind == "lease_event.ISSUED" and len(self._held) < MAX_LEASES:
            issued = parse_rfc3339(event["ts"])
            self._held[lease_id] = _Held(issued, max(0, _moment(data.get("expires_at")) - issued))
        elif kind == "lease_event.DENIED":
            self._held.pop(lease_id, None)
        elif kind == "exec_event.STARTED" and lease_id in self._held:
            self._held[lease_id].used = True
        elif kind == "resource_event.RELEASED" and (held := self._held.pop(lease_id, None)) and held.used:
            self.leases_used += 1
            self.granted_ns += held.life_ns
            self.held_ns += min(held.life_ns, parse_rfc3339(event["ts"]) - held.issued_ns)

    def to_json(self) -> dict[str, Any]:
        """The day's figures as JSON values, reasons and names by how often."""
        issued = self.types["lease_event.ISSUED"]
        return {
            "day": self.day,
            "events": self.events,
            "intents": {
                "submitted": self.types["intent_event.SUBMITTED"],
                "approved": self.types["intent_event.APPROVED"],
                "rejected": self.types["intent_event.REJECTED"],
                "by_hour": [self.hours[hour] for hour in range(24)],
                "by_requester": dict(self.requesters.most_common()),
            },
            "refusals": dict(self.refusals.most_common()),
            "commands": dict(sorted(self.ends.items())),
            "leases": {
                "issued": issued,
                "used": self.leases_used,
                "denied": self.types["lease_event.DENIED"],
                "revoked": self.types["lease_event.REVOKED"],
                "expired": self.types["lease_event.EXPIRED"],
                "used_percent": _percent(self.leases_used, issued),
                "time_used_percent": _percent(self.held_ns, self.granted_ns),
            },
            "pressure": {
                "atp_reserved": self.atp_reserved,
                "memory_peak_bytes": self.memory_peak_bytes,
                "reserved_mb_by_hour": list(self.reserved_mb),
                "alerts": dict(self.alerts.most_common()),
                "breaches": dict(self.breaches.most_common()),
                "throttled": self.types["channel_event.THROTTLED"],
                "zombies": self.types["vm_event.ZOMBIE"],
                "scrams": self.types["control_event.SCRAM"],
            },
        }


def _count(counter: Counter[str], name: Any) -> None:
    text = name if isinstance(name, str) else "?"
    counter[text if text in counter or len(counter) < MAX_NAMES else OTHER] += 1


def _reasons(data: Mapping[str, Any]) -> list[Any]:
    reasons = data.get("reasons")
    return reasons if isinstance(reasons, list) else [data.get("reason", "?")]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: Any) -> int:
    try:
        return parse_rfc3339(value) if isinstance(value, str) else 0
    except ValueError:
        return 0


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0

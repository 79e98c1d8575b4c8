"""Decides which running tasks lose their lease, and when. No IO and no threads: the caller asks and does the killing.

Ask `due` at `next_ns` and at least every `POLL_S`, with what the registry says is revoked; each kill is answered once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

POLL_S: Final = 0.25
"""Seconds between two questions to the registry: leaves 0.75 s of the 1 s a revocation may take for the kill."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who took a lease back, why, and when (nanoseconds since the epoch)."""

    by: str
    why: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Running:
    """A task that runs under a lease."""

    lease_id: str
    task_id: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A task to be killed now: its lease ended at `ended_ns`."""

    lease_id: str
    task_id: str
    reason: Literal["lease.expired", "lease.revoked"]
    message: str
    ended_ns: int

    @property
    def event(self) -> Literal["lease_event.EXPIRED", "lease_event.REVOKED"]:
        """The event that says why, to be recorded before `exec_event.KILLED`."""
        return "lease_event.EXPIRED" if self.reason == "lease.expired" else "lease_event.REVOKED"


class LeaseWatch:
    """The running tasks and the ends of their leases. Not thread-safe: one owner asks."""

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    def start(self, running: Running) -> None:
        """Watch a task from now on."""
        self._running[running.task_id] = running

    def stop(self, task_id: str) -> None:
        """The task has ended; a second call is silent."""
        self._running.pop(task_id, None)

    def leases(self) -> frozenset[str]:
        """The leases whose revocations are of interest."""
        return frozenset(task.lease_id for task in self._running.values())

    def next_ns(self) -> int | None:
        """When the next lease expires; None while nothing runs."""
        return min((task.expires_ns for task in self._running.values()), default=None)

    def due(self, now_ns: int, revoked: Mapping[str, Revocation]) -> tuple[Kill, ...]:
        """Which tasks are to be killed at `now_ns`. Where both happened, the earlier end is the reason."""
        kills = []
        for task in list(self._running.values()):
            taken = revoked.get(task.lease_id)
            if taken and (taken.at_ns < task.expires_ns or now_ns < task.expires_ns):
                message = f"the lease was revoked by {taken.by}: {taken.why}"
                kills.append(Kill(task.lease_id, task.task_id, "lease.revoked", message, taken.at_ns))
            elif now_ns >= task.expires_ns:
                kills.append(Kill(task.lease_id, task.task_id, "lease.expired", "the lease expired", task.expires_ns))
            else:
                continue
            del self._running[task.task_id]
        return tuple(sorted(kills, key=lambda kill: (kill.ended_ns, kill.task_id)))

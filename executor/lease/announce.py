"""Puts the ends of leases that nobody was watching into the audit trail: revoked elsewhere, or expired unused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from executor.errors import CordonError

if TYPE_CHECKING:
    from executor.lease.record import LeaseRecord
    from executor.lease.registry import Registry
    from executor.svf import SvfLog


EVERY_S: Final = 2.0
"""How long an end may stay unannounced: nothing waits for the announcement, the lease is refused at once."""


def announce_ends(
    registry: Registry, log: SvfLog, now_ns: int, *, skip: frozenset[str] = frozenset()
) -> list[LeaseRecord]:
    """Record every end that is not on record yet; whose they were. Called by whoever writes the trail.

    `skip`: leases whose path is under way and records the end itself.
    """
    ended = [record for record in registry.unannounced(now_ns) if record.lease_id not in skip]
    for record in ended:
        # No intent id: its trace is over, or the part that runs it records the end itself (and marks it announced).
        if record.revoked_ns:
            said = {"by": record.revoked_by, "why": record.revoked_why[:1000], "intent": record.intent_id}
            log.emit("lease_event.REVOKED", "cp20", lease_id=record.lease_id, data=said)
        else:
            log.emit("lease_event.EXPIRED", "cp20", lease_id=record.lease_id, data={"intent": record.intent_id})
        registry.mark_announced(record.lease_id)
    return ended


class Announcer:
    """Calls `announce` every `EVERY_S` seconds in a thread of its own. Closing twice is silent."""

    def __init__(self, announce: Callable[[], object]) -> None:
        """Begin."""
        self._announce = announce
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-ends", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                self._announce()
            except CordonError:
                continue  # what is not announced stays so in the registry, and is tried again

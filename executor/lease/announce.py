"""Puts the ends of leases that nobody was watching into the audit trail: revoked elsewhere, or expired unused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executor.lease.registry import Registry
    from executor.svf import SvfLog


def announce_ends(registry: Registry, log: SvfLog, now_ns: int) -> int:
    """Record every end that is not on record yet; how many. Called by whoever writes the trail."""
    ended = registry.unannounced(now_ns)
    for record in ended:
        # No intent id: its trace is over, or the part that runs it records the end itself (and marks it announced).
        if record.revoked_ns:
            said = {"by": record.revoked_by, "why": record.revoked_why[:1000], "intent": record.intent_id}
            log.emit("lease_event.REVOKED", "cp20", lease_id=record.lease_id, data=said)
        else:
            log.emit("lease_event.EXPIRED", "cp20", lease_id=record.lease_id, data={"intent": record.intent_id})
        registry.mark_announced(record.lease_id)
    return len(ended)

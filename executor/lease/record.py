"""What the registry remembers about a lease beside its document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["active", "used", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One row of the registry. Moments in nanoseconds since the epoch, 0: never."""

    lease_id: str
    intent_id: str
    requester: str
    phase: str
    task_id: str
    """The task it was issued to or first used by; '' before that."""
    digest: str
    """SHA-256 over the signed bytes."""
    content_digest: str
    """SHA-256 over the intent as it was when the lease was issued."""
    document: bytes
    issued_ns: int
    expires_ns: int
    uses: int
    used: int
    used_ns: int
    revoked_ns: int
    revoked_by: str
    revoked_why: str
    renews: str
    """The lease this one replaces; '' for a first one."""
    renewals: int
    """How many leases this one stands on by renewal."""
    announced: bool
    """Whether the revocation or expiry is in the audit trail."""

    def state(self, now_ns: int) -> State:
        """What it is at `now_ns`; revoked counts before used, used before expired."""
        if self.revoked_ns:
            return "revoked"
        if self.used >= self.uses:
            return "used"
        return "expired" if now_ns >= self.expires_ns else "active"

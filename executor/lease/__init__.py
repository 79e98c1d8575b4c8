"""Leases: signed permission to run exactly these commands, once, until a moment."""

from executor.lease.admission import AGENT_COSIGNERS, MAX_LIFETIME_S, Facts, VerifiedLease, admit
from executor.lease.announce import announce_ends
from executor.lease.authority import Cosigning, LeaseAuthority, LeaseVerifier, intent_digest
from executor.lease.document import Cosigner, Lease, LeaseLimits, LeaseScope, LeaseSignature, parse_lease
from executor.lease.record import LeaseRecord
from executor.lease.registry import Registry
from executor.lease.watch import POLL_S, Kill, LeaseWatch, Revocation, Running

__all__ = [
    "AGENT_COSIGNERS",
    "MAX_LIFETIME_S",
    "POLL_S",
    "Cosigner",
    "Cosigning",
    "Facts",
    "Kill",
    "Lease",
    "LeaseAuthority",
    "LeaseLimits",
    "LeaseRecord",
    "LeaseScope",
    "LeaseSignature",
    "LeaseVerifier",
    "LeaseWatch",
    "Registry",
    "Revocation",
    "Running",
    "VerifiedLease",
    "admit",
    "announce_ends",
    "intent_digest",
    "parse_lease",
]

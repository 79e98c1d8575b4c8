"""Errors of the executor, grouped by whose fault it is; two levels deep.

Catch a group to act on the fault (fix the call, refuse the peer, retry, report a bug), a leaf to act on the case.
Every error carries a one-line message for the person; `code` is stable and may be matched by programs.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class CordonError(Exception):
    """Root of everything Cordon raises on purpose."""

    code: ClassVar[str] = "cordon.error"


class MisuseError(CordonError):
    """The caller broke a documented rule: the call has to be changed."""

    code = "cordon.misuse"


class RefusedError(CordonError):
    """A rule said no to something untrusted: a lease, a frame, a request. Nothing has happened."""

    code = "cordon.refused"


class OutsideError(CordonError):
    """Something outside is broken or missing: QEMU, libvirt, OPA, the disk, the host."""

    code = "cordon.outside"


class BugError(CordonError):
    """Cordon contradicted itself. Please report it."""

    code = "cordon.bug"


class InvalidInputError(MisuseError):
    """A value from a person or a file does not fit; the message names the place and what would fit."""

    code = "cordon.invalid_input"


class LeaseRefusedError(RefusedError):
    """A lease was not accepted; `reason` is the stable code, for example `lease.expired`."""

    code = "lease.refused"

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is a stable code `lease.<short_name>`; `message` one line for the person."""
        super().__init__(message)
        self.reason = reason


class BudgetRefusedError(RefusedError):
    """A requester's balance was spent by another of its tasks after the policy had looked at it."""

    code = "budget.short"


class FrameViolationError(RefusedError):
    """A frame of the guest channel broke the protocol; the VM is closed."""

    code = "channel.violation"

    def __init__(self, reason: str, message: str) -> None:
        """`reason` is a stable code, for example `bad_magic`."""
        super().__init__(message)
        self.reason = reason


class RequestRefusedError(RefusedError):
    """A client's request was not taken. `status` says whose turn it is to change something, as in HTTP."""

    code = "bridge.refused"

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status`: 400 malformed, 403 not yours, 409 twice, 413 too large, 503 not now; `reason` is a stable code."""
        super().__init__(message)
        self.status = status
        self.reason = reason


class PolicyUnavailableError(OutsideError):
    """The policy engine could not be started or asked."""

    code = "policy.unavailable"


class HypervisorError(OutsideError):
    """libvirt or QEMU failed."""

    code = "hypervisor.failed"


class GuestLostError(OutsideError):
    """The guest stopped answering: panic, agent crash, QEMU killed, or a deadline passed."""

    code = "guest.lost"


class OutOfDiskError(OutsideError):
    """The host's disk is full where the machines or the state are kept."""

    code = "host.out_of_disk"


class OutOfMemoryError(OutsideError):
    """The host has no memory left for what was asked."""

    code = "host.out_of_memory"


class NetworkError(OutsideError):
    """The machines' network is missing or broken: no root, no uplink, a tool that failed."""

    code = "network.unavailable"


class UnknownHostError(OutsideError):
    """A host was granted that this executor has no address for, or one where no grant may lead."""

    code = "network.unknown_host"


class ImageError(OutsideError):
    """The gold image or the agent disk is missing, stale, or could not be built."""

    code = "image.failed"


class AuditError(OutsideError):
    """The audit trail cannot be written; no new work is accepted."""

    code = "svf.unwritable"


class DamagedAuditError(RefusedError):
    """An audit trail failed verification; `kind` and `seq` say how and where."""

    code = "svf.damaged"

    def __init__(self, kind: str, seq: int, message: str) -> None:
        """`kind` is one of edit, delete, reorder, duplicate, truncate, fork, genesis; `seq` the first bad record."""
        super().__init__(message)
        self.kind = kind
        self.seq = seq


def outside(message: str, error: OSError) -> OutsideError:
    """`error` of the system's as one of ours: a full disk and want of memory are told from everything else."""
    text = f"{message}: {error.strerror or type(error).__name__}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutOfDiskError(f"{text}; make room there")
    return OutOfMemoryError(text) if error.errno == errno.ENOMEM else OutsideError(text)

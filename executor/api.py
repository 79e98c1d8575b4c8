"""The executor's interface: what service, harness and simulator agree on: one contract suite runs on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from executor.intent import Command, Intent
from executor.outcome import Outcome

Engine = Literal["kvm", "tcg", "sim"]


class Observer(Protocol):
    """Told what happens to a request while it happens. Must not raise and must not wait: it runs on the path."""

    def event(self, event: Mapping[str, Any]) -> None:
        """`event` is on record."""

    def output(self, command: int, stream: int, data: bytes) -> None:
        """Command number `command` (from 1) wrote `data` on `stream` (1 stdout, 2 stderr)."""


LeaseStep = Literal["revoke", "renew", "rotate", "spend"]
"""revoke: taken back - renew: replaced by a fresh one - rotate: the issuer's key changes - spend: another used it."""


@dataclass(frozen=True, slots=True)
class LeaseLife:
    """What befalls a lease in a drill between its issue and its end. The default is what happens outside drills."""

    ttl_s: int = 0
    """Seconds it lives; 0: as long as the decision says."""
    before_use: tuple[LeaseStep, ...] = ()
    """Steps between issue and use, in order."""
    clock_shift_s: int = 0
    """How far the verifier's clock is moved when the lease is presented."""
    revoke_while_running: bool = False
    """Taken back as soon as its first command runs."""
    kill_while_running: Literal["task", "requester", "all", ""] = ""
    """What the kill switch is pulled for as soon as its first command runs; empty: it is not."""


@dataclass(frozen=True, slots=True)
class Request:
    """One intent to take through the whole path, with what the drills may vary about it."""

    intent: Intent
    attempt: tuple[Command, ...] | None = None
    """Commands actually presented under the lease; None: the intent's own. They differ only in an attack."""
    approvals: tuple[str, ...] = ("cp14",)
    """Who signs off besides the policy: agent names, `human`, `architect`; each signs with its registered key."""
    weaken: frozenset[str] = field(default_factory=frozenset)
    """Controls taken away for a positive control or a sabotage case (executor/weaken.py). Empty outside drills."""
    tamper: dict[str, Any] = field(default_factory=dict)
    """Damage done to the lease between issue and use, for drills: field path -> value. Empty outside drills."""
    life: LeaseLife = field(default_factory=LeaseLife)
    """What befalls the lease, for drills."""
    waited_ns: int = field(default=0, compare=False)
    """Nanoseconds it waited at the door before its turn came; on record with its submission."""
    observer: Observer | None = field(default=None, compare=False, repr=False)
    """Who looks on, where somebody does."""
    answered: Callable[[Outcome], None] | None = field(default=None, compare=False, repr=False)
    """Told the outcome as soon as it stands: its commands have ended and that is on record, its machine may still be
    there and its trail goes on. Not told where nothing ran to its end. Must not raise and must not wait."""


class Executor(Protocol):
    """Takes intents through the whole path of DESIGN section 4."""

    @property
    def engine(self) -> Engine:
        """What runs the guest."""

    def run(self, request: Request) -> Outcome:
        """Take `request` to its end; a refusal is an `Outcome`, not an exception.

        Raises `OutsideError` only when the outcome could not be recorded (`AuditError`) or no engine can be had.
        """

    def statistics(self) -> dict[str, Any]:
        """Counters and gauges, JSON-like."""

    def close(self) -> None:
        """Destroy every VM and release everything; a second call is silent."""

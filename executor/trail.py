"""The trail of one intent: its events as they are recorded, its timed stages, and what the outcome is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from executor.clock import Clock
from executor.outcome import Stage
from executor.svf.log import Emission

if TYPE_CHECKING:
    from executor.svf import Event

DROPPED_BY_SABOTAGE: Final = "vm_event.ACQUIRED"
"""The event that the control `event_drop` leaves out, to prove that a missing event is noticed."""


class Recorder(Protocol):
    """The part of `executor.svf.SvfLog` that a trail needs."""

    def emit(  # noqa: PLR0913 - an event has these ids
        self,
        kind: str,
        actor: str,
        *,
        intent_id: str = "",
        lease_id: str = "",
        task_id: str = "",
        vm_id: str = "",
        engine: str = "",
        policy_digest: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Any:
        """Record one event durably; raises `AuditError`."""


@runtime_checkable
class BatchRecorder(Protocol):
    """A recorder that writes several events at once."""

    def emit_all(self, emissions: Sequence[Emission]) -> list[Event]:
        """Record all of them durably, in this order; raises `AuditError`."""


class Trail:
    """Records events with the ids known so far. Every event is durable before `emit`, or `together`'s block, ends."""

    def __init__(
        self,
        log: Recorder,
        clock: Clock,
        intent_id: str,
        engine: str,
        *,
        drop: bool = False,
        told: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        """`drop` leaves `DROPPED_BY_SABOTAGE` out: a drill. `told` hears of every event once it is durable."""
        self.intent_id = intent_id
        self.engine = engine
        self.lease_id = ""
        self.task_id = ""
        self.vm_id = ""
        self.policy_digest = ""
        self.events: list[dict[str, Any]] = []
        self.stages: list[Stage] = []
        self._log = log
        self._clock = clock
        self._drop = drop
        self._told = told
        self._kept: list[Emission] | None = None

    @property
    def recorder(self) -> Recorder:
        """The audit trail itself, for what is no intent's."""
        return self._log

    def emit(self, kind: str, actor: str, data: Mapping[str, Any] | None = None) -> None:
        """Record `kind` by `actor`; raises `AuditError`, and then nothing else may happen."""
        if self._drop and kind == DROPPED_BY_SABOTAGE:
            return
        ids = {
            "intent_id": self.intent_id,
            "lease_id": self.lease_id,
            "task_id": self.task_id,
            "vm_id": self.vm_id,
            "engine": self.engine,
            "policy_digest": self.policy_digest,
        }
        if self._kept is not None:
            self._kept.append(Emission(kind, actor, ids, data or {}))
            return
        self._recorded(self._log.emit(kind, actor, **ids, data=data or {}))

    def _recorded(self, event: Event) -> None:
        self.events.append(event.to_json())
        self._told(self.events[-1])

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is emitted inside becomes durable at its end, by one sync, also when it fails.

        For steps that only conclude: nothing may be done inside that the record has to be ahead of.
        """
        if self._kept is not None or not isinstance(self._log, BatchRecorder):
            yield
            return
        self._kept = []
        try:
            yield
        finally:
            kept, self._kept = self._kept, None
            for event in self._log.emit_all(kept) if kept else ():
                self._recorded(event)

    @contextmanager
    def stage(self, name: str, side: Literal["host", "guest"] = "host") -> Iterator[None]:
        """Time what happens inside, also when it fails."""
        begun = self._clock.monotonic_ns()
        try:
            yield
        finally:
            self.stages.append(Stage(name, self._clock.monotonic_ns() - begun, side))

    def timed(self, name: str, duration_ns: int, side: Literal["host", "guest"] = "host") -> None:
        """Add a stage that was timed elsewhere."""
        self.stages.append(Stage(name, duration_ns, side))

    def seen(self, kind: str) -> bool:
        """Whether `kind` is in the trail."""
        return any(event["type"] == kind for event in self.events)

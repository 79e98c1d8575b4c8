"""The trail of one intent: its events as they are recorded, its timed stages, and what the outcome is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from executor.clock import Clock
from executor.errors import BugError, MisuseError
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

    def ensure_room(self) -> None:
        """Raises `AuditError` when new work must not be begun."""


class Trail:
    """Records events with the ids known so far.

    Every event is durable before `emit`, or `together`'s block, ends. One that only leads up to something is recorded
    `with_next`: it goes with whatever is recorded next, or with `settle`, by the same write and sync, under the moment
    at which it was emitted. So nothing that has an effect happens before all that led to it is on record, and no sync
    is waited for in between (ADR 0039).
    """

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
        self._batch = log if isinstance(log, BatchRecorder) else None
        self._clock = clock
        self._drop = drop
        self._told = told
        self._kept: list[Emission] | None = None
        self._held: list[Emission] = []
        """What goes with the next."""
        self._inside = 0
        """Stages that are being timed."""
        self.recording_ns = 0
        """What recording has cost outside of all stages."""

    @property
    def recorder(self) -> Recorder:
        """The audit trail itself, for what is no intent's."""
        return self._log

    def emit(
        self,
        kind: str,
        actor: str,
        data: Mapping[str, Any] | None = None,
        *,
        with_next: bool = False,
    ) -> None:
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
        if self._batch is None:
            with self._waiting():
                self._recorded([self._log.emit(kind, actor, **ids, data=data or {})])
            return
        emission = Emission(kind, actor, ids, data or {}, self._clock.now_ns())
        if self._kept is not None:
            self._kept.append(emission)
        elif with_next:
            self._held.append(emission)
        else:
            self._record([emission])

    def ensure_room(self) -> None:
        """Raises `AuditError` when the record has no room for new work: what begins it may be recorded later."""
        if self._batch is not None:
            self._batch.ensure_room()

    def _record(self, emissions: list[Emission]) -> None:
        if self._batch is None:
            raise BugError("this recorder takes one event at a time")
        emissions, self._held = [*self._held, *emissions], []
        with self._waiting():
            try:
                self._recorded(self._batch.emit_all(emissions))
            except MisuseError:  # one of them fits no record, and none is in it: what came before it happened
                for one in emissions:
                    self._recorded(self._batch.emit_all([one]))
                raise

    def settle(self) -> None:
        """Wait until all that was emitted is durable; raises `AuditError`."""
        if self._held:
            self._record([])

    def _recorded(self, found: Iterable[Event]) -> None:
        for event in found:
            self.events.append(event.to_json())
            self._told(self.events[-1])

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is emitted inside becomes durable at its end, by one sync, also when it fails.

        For steps that only conclude: nothing may be done inside that the record has to be ahead of.
        """
        if self._kept is not None or self._batch is None:
            yield
            return
        self._kept = []
        try:
            yield
        finally:
            kept, self._kept = self._kept, None
            if kept:
                self._record(kept)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count what recording costs where it is part of no stage."""
        begun = self._clock.monotonic_ns()
        try:
            yield
        finally:
            self.recording_ns += 0 if self._inside else self._clock.monotonic_ns() - begun

    @contextmanager
    def stage(self, name: str, side: Literal["host", "guest"] = "host") -> Iterator[None]:
        """Time what happens inside, also when it fails."""
        begun = self._clock.monotonic_ns()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self.stages.append(Stage(name, self._clock.monotonic_ns() - begun, side))

    @contextmanager
    def within(self) -> Iterator[None]:
        """What is recorded inside costs nobody time: a stage that is timed elsewhere goes on meanwhile."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def timed(self, name: str, duration_ns: int, side: Literal["host", "guest"] = "host") -> None:
        """Add a stage that was timed elsewhere."""
        self.stages.append(Stage(name, duration_ns, side))

    def seen(self, kind: str) -> bool:
        """Whether `kind` is in the trail."""
        return any(event["type"] == kind for event in self.events)

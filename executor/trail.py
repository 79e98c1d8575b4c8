"""The trail of one intent: its events as they are recorded, its timed stages, and what the outcome is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, Protocol

from executor.clock import Clock
from executor.outcome import Stage

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


class Trail:
    """Records events with the ids known so far. Every event is durable before `emit` returns."""

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

    @property
    def recorder(self) -> Recorder:
        """The audit trail itself, for what is no intent's."""
        return self._log

    def emit(self, kind: str, actor: str, data: Mapping[str, Any] | None = None) -> None:
        """Record `kind` by `actor`; raises `AuditError`, and then nothing else may happen."""
        if self._drop and kind == DROPPED_BY_SABOTAGE:
            return
        event = self._log.emit(
            kind,
            actor,
            intent_id=self.intent_id,
            lease_id=self.lease_id,
            task_id=self.task_id,
            vm_id=self.vm_id,
            engine=self.engine,
            policy_digest=self.policy_digest,
            data=data or {},
        )
        self.events.append(event.to_json())
        self._told(self.events[-1])

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

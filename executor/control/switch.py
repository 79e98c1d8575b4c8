"""SCRAM and back. What stops is stopped first and recorded after: an emergency stop does not wait for a disk.

Going on is the other way round: it is on record before anything moves, and whatever cannot be recorded stays stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from executor.bridge import wire
from executor.bridge.intake import Intake, Task
from executor.bridge.outbox import Outbox
from executor.bridge.recovery import turn_away
from executor.clock import Clock, rfc3339
from executor.control.kill import KILLED, KillOrder
from executor.control.permit import Challenge, PermitOffice
from executor.control.safe_mode import MAX_WHY, SafeMode, SafeModeFile
from executor.errors import AuditError, CordonError, OutsideError, RequestRefusedError
from executor.keys import KeyRing
from executor.lease import intent_digest
from executor.trail import Recorder

FLUSHED: Final = "control.scram"
_WORDS: Final = {
    FLUSHED: "everything was stopped; the task will not run",
    KILLED: "it was killed before its turn came",
}
RECORDERS: Final = 16
"""Threads that record what was flushed: those that emit at the same time share one fsync."""


class Stoppable(Protocol):
    """The part of the executor that is stopped."""

    def pause(self) -> Any:
        """Pause every VM, dispatch nothing."""

    def resume(self) -> Any:
        """Go on."""

    def kill(self, order: KillOrder, begun: Iterable[str]) -> tuple[str, ...]:
        """Kill what runs and is meant, also what is in `begun` and about to run; the intents that are."""


class Doorkeeper(Protocol):
    """Who decides about new connections: `executor.bridge.zap.Authenticator`."""

    def shut(self, domain: str, *, closed: bool) -> None:
        """Refuse every new connection of `domain`, or take them again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a stop reaches into."""

    executor: Stoppable
    intake: Intake
    outbox: Outbox
    audit: Recorder
    doorkeeper: Doorkeeper
    domain: str
    """The bridge's ZAP domain."""
    file: SafeModeFile


class Switch:
    """The one place that stops and resumes. Thread-safe: one order after another."""

    def __init__(self, parts: Parts, ring: Callable[[], KeyRing], clock: Clock) -> None:
        """`ring`: the keys as they are when asked. `restore` has to be called before the bridge listens."""
        self._parts: Final = parts
        self._clock = clock
        self._permits = PermitOffice(ring, clock)
        self._lock = threading.Lock()
        self._recording: threading.Thread | None = None
        self._mode: SafeMode | None = None
        self.last_scram_ns = 0
        """How long the last stop took, until everything stood."""

    @property
    def mode(self) -> SafeMode | None:
        """None: normal work."""
        return self._mode

    def restore(self) -> bool:
        """Go back into safe mode where the state folder says so; whether it does. Raises `AuditError`."""
        with self._lock:
            self._mode = self._parts.file.read()
            if self._mode is None:
                return False
            self._parts.intake.set_mode("safe")
            self._parts.doorkeeper.shut(self._parts.domain, closed=True)
            self._parts.executor.pause()
            self._parts.audit.emit("control_event.SAFE_MODE", "cp20", data={"why": f"still since {self._mode.since}"})
            return True

    def scram(self, by: str, why: str) -> dict[str, Any]:
        """Stop everything: what was stopped. Does as much as can be done, whatever fails on the way."""
        begun = self._clock.monotonic_ns()
        with self._lock:
            mode = SafeMode(rfc3339(self._clock.now_ns()), by, why[:MAX_WHY])
            self._mode = mode
            faults: list[str] = []
            self._parts.intake.set_mode("safe")
            self._parts.doorkeeper.shut(self._parts.domain, closed=True)
            stopped = _tried(faults, self._parts.executor.pause)
            flushed = self._parts.intake.flush()
            _tried(faults, lambda: self._parts.file.enter(mode))
            self._tell(flushed, FLUSHED)
            self.last_scram_ns = self._clock.monotonic_ns() - begun
            _tried(faults, lambda: self._record_stop(mode, len(flushed)))
            self._recording = threading.Thread(
                target=self._record_flushed, args=(flushed, self._recording, FLUSHED), name="scram-record", daemon=False
            )
            self._recording.start()
        paused = [*getattr(stopped, "suspended", ()), *getattr(stopped, "by_force", ())]
        return {
            "since": mode.since,
            "flushed": len(flushed),
            "paused": paused,
            "took_us": self.last_scram_ns // 1000,
            "faults": faults,
        }

    def kill(self, by: str, scope: str, name: str, why: str) -> dict[str, Any]:
        """Kill a task (by the id the bridge gave it, or its intent's), a requester's, or all; what was reached.

        What waits is turned away, what runs ends within a second. Raises `InvalidInputError`.
        """
        begun = self._clock.monotonic_ns()
        order = KillOrder.parse(scope, self._parts.intake.intent_of(name) if scope == "task" else name, by, why)
        with self._lock:

            def meant(task: Task) -> bool:
                return order.reaches(task.intent.intent_id, task.owner)

            # What waits first: whatever begins in between is among those that have begun.
            waiting = self._parts.intake.take_out(meant)
            killed = self._parts.executor.kill(order, self._parts.intake.begun(meant))
            self._tell(waiting, KILLED)
            took_us = (self._clock.monotonic_ns() - begun) // 1000
            self._recording = threading.Thread(
                target=self._record_flushed, args=(waiting, self._recording, KILLED), name="kill-record", daemon=False
            )
            self._recording.start()
        return {"killed": list(killed), "flushed": len(waiting), "took_us": took_us}

    def challenge(self) -> Challenge:
        """What a person has to sign to go on. Raises `RequestRefusedError` (409) when nothing is stopped."""
        with self._lock:
            return self._permits.challenge(self._stopped().since)

    def resume(self, order: Mapping[str, str]) -> dict[str, Any]:
        """Go on, on a person's signature. Raises `RequestRefusedError`, or `OutsideError`: then it stays stopped."""
        with self._lock:
            mode = self._stopped()
            key = self._permits.check(order["nonce"], order["kid"], order["sig"], mode.since)
            self.wait_recorded()
            self._parts.audit.emit("control_event.RESUMED", key.holder, data={"cause": "signed", "kid": key.kid})
            self._parts.file.leave()
            running = self._parts.executor.resume()
            self._mode = None
            self._parts.intake.set_mode("open")
            self._parts.doorkeeper.shut(self._parts.domain, closed=False)
        return {"by": key.holder, "running": list(running or ())}

    def wait_recorded(self) -> None:
        """Wait until every flushed task is on record."""
        if self._recording is not None:
            self._recording.join()

    def _stopped(self) -> SafeMode:
        if self._mode is None:
            raise RequestRefusedError(409, "control.not_stopped", "nothing is stopped")
        return self._mode

    def _tell(self, flushed: list[Task], reason: str) -> None:
        refusal = RequestRefusedError(503, reason, _WORDS[reason])
        for task in flushed:
            reply = (wire.error(refusal, task_id=task.task_id),)
            self._parts.outbox.put(task.identity, reply)

    def _record_stop(self, mode: SafeMode, flushed: int) -> None:
        data = {"why": mode.why, "flushed": flushed}
        self._parts.audit.emit("control_event.SCRAM", mode.by, data=data)
        self._parts.audit.emit("control_event.SAFE_MODE", "cp20", data={"why": "scram"})

    def _record_flushed(self, flushed: list[Task], before: threading.Thread | None, reason: str) -> None:
        if before is not None:
            before.join()
        if flushed:
            with ThreadPoolExecutor(RECORDERS, thread_name_prefix="scram-record") as pool:
                list(pool.map(lambda task: self._record_one(task, reason), flushed))

    def _record_one(self, task: Task, reason: str) -> None:
        """A task that cannot be recorded now stays in the journal: the next start closes it."""
        intent = task.intent
        submitted = {"digest": intent_digest(intent), "phase": intent.phase, "capabilities": list(intent.capabilities)}
        try:
            turn_away(self._parts.audit, intent.intent_id, task.owner, submitted, reason)
        except AuditError:
            return
        reply = (wire.error(RequestRefusedError(503, reason, _WORDS[reason]), task_id=task.task_id),)
        try:
            self._parts.intake.end(task, reply)
        except OutsideError:
            return  # the journal's disk: the same


def _tried(faults: list[str], action: Callable[[], Any]) -> Any:
    """Do it; what goes wrong is noted and the stop goes on."""
    try:
        return action()
    except CordonError as error:
        faults.append(f"{error.code}: {error}"[:200])
        return None

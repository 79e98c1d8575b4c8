"""The threads that take tasks whose turn has come, run them down the path and send back what became of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final, Protocol

from executor.api import Executor, Request
from executor.bridge import wire
from executor.bridge.intake import Intake, Reply, Task
from executor.bridge.outbox import Outbox
from executor.bridge.outcome_wire import pack
from executor.clock import Clock
from executor.errors import AuditError, CordonError, RequestRefusedError
from executor.outcome import Outcome

PIECE: Final = 32 * 1024
"""Bytes of one output message: times the messages that may wait for a peer, 64 MiB for one that does not read."""
ANSWER: Final = 1024 * 1024
"""Bytes of the largest answer that is sent ahead of its result; a larger one would go twice for a few milliseconds."""
STREAMS: Final = {1: "stdout", 2: "stderr"}


class Watcher(Protocol):
    """Told of what the workers do, for metrics and log. Must not raise."""

    def begun(self, task: Task, waited_ns: int) -> None:
        """A task's turn has come after so long."""

    def done(self, task: Task, outcome: Outcome, took_ns: int) -> None:
        """It has an outcome."""

    def broke(self, task: Task, error: BaseException) -> None:
        """It has none."""


class Workers:
    """`count` threads, from construction until `wait_ended`."""

    def __init__(
        self, count: int, intake: Intake, executor: Executor, outbox: Outbox, clock: Clock, watcher: Watcher
    ) -> None:
        """Start them."""
        self._intake = intake
        self._executor = executor
        self._outbox = outbox
        self._clock = clock
        self._watcher = watcher
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(1, count + 1)
        ]
        for thread in self._threads:
            thread.start()

    def alive(self) -> int:
        """How many threads there are."""
        return sum(thread.is_alive() for thread in self._threads)

    def wait_ended(self, seconds: float) -> bool:
        """Wait until every thread has ended (after `Intake.stop`), each at most `seconds`; whether they have."""
        for thread in self._threads:
            thread.join(seconds)
        return not self.alive()

    def _work(self) -> None:
        while (task := self._intake.take()) is not None:
            begun = self._clock.monotonic_ns()
            self._watcher.begun(task, begun - task.accepted_ns)
            reply = self._run(task, begun)
            self._intake.end(task, reply)
            self._outbox.put(task.identity, reply)

    def _run(self, task: Task, begun_ns: int) -> Reply:
        observer = _Streamer(task, self._outbox) if task.stream else None
        try:
            outcome = self._executor.run(
                Request(
                    task.intent,
                    approvals=task.approvals,
                    observer=observer,
                    waited_ns=begun_ns - task.accepted_ns,
                    answered=observer.answered if observer else None,
                )
            )
            raw, payload = pack(outcome)
            reply: Reply = (wire.header("result", task=task.task_id, outcome=raw), payload)
        except AuditError as error:
            self._intake.set_mode("failed")  # nothing runs without a record
            return self._broke(task, error, error.code, str(error))
        except CordonError as error:
            return self._broke(task, error, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - one task's bug must not take the worker from all others
            return self._broke(task, error, "cordon.bug", f"an internal error ({type(error).__name__}); see the log")
        self._watcher.done(task, outcome, self._clock.monotonic_ns() - begun_ns)
        return reply

    def _broke(self, task: Task, error: BaseException, code: str, message: str) -> Reply:
        self._watcher.broke(task, error)
        return (wire.error(RequestRefusedError(500, code, message), task_id=task.task_id),)


class _Streamer:
    """Sends a task's events and output as they come."""

    def __init__(self, task: Task, outbox: Outbox) -> None:
        self._task = task
        self._outbox = outbox

    def event(self, event: Mapping[str, Any]) -> None:
        """`event` is on record."""
        self._put((wire.header("event", task=self._task.task_id, event=event),))

    def output(self, command: int, stream: int, data: bytes) -> None:
        """A command wrote `data`."""
        head = wire.header("output", task=self._task.task_id, command=command, stream=STREAMS.get(stream, "stderr"))
        for at in range(0, len(data), PIECE):
            self._put((head, data[at : at + PIECE]))

    def answered(self, outcome: Outcome) -> None:
        """The commands have ended and that is on record; what is left is to clean up."""
        raw, payload = pack(outcome)
        if len(payload) <= ANSWER:
            self._put((wire.header("answer", task=self._task.task_id, outcome=raw), payload))

    def _put(self, reply: Reply) -> None:
        self._outbox.put(self._task.identity, reply, droppable=True)

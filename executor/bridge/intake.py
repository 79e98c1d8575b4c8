"""What waits, what runs and what has ended: the one place that knows every task of the bridge. Thread-safe.

A task is known from its acceptance until its result has been forgotten. Its reply goes to the routing id stored with
it; `attach` by the same requester moves that to a new connection.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from executor.errors import AuditError, OutsideError, RequestRefusedError
from executor.intent import Intent
from executor.queue.journal import MAX_SEEN, Leftover
from executor.queue.queue import FULL, PriorityQueue

Mode = Literal["open", "draining", "safe", "failed"]
"""open: takes tasks - draining: works off what it has - safe: SCRAM, nothing is taken or begun - failed: no audit."""

_REFUSALS: Final = {
    "draining": ("bridge.draining", "the executor is ending; come back when it has started again"),
    "safe": ("control.safe_mode", "everything was stopped; a person has to resume it"),
    "failed": ("svf.unwritable", "the audit trail cannot be written; nothing runs without it"),
}


@dataclass(slots=True, eq=False)
class Task:
    """One accepted submission."""

    intent: Intent
    approvals: tuple[str, ...]
    owner: str
    """The requester its key stands for."""
    identity: bytes
    """Where its replies go."""
    stream: bool
    accepted_ns: int
    """Monotonic."""
    task_id: str = field(default_factory=lambda: f"q-{secrets.token_hex(8)}")
    begun: bool = False


class Record(Protocol):
    """What is told of every change, while the change is made: `executor.queue.Journal`."""

    def queued(self, task: Leftover) -> None:
        """`task` waits."""

    def taken(self, task_id: str) -> None:
        """Its turn has come."""

    def ended(self, task_id: str) -> None:
        """It has ended."""


Reply = tuple[bytes, ...]
"""The frames of a result, header first."""


class Intake:
    """Tasks by their state."""

    def __init__(
        self,
        capacity: int,
        record: Record,
        *,
        keep: int,
        keep_bytes: int,
        ensure_room: Callable[[], None] = lambda: None,
        seen: Iterable[str] = (),
        share: int = 100,
    ) -> None:
        """Queue at most `capacity`; keep the last `keep` results, of `keep_bytes` in all; `record` is told.

        `ensure_room` raises `AuditError` while the audit trail has no room for new work. `seen`: intent ids that were
        taken before this start, and are not taken again. `share`: of one owner, as `PriorityQueue.shut_for` has it.
        """
        self._ensure_room = ensure_room
        self._record = record
        self._queue: PriorityQueue[Task] = PriorityQueue(capacity, share=share, owner_of=lambda task: task.owner)
        self._changed = threading.Condition()
        self._mode: Mode = "open"
        self._stopped = False
        self._live: dict[str, Task] = {}
        self._seen: OrderedDict[str, None] = OrderedDict.fromkeys(seen)
        self._results: OrderedDict[str, tuple[str, Reply]] = OrderedDict()
        self._result_bytes = 0
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._running = 0
        self._counts = {"accepted": 0, "refused": 0, "flushed": 0, "ended": 0, "unjournaled": 0}

    @property
    def mode(self) -> Mode:
        """Whether tasks are taken."""
        return self._mode

    def set_share(self, share: int) -> None:
        """What one owner may take of the queue from now on, in percent; what waits stays."""
        with self._changed:
            self._queue.share = share

    def set_mode(self, mode: Mode) -> None:
        """Change it; workers waiting for a task look again."""
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def add(self, task: Task) -> int:
        """Queue `task`; how many are before it. Raises `RequestRefusedError`: 503 not now, 409 known already."""
        with self._changed:
            if refusal := self._refusal(task):
                self._counts["refused"] += 1
                raise refusal
            # Journal first: a task that was refused for want of a journal must not run.
            self._record.queued(
                Leftover(task.task_id, task.intent.intent_id, task.owner, task.intent.priority.name, task.intent.phase)
            )
            ahead = self._queue.push(task, task.intent.priority)
            self._seen[task.intent.intent_id] = None
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
            self._live[task.task_id] = task
            self._counts["accepted"] += 1
            self._changed.notify()
            return ahead

    def _refusal(self, task: Task) -> RequestRefusedError | None:
        if self._mode != "open":
            return RequestRefusedError(503, *_REFUSALS[self._mode])
        if code := self._queue.shut_for(task.owner):
            why = f"{len(self._queue)} tasks wait already" if code == FULL else "your share of the queue is taken"
            return RequestRefusedError(503, code, f"{why}; come back later")
        if task.intent.intent_id in self._seen:
            return RequestRefusedError(
                409, "bridge.duplicate", f"intent {task.intent.intent_id} was submitted already; an id is used once"
            )
        try:
            self._ensure_room()
        except AuditError as error:
            return RequestRefusedError(503, error.code, str(error))
        return None

    def take(self) -> Task | None:
        """The next task, waiting for one; None when workers are to end (`stop`)."""
        with self._changed:
            while not self._stopped:
                if self._mode in {"open", "draining"} and (task := self._queue.pop()) is not None:
                    task.begun = True
                    self._running += 1
                    self._journal(self._record.taken, task)
                    return task
                self._changed.wait()
            return None

    def end(self, task: Task, reply: Reply) -> None:
        """`task` has ended with `reply`, which is kept for a while."""
        with self._changed:
            self._live.pop(task.task_id, None)
            self._running -= task.begun
            self._counts["ended"] += 1
            self._journal(self._record.ended, task)
            self._results[task.task_id] = (task.owner, reply)
            self._result_bytes += _size(reply)
            while self._results and (len(self._results) > self._keep or self._result_bytes > self._keep_bytes):
                _, (_, dropped) = self._results.popitem(last=False)
                self._result_bytes -= _size(dropped)
            self._changed.notify_all()

    def _journal(self, note: Callable[[str], None], task: Task) -> None:
        """Tell the journal of a task that goes on whatever it says: evidence is in the audit trail, not in there."""
        try:
            note(task.task_id)
        except OutsideError:
            self._counts["unjournaled"] += 1

    def flush(self) -> list[Task]:
        """Take every waiting task out; whoever does has to tell their owners."""
        with self._changed:
            flushed = self._queue.flush()
            self._counts["flushed"] += len(flushed)
            self._changed.notify_all()
            return flushed

    def take_out(self, wanted: Callable[[Task], bool]) -> list[Task]:
        """Take the waiting tasks that are `wanted` out; whoever does has to tell their owners."""
        with self._changed:
            taken = self._queue.take_out(wanted)
            self._counts["flushed"] += len(taken)
            self._changed.notify_all()
            return taken

    def begun(self, wanted: Callable[[Task], bool]) -> list[str]:
        """The intents of the `wanted` tasks that were handed out and have not ended."""
        with self._changed:
            return [task.intent.intent_id for task in self._live.values() if task.begun and wanted(task)]

    def intent_of(self, name: str) -> str:
        """The intent of the task called `name`; `name` itself where no task is."""
        with self._changed:
            task = self._live.get(name)
            return task.intent.intent_id if task else name

    def attach(self, task_id: str, owner: str, identity: bytes) -> Reply | None:
        """Send what becomes of a task to `identity`; its result where it has ended. Raises `RequestRefusedError` (404).

        A task of somebody else's is as unknown as one that never was.
        """
        with self._changed:
            if (task := self._live.get(task_id)) is not None and task.owner == owner:
                task.identity = identity
                return None
            kept = self._results.get(task_id)
            if kept is not None and kept[0] == owner:
                return kept[1]
        raise RequestRefusedError(
            404, "bridge.unknown_task", f"no task {task_id:.64} of yours is known here (any more)"
        )

    def stop(self) -> None:
        """Let workers end: nothing more is handed out, whatever waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing waits or runs, at most `seconds`; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running and not len(self._queue), seconds)

    def statistics(self) -> dict[str, int | str | dict[str, int]]:
        """Counters, and gauges `queued`, `running` and `mode`."""
        with self._changed:
            return {
                **self._counts,
                "queued": len(self._queue),
                "depths": self._queue.depths(),
                "capacity": self._queue.capacity,
                "running": self._running,
                "mode": self._mode,
                "results_kept": len(self._results),
            }


def _size(reply: Reply) -> int:
    return sum(len(frame) for frame in reply)

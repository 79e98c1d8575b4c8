"""The order in which tasks run: CRITICAL, HIGH, NORMAL, LOW, first come first served within each. Pure.

What the queue promises:

1. it never holds more than `capacity` tasks: the next one is refused with 503, whatever its priority,
2. `pop` hands out the oldest task of the most urgent priority that has one,
3. no task is handed out twice, and none disappears: everything pushed is popped, flushed or still there.

Not thread-safe on purpose: whoever shares it holds a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from executor.errors import MisuseError, RequestRefusedError
from executor.intent import Priority

CAPACITY: Final = 1000
"""Tasks that may wait; DESIGN 5.6."""

Task = TypeVar("Task")


class PriorityQueue(Generic[Task]):
    """Tasks that wait for their turn."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """`capacity`: tasks that may wait, 1 to `CAPACITY`."""
        if not 1 <= capacity <= CAPACITY:
            raise MisuseError(f"a queue holds 1 to {CAPACITY} tasks, not {capacity}")
        self.capacity: Final = capacity
        self._lanes: Final[dict[Priority, deque[Task]]] = {priority: deque() for priority in sorted(Priority)}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether `push` would refuse."""
        return self._length >= self.capacity

    def push(self, task: Task, priority: Priority) -> int:
        """Add `task`; how many are before it now. Raises `RequestRefusedError` (503) when the queue is full."""
        if self.full:
            raise RequestRefusedError(503, "queue.full", f"{self.capacity} tasks wait already; come back later")
        self._lanes[priority].append(task)
        self._length += 1
        return sum(len(lane) for at, lane in self._lanes.items() if at <= priority) - 1

    def pop(self) -> Task | None:
        """Take the task whose turn it is; None when nobody waits."""
        for lane in self._lanes.values():
            if lane:
                self._length -= 1
                return lane.popleft()
        return None

    def flush(self) -> list[Task]:
        """Take everything out, in the order in which it would have run."""
        flushed = [task for lane in self._lanes.values() for task in lane]
        for lane in self._lanes.values():
            lane.clear()
        self._length = 0
        return flushed

    def take_out(self, wanted: Callable[[Task], bool]) -> list[Task]:
        """Take those that are `wanted` out, in the order in which they would have run; the others keep theirs."""
        taken: list[Task] = []
        for lane in self._lanes.values():
            fitting = [task for task in lane if wanted(task)]
            if fitting:
                taken += fitting
                staying = [task for task in lane if not wanted(task)]
                lane.clear()
                lane.extend(staying)
        self._length -= len(taken)
        return taken

    def depths(self) -> dict[str, int]:
        """How many wait at each priority."""
        return {priority.name: len(lane) for priority, lane in self._lanes.items()}

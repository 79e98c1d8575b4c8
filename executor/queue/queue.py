"""The order in which tasks run: CRITICAL, HIGH, NORMAL, LOW, first come first served within each. Pure.

What the queue promises:

1. it never holds more than `capacity` tasks: the next one is refused with 503, whatever its priority,
   and an owner never has more than its share while others may come: see `shut_for`,
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

SHARE: Final = 90
"""Percent of the places one owner may take where there are others: of 1000 places it leaves 100."""
FULL: Final = "queue.full"
OVER_SHARE: Final = "queue.share"

Task = TypeVar("Task")


class PriorityQueue(Generic[Task]):
    """Tasks that wait for their turn."""

    def __init__(
        self, capacity: int = CAPACITY, *, share: int = 100, owner_of: Callable[[Task], str] = lambda _: ""
    ) -> None:
        """`capacity`: tasks that may wait, 1 to `CAPACITY`. `share`: percent, 1 to 100, see `shut_for`."""
        if not 1 <= capacity <= CAPACITY:
            raise MisuseError(f"a queue holds 1 to {CAPACITY} tasks, not {capacity}")
        self.capacity: Final = capacity
        self.share = share
        self._owner_of = owner_of
        self._owned: dict[str, int] = {}
        """By owner; a Counter's ways to add and to take out are Python."""
        self._lanes: Final[dict[Priority, deque[Task]]] = {priority: deque() for priority in sorted(Priority)}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def full(self) -> bool:
        """Whether `push` would refuse."""
        return self._length >= self.capacity

    def shut_for(self, owner: str) -> str:
        """Empty, or the code for which `owner` is refused: `FULL`, or `OVER_SHARE`.

        With a share of s percent whoever has n tasks waiting gets another place while n is less than s/(100 - s) times
        the places that are free. One that floods ends at s percent; several leave the less the more they are, but they
        always leave something to whoever has nothing there.
        """
        free = self.capacity - self._length
        if free <= 0:
            return FULL
        return "" if self._owned.get(owner, 0) * (100 - self.share) < free * self.share else OVER_SHARE

    def push(self, task: Task, priority: Priority) -> int:
        """Add `task`; how many are before it now. Raises `RequestRefusedError` (503) where there is no place for it."""
        owner = self._owner_of(task)
        if code := self.shut_for(owner):
            if code == FULL:
                raise RequestRefusedError(503, FULL, f"{self.capacity} tasks wait already; come back later")
            have = self._owned[owner]
            raise RequestRefusedError(503, OVER_SHARE, f"{have} tasks of yours wait, the rest is kept for others")
        self._owned[owner] = self._owned.get(owner, 0) + 1
        self._lanes[priority].append(task)
        self._length += 1
        before = -1
        for at, lane in self._lanes.items():
            if at > priority:
                break
            before += len(lane)
        return before

    def pop(self) -> Task | None:
        """Take the task whose turn it is; None when nobody waits."""
        if not self._length:
            return None
        for lane in self._lanes.values():
            if lane:
                self._length -= 1
                task = lane.popleft()
                self._left(task)
                return task
        return None

    def flush(self) -> list[Task]:
        """Take everything out, in the order in which it would have run."""
        flushed = [task for lane in self._lanes.values() for task in lane]
        for lane in self._lanes.values():
            lane.clear()
        self._length = 0
        self._owned.clear()
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
        for task in taken:
            self._left(task)
        return taken

    def _left(self, task: Task) -> None:
        """`task` waits no more; owners of nothing take no memory."""
        owner = self._owner_of(task)
        left = self._owned[owner] - 1
        if left:
            self._owned[owner] = left
        else:
            del self._owned[owner]

    def depths(self) -> dict[str, int]:
        """How many wait at each priority."""
        return {priority.name: len(lane) for priority, lane in self._lanes.items()}

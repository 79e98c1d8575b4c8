"""The queue's order: nothing lost, nothing twice, the most urgent and oldest first, never more than it holds."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from executor.errors import MisuseError, RequestRefusedError
from executor.intent import Priority
from executor.queue import CAPACITY, PriorityQueue


class QueueAgainstList(RuleBasedStateMachine):
    """The queue beside the plainest model there is: one list, sorted by priority and arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.capacity = 7
        self.queue: PriorityQueue[int] = PriorityQueue(self.capacity)
        self.model: list[tuple[Priority, int]] = []
        self.arrived = 0

    @rule(priority=st.sampled_from(Priority))
    def push(self, priority: Priority) -> None:
        self.arrived += 1
        if len(self.model) == self.capacity:
            with pytest.raises(RequestRefusedError) as refusal:
                self.queue.push(self.arrived, priority)
            assert (refusal.value.status, refusal.value.reason) == (503, "queue.full")
        else:
            self.model.append((priority, self.arrived))
            self.model.sort()
            assert self.queue.push(self.arrived, priority) == self.model.index((priority, self.arrived))

    @rule()
    def pop(self) -> None:
        assert self.queue.pop() == (self.model.pop(0)[1] if self.model else None)

    @precondition(lambda self: self.model)
    @rule()
    def flush(self) -> None:
        assert self.queue.flush() == [task for _, task in self.model]
        self.model = []

    @invariant()
    def agrees(self) -> None:
        assert len(self.queue) == len(self.model)
        assert self.queue.full == (len(self.model) == self.capacity)
        assert self.queue.depths() == {
            priority.name: sum(at == priority for at, _ in self.model) for priority in Priority
        }


TestQueueAgainstList = QueueAgainstList.TestCase
TestQueueAgainstList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_critical_behind_a_thousand_low_is_next_and_the_next_one_is_refused() -> None:
    """999 LOW, one CRITICAL: the 1001st is refused with 503, and CRITICAL goes first."""
    queue: PriorityQueue[str] = PriorityQueue()
    for number in range(CAPACITY - 1):
        queue.push(f"low-{number}", Priority.LOW)
    assert queue.push("critical", Priority.CRITICAL) == 0
    with pytest.raises(RequestRefusedError, match="1000 tasks wait"):
        queue.push("another", Priority.CRITICAL)
    assert [queue.pop(), queue.pop()] == ["critical", "low-0"]


@pytest.mark.parametrize("capacity", [0, -1, CAPACITY + 1])
def test_capacity_outside_its_bounds_is_misuse(capacity: int) -> None:
    """A queue that could hold nothing, or more than the design's bound, is not made."""
    with pytest.raises(MisuseError, match="a queue holds 1 to 1000"):
        PriorityQueue[str](capacity)

"""The queue's order: nothing lost, nothing twice, the most urgent and oldest first, never more than it holds."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from executor.errors import MisuseError, RequestRefusedError
from executor.intent import Priority
from executor.queue import CAPACITY, PriorityQueue

SHARE = 60


class QueueAgainstList(RuleBasedStateMachine):
    """The queue beside the plainest model there is: one list, sorted by priority and arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.capacity = 7
        self.queue: PriorityQueue[int] = PriorityQueue(self.capacity, share=SHARE, owner_of=self.owner_of)
        self.owners: dict[int, str] = {}
        self.model: list[tuple[Priority, int]] = []
        self.arrived = 0

    def owner_of(self, task: int) -> str:
        return self.owners[task]

    @rule(priority=st.sampled_from(Priority), owner=st.sampled_from(["a", "b", "c"]))
    def push(self, priority: Priority, owner: str) -> None:
        self.arrived += 1
        self.owners[self.arrived] = owner
        have = sum(self.owners[task] == owner for _, task in self.model)
        free = self.capacity - len(self.model)
        code = "queue.full" if not free else "queue.share" if have >= free * SHARE / (100 - SHARE) else ""
        assert self.queue.shut_for(owner) == code
        if code:
            with pytest.raises(RequestRefusedError) as refusal:
                self.queue.push(self.arrived, priority)
            assert (refusal.value.status, refusal.value.reason) == (503, code)
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

    @rule(owner=st.sampled_from(["a", "b", "c"]))
    def take_out(self, owner: str) -> None:
        wanted = [task for _, task in self.model if self.owners[task] == owner]
        assert self.queue.take_out(lambda task: self.owners[task] == owner) == wanted
        self.model = [(priority, task) for priority, task in self.model if task not in wanted]

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


@pytest.mark.parametrize(("floods", "left"), [(1, 100), (2, 52), (5, 21), (20, 5), (100, 1)])
def test_floods_leave_places_to_whoever_has_none(floods: int, left: int) -> None:
    """With a share of 90 percent one flood of 1000 leaves 100 places; many leave fewer, and always one."""
    queue: PriorityQueue[str] = PriorityQueue(share=90, owner_of=lambda task: task)
    while open_to := [f"flood-{number}" for number in range(floods) if not queue.shut_for(f"flood-{number}")]:
        for owner in open_to:
            if not queue.shut_for(owner):
                queue.push(owner, Priority.CRITICAL)
    assert queue.capacity - len(queue) == left
    assert queue.shut_for("flood-0") == "queue.share"
    assert queue.shut_for("another") == ""


def test_an_owner_without_a_share_limit_may_fill_the_queue() -> None:
    """100 percent: 1000 of one owner's wait, the 1001st finds it full."""
    queue: PriorityQueue[str] = PriorityQueue(share=100, owner_of=lambda task: task)
    for _ in range(CAPACITY):
        queue.push("one", Priority.LOW)
    assert queue.shut_for("one") == queue.shut_for("another") == "queue.full"


@pytest.mark.parametrize("capacity", [0, -1, CAPACITY + 1])
def test_capacity_outside_its_bounds_is_misuse(capacity: int) -> None:
    """A queue that could hold nothing, or more than the design's bound, is not made."""
    with pytest.raises(MisuseError, match="a queue holds 1 to 1000"):
        PriorityQueue[str](capacity)

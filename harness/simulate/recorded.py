"""What a recorded audit trail says about a load: when tasks came and how long each stage of their path took.

    review    intent_event.SUBMITTED -> the last intent_event.REVIEWED
    decision  from there -> policy_event.DECIDED
    lease     from there -> task_event.DISPATCHED
    acquire   from there -> vm_event.ACQUIRED, where the machine came from the pool
    clone     the same where it had to be made first, less the mean `acquire`
    run       vm_event.ACQUIRED -> the last event of the intent
    refill    a machine taken from the pool, or the machine before -> the pool's own vm_event.READY

An intent counts when it came that far. It arrived when it was submitted, less what it had waited at the door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from executor.clock import parse_rfc3339
from executor.errors import InvalidInputError
from executor.svf.event import Event
from executor.svf.read import read as read_trail

STAGES: Final = ("review", "decision", "lease", "acquire", "clone", "run", "refill")
NS: Final = 1_000_000_000
MADE: Final = "vm_event.READY"
"""In the trail of an intent whose machine had to be made while it waited; the pool tells of its own outside of them."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One intent of the trail: its events' moments, in seconds since the trail's first arrival."""

    requester: str
    priority: str
    arrived_s: float
    waited_s: float
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trail as a load."""

    passages: tuple[Passage, ...]
    refills: tuple[float, ...] = ()

    @property
    def stages(self) -> dict[str, tuple[float, ...]]:
        """Stage -> what it took, in the order of arrival."""
        seen = {
            name: tuple(passage.stages[name] for passage in self.passages if name in passage.stages) for name in STAGES
        }
        return {**seen, "refill": self.refills}

    @property
    def requesters(self) -> tuple[str, ...]:
        """Everybody who submitted, sorted."""
        return tuple(sorted({passage.requester for passage in self.passages}))

    def arrivals_of(self, requester: str) -> tuple[float, ...]:
        """When `requester`'s tasks came, `*` for everybody's; empty when there were none."""
        return tuple(passage.arrived_s for passage in self.passages if requester in {passage.requester, "*"})


def read(folder: Path) -> Recorded:
    """What the trail in `folder` says. Raises `OutsideError` when unreadable, `InvalidInputError` when broken."""
    try:
        return of_events(read_trail(folder))
    except InvalidInputError as error:
        raise InvalidInputError(f"the audit trail in {folder} cannot be read: {error}") from None


def of_events(events: Iterable[Event]) -> Recorded:
    """What `events` say, in the order in which the tasks came."""
    by_intent: dict[str, list[Event]] = {}
    kept = list(events)
    for event in kept:
        if event.intent_id:
            by_intent.setdefault(event.intent_id, []).append(event)
    found = [passage for own in by_intent.values() if (passage := _passage(own))]
    first = min((passage.arrived_s for passage in found), default=0.0)
    found.sort(key=lambda passage: passage.arrived_s)
    return Recorded(_split([_shifted(passage, first) for passage in found]), _refills(kept))


def _refills(events: Iterable[Event]) -> tuple[float, ...]:
    """What each machine took that the pool made after it had been full for the first time.

    It makes one after the other from the moment a task takes one, which is when that task was dispatched.
    """
    changes: list[tuple[float, int]] = []
    dispatched: dict[str, float] = {}
    waiting: set[str] = set()
    for event in events:
        now = parse_rfc3339(event.ts) / NS
        if event.type == MADE and not event.intent_id:
            changes.append((now, 1))
            waiting.add(event.vm_id)
        elif event.type == "task_event.DISPATCHED":
            dispatched[event.intent_id] = now
        elif event.type == "vm_event.ACQUIRED" and event.vm_id in waiting:
            waiting.discard(event.vm_id)
            changes.append((dispatched.get(event.intent_id, now), -1))
    changes.sort()
    size = max(accumulate(change for _, change in changes), default=0)
    found: list[float] = []
    level, been_full, since = 0, False, None
    for now, change in changes:
        level += change
        if change > 0 and been_full and since is not None:
            found.append(now - since)
        if level >= size:
            been_full, since = True, None
        elif change > 0 or since is None:
            since = now
    return tuple(found)


def _passage(events: Sequence[Event]) -> Passage | None:
    """None for an intent whose beginning is not in the trail."""
    if events[0].type != "intent_event.SUBMITTED":
        return None
    at: dict[str, float] = {}
    data: dict[str, Mapping[str, Any]] = {}
    for event in events:
        at[event.type] = parse_rfc3339(event.ts) / NS
        data[event.type] = event.data
    submitted = at["intent_event.SUBMITTED"]
    waited = float(data["intent_event.SUBMITTED"].get("waited_us", 0)) / 1e6
    reviewed = at.get("intent_event.REVIEWED", submitted)
    stages = {"review": reviewed - submitted}
    steps = (
        ("decision", reviewed, at.get("policy_event.DECIDED")),
        ("lease", at.get("policy_event.DECIDED"), at.get("task_event.DISPATCHED")),
        ("clone" if MADE in at else "acquire", at.get("task_event.DISPATCHED"), at.get("vm_event.ACQUIRED")),
        ("run", at.get("vm_event.ACQUIRED"), parse_rfc3339(events[-1].ts) / NS),
    )
    stages |= {name: end - begin for name, begin, end in steps if begin is not None and end is not None}
    priority = str(data.get("task_event.QUEUED", {}).get("priority", "NORMAL"))
    return Passage(events[0].actor, priority, submitted - waited, waited, stages)


def _shifted(passage: Passage, first: float) -> Passage:
    return Passage(
        passage.requester, passage.priority, passage.arrived_s - first, passage.waited_s, dict(passage.stages)
    )


def _split(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """A machine that had to be made was acquired as well: take the mean of that off what making it took."""
    hits = [passage.stages["acquire"] for passage in passages if "acquire" in passage.stages]
    usual = sum(hits) / len(hits) if hits else 0.0
    return tuple(
        Passage(
            passage.requester,
            passage.priority,
            passage.arrived_s,
            passage.waited_s,
            {**passage.stages, "clone": max(0.0, passage.stages["clone"] - usual)},
        )
        if "clone" in passage.stages
        else passage
        for passage in passages
    )

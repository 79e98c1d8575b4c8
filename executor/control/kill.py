"""The kill switch: orders to end one task, all tasks of a requester, or all there are. The service stays open.

An order reaches what runs at that moment and nothing that comes later. Whoever runs a task enters it here and asks
`order_for` at least every tenth of a second; a task that is only waiting elsewhere is turned away by who holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from executor.errors import InvalidInputError

KILLED: Final = "control.killed"
"""Reason of a task that a kill order reached."""
MAX_WHY: Final = 500
"""Characters of a reason."""
MAX_EARLY: Final = 100
"""Orders kept for tasks that have not entered yet: far more than there are workers."""
Scope = Literal["task", "requester", "all"]
SCOPES: Final[dict[str, Scope]] = {"task": "task", "requester": "requester", "all": "all"}


@dataclass(frozen=True, slots=True)
class KillOrder:
    """What is to be killed, on whose word and why. `name`: the intent's id or the requester; empty for all."""

    scope: Scope
    name: str
    by: str
    why: str = ""

    @classmethod
    def parse(cls, scope: str, name: str, by: str, why: str) -> KillOrder:
        """From texts; raises `InvalidInputError` for a scope there is not, or a name too many or missing."""
        known = SCOPES.get(scope)
        if known is None:
            raise InvalidInputError(f"scope: {scope!r:.40} is none of {', '.join(SCOPES)}")
        if (known == "all") == bool(name):
            wanted = "must be empty" if known == "all" else "is required"
            raise InvalidInputError(f"name: {wanted} for scope {known}")
        return cls(known, name, by, why[:MAX_WHY])

    def reaches(self, intent_id: str, requester: str) -> bool:
        """Whether a task of this intent and requester is to be killed."""
        return self.scope == "all" or self.name == (intent_id if self.scope == "task" else requester)

    def data(self) -> dict[str, str]:
        """As the closing event of a killed command records it."""
        return {"scope": self.scope, "ordered_by": self.by, "why": self.why}


@dataclass(slots=True)
class _Entry:
    intent_id: str
    requester: str
    order: KillOrder | None = None


class KillSwitch:
    """Who runs, and which orders have reached whom. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, list[_Entry]] = {}
        self._early: dict[str, KillOrder] = {}
        """Orders for tasks that have been handed out and are about to enter."""

    @contextmanager
    def entered(self, intent_id: str, requester: str) -> Iterator[None]:
        """While inside, orders reach this task."""
        with self._lock:
            entry = _Entry(intent_id, requester, self._early.pop(intent_id, None))
            self._entries.setdefault(intent_id, []).append(entry)
        try:
            yield
        finally:
            with self._lock:
                left = [other for other in self._entries[intent_id] if other is not entry]
                if left:
                    self._entries[intent_id] = left
                else:
                    del self._entries[intent_id]

    def pull(self, order: KillOrder, begun: Iterable[str] = ()) -> tuple[str, ...]:
        """Give an order; the intents it reaches. The first order to reach a task is the one on its record.

        `begun`: intents that are meant and were handed out already; one that has not entered is reached when it does.
        """
        with self._lock:
            reached = [
                entry
                for entries in self._entries.values()
                for entry in entries
                if order.reaches(entry.intent_id, entry.requester)
            ]
            for entry in reached:
                entry.order = entry.order or order
            early = [intent_id for intent_id in begun if intent_id not in self._entries]
            self._early |= dict.fromkeys(early, order)
            while len(self._early) > MAX_EARLY:  # left by tasks that had just ended; ids are never used again
                del self._early[next(iter(self._early))]
        return tuple(dict.fromkeys([*(entry.intent_id for entry in reached), *early]))

    def order_for(self, intent_id: str) -> KillOrder | None:
        """The order that has reached this task, or None."""
        with self._lock:
            return next((entry.order for entry in self._entries.get(intent_id, ()) if entry.order), None)

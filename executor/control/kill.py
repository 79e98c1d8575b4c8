"""The kill switch: orders to end one task, all tasks of a requester, or all there are. The service stays open.

An order reaches what is under way at that moment and nothing that comes later. Whoever takes a task down the path
enters it here. While a command runs he asks for the order at least every tenth of a second; while none does (the
machine is being prepared, files are handed back) the order itself has the machine taken away. Once the commands have
ended and nothing is left but to clean up, orders pass the task by. A task that is only waiting elsewhere is turned away
by who holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
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


class Killable:
    """One task under way, as the switch knows it. Thread-safe."""

    def __init__(self, intent_id: str, requester: str, order: KillOrder | None = None) -> None:
        """`order`: the one that had come before the task did."""
        self.intent_id = intent_id
        self.requester = requester
        self._lock = threading.Lock()
        self._order = order
        self._cut: Callable[[], None] | None = None
        self._over = False

    @property
    def order(self) -> KillOrder | None:
        """The order that has reached it, or None."""
        return self._order

    def idle(self, cut: Callable[[], None]) -> None:
        """From now on no command runs: an order that comes calls `cut`, which must neither wait nor raise."""
        with self._lock:
            self._cut = cut

    def busy(self) -> None:
        """From now on somebody asks for `order` all the time."""
        with self._lock:
            self._cut = None

    def conclude(self) -> KillOrder | None:
        """Let later orders pass it by; the order that has reached it before."""
        with self._lock:
            self._over = True
            self._cut = None
            return self._order

    def reach(self, order: KillOrder) -> bool:
        """Have `order` reach it, unless it is over; the first one counts. Whether it is reached."""
        with self._lock:
            if self._over:
                return False
            first = self._order is None
            self._order = self._order or order
            if first and self._cut:
                self._cut()
            return True


class KillSwitch:
    """Who runs, and which orders have reached whom. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, list[Killable]] = {}
        self._early: dict[str, KillOrder] = {}
        """Orders for tasks that have been handed out and are about to enter."""

    @contextmanager
    def entered(self, intent_id: str, requester: str) -> Iterator[Killable]:
        """While inside, orders reach this task."""
        with self._lock:
            entry = Killable(intent_id, requester, self._early.pop(intent_id, None))
            self._entries.setdefault(intent_id, []).append(entry)
        try:
            yield entry
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
                entry.intent_id
                for entries in self._entries.values()
                for entry in entries
                if order.reaches(entry.intent_id, entry.requester) and entry.reach(order)
            ]
            early = [intent_id for intent_id in begun if intent_id not in self._entries]
            self._early |= dict.fromkeys(early, order)
            while len(self._early) > MAX_EARLY:  # left by tasks that had just ended; ids are never used again
                del self._early[next(iter(self._early))]
        return tuple(dict.fromkeys([*reached, *early]))

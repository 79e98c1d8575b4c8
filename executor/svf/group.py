"""Group commit: threads that record at the same time share one write and one sync.

Each thread queues its records; the first becomes the leader, commits all that is queued, and hands on to the next one
in the queue. Two things keep the cost per record down, both because waking a thread costs as much as writing a record:

1. Those whose records are durable are woken one by the other: the leader wakes one, which wakes the next before it does
   anything else. Woken all at once they would only wait again, for the interpreter's lock.
2. A leader waits a moment (`GATHER_S`) for those who were in the last commit, as long as they do come back at once:
   eight busy writers make commits of eight, not of four and four. Whoever records alone never waits, and where nobody
   came the next leaders do not wait either.

The main thread neither leads nor wakes another one: only there can a signal (Ctrl-C) raise in the middle of anything,
which would tear the chain or leave the others waiting. A thread of the group's own leads in its place, and the
interruption is raised once the records are durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from executor.errors import AuditError
from executor.svf.event import Draft

GATHER_S: Final = 0.0005
"""Seconds a leader waits for the others at most: about two syncs of a fast disk."""
MAX_PAUSE: Final = 1024
"""Commits that follow each other without such a wait, at most."""


class Ticket:
    """Records on their way to the disk, which stand together in the chain, and the thread that waits for them."""

    __slots__ = ("apart", "done", "drafts", "error", "follower", "leads", "moments", "placed", "turn")

    def __init__(self, drafts: Sequence[Draft], moments: Sequence[int]) -> None:
        """`moments`: when each was emitted, in nanoseconds since the epoch."""
        self.drafts = drafts
        self.moments = moments
        self.placed: list[tuple[int, str, str, str]] = []
        """seq, ts, prev and hash of each, once they have their places."""
        self.error: AuditError | None = None
        self.turn = threading.Lock()
        self.turn.acquire()
        self.apart = threading.get_ident() == threading.main_thread().ident
        """Whether this is the main thread: it does nothing for others."""
        self.leads = False
        self.done = False
        self.follower: Ticket | None = None

    def wait(self) -> None:
        """Until the records are durable or have failed, or it is this thread's turn to lead.

        An interruption is raised after that; it can only come in the main thread, which does not lead.
        """
        interruption: BaseException | None = None
        while not (self.done or self.leads):
            try:
                self.turn.acquire()
            except BaseException as raised:  # noqa: BLE001 - whatever a signal handler raises; kept, and raised below
                interruption = raised
        if self.follower is not None:
            self.follower.turn.release()
        if interruption is not None:
            raise interruption


class Group:
    """The queue of tickets, and who leads. `lock` also guards what its owner shares between threads."""

    def __init__(self, commit: Callable[[Sequence[Ticket]], AuditError | None]) -> None:
        """`commit` makes tickets durable and answers why it could not; never called twice at a time, never raises."""
        self.lock: Final = threading.Lock()
        self._commit = commit
        self._wake = threading.Condition(self.lock)
        self._queue: list[Ticket] = []
        self._busy = False
        self._closed = False
        self._expected = 0
        """Tickets of the last commit, and those queued behind it: who may come back."""
        self._gathered: threading.Lock | None = None
        """Released when as many are queued as the leader waits for."""
        self._pause = self._pauses = 0
        """Commits to go without waiting, and how many it was the last time."""
        self._own = threading.Thread(target=self._run, name="svf-writer", daemon=True)

    def start(self) -> None:
        """Start the group's own thread; before that nothing may be recorded."""
        self._own.start()

    @property
    def waiting(self) -> int:
        """Tickets queued at this moment."""
        return len(self._queue)

    def queue(self, ticket: Ticket) -> None:
        """Put `ticket` in the queue, under `lock`; `finish` must follow without it."""
        self._queue.append(ticket)
        if self._gathered is not None and len(self._queue) >= self._expected:
            self._gathered.release()
            self._gathered = None
        if not self._busy:
            if ticket.apart:
                self._wake.notify()
            else:
                self._busy = ticket.leads = True

    def finish(self, ticket: Ticket) -> None:
        """Wait until `ticket` is durable or has failed; lead when it is its turn."""
        if not ticket.leads:
            ticket.wait()
        if ticket.leads:
            self._lead(ticket)

    def close(self) -> None:
        """Wait until all that is queued is committed, and end the group's own thread. A second call is silent."""
        with self.lock:
            self._closed = True
            self._wake.notify()
        if self._own.is_alive():
            self._own.join()

    def _run(self) -> None:
        """The group's own thread: leads when nobody else may, until the group is closed and nothing is queued."""
        while True:
            with self.lock:
                while self._busy or not self._queue:
                    if self._closed and not self._busy:
                        return
                    self._wake.wait()
                self._busy = True
            self._lead(None)

    def _lead(self, own: Ticket | None) -> None:
        """Commit all that is queued, wake those who wait for it, hand on."""
        self._gather()
        with self.lock:
            tickets, self._queue = self._queue, []
        error = self._commit(tickets)
        with self.lock:
            self._expected = len(tickets) + len(self._queue)
            following = next((ticket for ticket in self._queue if not ticket.apart), None)
            if following is None:
                self._busy = False
                if self._queue or self._closed:
                    self._wake.notify()
        first: Ticket | None = None
        for ticket in reversed(tickets):
            ticket.error = error
            if ticket is own:
                ticket.done = True
            elif ticket.apart:
                ticket.done = True
                ticket.turn.release()
            else:
                ticket.follower, first = first, ticket
        if first is not None:
            self._wake_chain(first)
        # The next leader is told last: what the others record meanwhile shares its sync.
        if following is not None:
            following.leads = True
            following.turn.release()

    def _gather(self) -> None:
        """Wait until those who may come back have come, or `GATHER_S` are over."""
        with self.lock:
            if len(self._queue) >= self._expected:
                return
            if self._pause:
                self._pause -= 1
                return
            gathered = self._gathered = threading.Lock()
            gathered.acquire()
        if gathered.acquire(timeout=GATHER_S):
            self._pauses = 0
        else:
            self._gathered = None
            self._pause = self._pauses = min(MAX_PAUSE, 2 * self._pauses + 1)

    @staticmethod
    def _wake_chain(first: Ticket) -> None:
        ticket: Ticket | None = first
        while ticket is not None:
            following, ticket.done = ticket.follower, True
            ticket = following
        first.turn.release()

"""Group commit by itself: who is told, in what order, and that nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from executor.errors import AuditError
from executor.svf.group import Group, Ticket

DEADLINE_S = 60


class Disk:
    """A commit that can be held back, and that fails from `fails_at` on."""

    def __init__(self, fails_at: int = 1 << 30) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.began = threading.Event()
        self._fails_at = fails_at

    def commit(self, tickets: Sequence[Ticket]) -> AuditError | None:
        self.began.set()
        assert self.gate.wait(DEADLINE_S)
        self.batches.append(len(tickets))
        return AuditError("no disk") if len(self.batches) >= self._fails_at else None


def record(group: Group) -> AuditError | None:
    ticket = Ticket([], [])
    with group.lock:
        group.queue(ticket)
    group.finish(ticket)
    assert ticket.done
    return ticket.error


def all_at_once(group: Group, disk: Disk, count: int) -> list[AuditError | None]:
    """One thread whose commit is held back, and `count` that queue up behind it; what each was told."""
    told: list[AuditError | None] = []
    threads = [threading.Thread(target=lambda: told.append(record(group))) for _ in range(count + 1)]
    threads[0].start()
    assert disk.began.wait(DEADLINE_S)
    for thread in threads[1:]:
        thread.start()
    while group.waiting < count:
        threads[-1].join(0.001)
    disk.gate.set()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    return told


def test_all_that_wait_share_the_next_commit_and_each_is_told() -> None:
    """One commit for the first, one for the twenty that queued up meanwhile; all twenty-one wake."""
    disk = Disk()
    group = Group(disk.commit)
    group.start()
    assert all_at_once(group, disk, 20) == [None] * 21
    assert disk.batches == [1, 20]
    group.close()
    group.close()


def test_a_failed_commit_is_told_to_everyone_in_it() -> None:
    """The second commit fails: the first thread's record is good, each of the others gets the error, nobody hangs."""
    disk = Disk(fails_at=2)
    group = Group(disk.commit)
    group.start()
    told = all_at_once(group, disk, 20)
    assert told.count(None) == 1
    assert [str(error) for error in told if error is not None] == ["no disk"] * 20
    group.close()


def test_the_main_thread_waits_but_never_leads() -> None:
    """What the main thread records is committed by another thread, alone or among others; closing waits for it."""
    leaders: list[int | None] = []
    disk = Disk()
    disk.gate.set()

    def commit(tickets: Sequence[Ticket]) -> AuditError | None:
        leaders.append(threading.current_thread().ident)
        return disk.commit(tickets)

    group = Group(commit)
    group.start()
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            record(group)

    others = [threading.Thread(target=go_on) for _ in range(3)]
    assert record(group) is None
    for thread in others:
        thread.start()
    for _ in range(200):
        assert record(group) is None
    stop.set()
    for thread in others:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    group.close()
    assert threading.main_thread().ident not in leaders
    assert len(leaders) >= 2

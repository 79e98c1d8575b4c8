"""The one writer of an audit trail. An event is on the disk before `emit` returns, several before `emit_all` does.

Threads that emit at the same time share one fsync (`executor.svf.group`).

What the writer promises:

1. one writer at a time, over all processes (flock); the next one is told so,
2. sequence numbers have no gaps, moments never go back, and every record names its predecessor's hash,
3. the signed head is rewritten after the records are durable and before anybody is told that they are,
4. room for `RESERVE` bytes is taken ahead of time: when the disk is full new work is refused (`NEW_WORK`), and what is
   running can still be recorded to its end,
5. after a failed write or fsync nothing is accepted any more: what the disk holds is then unknown,
6. a line torn by a crash is cut when the log is opened again, and the cut is recorded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from executor.clock import parse_rfc3339, rfc3339
from executor.errors import AuditError, DamagedAuditError, InvalidInputError, MisuseError
from executor.keys.atomic import sync_folder
from executor.svf.catalogue import EventType, event_type
from executor.svf.event import Event, draft
from executor.svf.files import LogFile, file_of, reserve
from executor.svf.group import Group, Ticket
from executor.svf.head import HEAD_NAME, Head, read_head, write_in_place
from executor.svf.recover import Tail, read_tail

if TYPE_CHECKING:
    from executor.clock import Clock
    from executor.keys import Signer

FILE_BYTES: Final = 16 * 1024 * 1024
"""A file is closed and sealed beyond this: about 35,000 records, checked again whole when the log is opened."""
RESERVE: Final = 1024 * 1024
"""Bytes kept ready for what is running: some 2,000 records."""
STEP: Final = 4 * 1024 * 1024
"""Bytes taken from the disk at a time."""
NEW_WORK: Final = frozenset({"intent_event.SUBMITTED"})
"""Events that begin something; refused when the reserve is gone."""
_SECOND: Final = 1_000_000_000


class Emission(NamedTuple):
    """An event as its emitter knows it."""

    kind: str
    actor: str
    ids: Mapping[str, str]
    """All six of them, empty where not known."""
    data: Mapping[str, Any]
    at_ns: int = 0
    """When it was emitted, where that is not now: in nanoseconds since the epoch."""


class SvfLog:
    """An open audit trail. Made by `open`; closing always releases, and a second close is silent."""

    def __init__(self, directory: Path, clock: Clock, signer: Signer | None, file_bytes: int) -> None:
        """Not to be called: `SvfLog.open` checks what is there."""
        self._directory = directory
        self._clock = clock
        self._signer = signer
        self._file_bytes = file_bytes
        self._group = Group(self._commit)
        self._mutex = self._group.lock
        self._closed = False
        self._failed: AuditError | None = None
        self._short = False
        self._ts = ""
        self._ts_ns = 0
        self._second, self._stem = -1, ""
        self._counts = {"events": 0, "commits": 0, "bytes": 0, "largest_commit": 0, "refused": 0, "files": 0}
        self._lock_fd = self._head_fd = self._fd = -1
        self._file: LogFile
        self._size = self._taken = 0
        self._head: Head
        self._seq = 0
        self._hash = ""

    @classmethod
    def open(
        cls, directory: Path, clock: Clock, signer: Signer | None = None, *, file_bytes: int = FILE_BYTES
    ) -> SvfLog:
        """Open or begin the trail in `directory`.

        Raises `AuditError` when another writer has it, when it cannot be written, or when its end is damaged: a writer
        does not go on behind a damaged record (`cordon svf verify` says what is wrong).
        """
        log = cls(directory, clock, signer, file_bytes)
        try:
            log._start()
        except OSError as error:
            log._release()
            raise AuditError(f"cannot open the audit trail {directory}: {error.strerror}") from error
        except BaseException:
            log._release()
            raise
        return log

    def emit(  # noqa: PLR0913 - a record has this many fields
        self,
        kind: str,
        actor: str,
        *,
        intent_id: str = "",
        lease_id: str = "",
        task_id: str = "",
        vm_id: str = "",
        engine: str = "",
        policy_digest: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Record one event; it is durable when this returns.

        Raises `MisuseError` for an event that does not fit the catalogue, `AuditError` when it could not be recorded.
        """
        ids = {
            "intent_id": intent_id,
            "lease_id": lease_id,
            "task_id": task_id,
            "vm_id": vm_id,
            "engine": engine,
            "policy_digest": policy_digest,
        }
        return self.emit_all([Emission(kind, actor, ids, data or {})])[0]

    def emit_all(self, emissions: Sequence[Emission]) -> list[Event]:
        """Record events that follow each other without anything in between: in this order, by one write and one sync.

        All of them are durable when this returns. Raises as `emit`; then none of them counts as recorded.
        """
        if not emissions:
            return []
        ticket = self._queued(emissions)
        self._group.finish(ticket)
        return _events(emissions, ticket)

    def _queued(self, emissions: Sequence[Emission]) -> Ticket:
        drafts, moments, begins, now_ns = [], [], False, self._clock.now_ns()
        for kind, actor, ids, data, at_ns in emissions:
            _check(event_type(kind), actor, ids, data)
            drafts.append(draft(kind, actor, data=data, **ids))
            moments.append(at_ns or now_ns)
            begins |= kind in NEW_WORK
        ticket = Ticket(drafts, moments)
        with self._mutex:
            self._check_open()
            if begins:
                self._check_room()
            self._group.queue(ticket)
        return ticket

    def ensure_room(self) -> None:
        """Raises `AuditError` when new work must not be accepted: asked before an intent is taken."""
        with self._mutex:
            self._check_open()
            self._check_room()

    def statistics(self) -> dict[str, Any]:
        """Counters since it was opened, and gauges."""
        with self._mutex:
            return {
                **self._counts,
                "seq": self._seq,
                "waiting": self._group.waiting,
                "short_of_space": self._short,
                "failed": self._failed is not None,
            }

    def close(self) -> None:
        """Wait for what is being written, sync the head, release the lock. A second call is silent."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        try:
            self._group.close()
            if self._failed is None:
                os.ftruncate(self._fd, self._size)  # gives back what was reserved beyond the end
                os.fsync(self._fd)
                os.fsync(self._head_fd)
        except OSError as error:
            raise AuditError(f"cannot close the audit trail: {error.strerror}") from error
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- under the mutex -----------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._failed is not None:
            raise AuditError(str(self._failed)) from self._failed
        if self._closed:
            raise AuditError("the audit trail is closed")

    def _check_room(self) -> None:
        if self._short:
            self._short = not reserve(self._fd, self._taken, STEP)
            if not self._short:
                self._taken += STEP
        if self._short:
            self._counts["refused"] += 1
            raise AuditError(
                f"no space left for the audit trail in {self._directory}; new work is refused until there is"
            )

    # --- one leader at a time ------------------------------------------------------------------------------------

    def _commit(self, tickets: Sequence[Ticket]) -> AuditError | None:
        """Chain, write, sync, sign; why it failed, or None. After a failure nothing is written any more."""
        if self._failed is None:
            try:
                lines = self._place(tickets)
                first = self._head.first or tickets[0].placed[0][3]
                self._write(lines, Head("head", self._head.log_id, first, self._seq, self._hash))
            except OSError as failure:
                self._failed = AuditError(f"the audit trail cannot be written: {failure.strerror}")
            except Exception as failure:  # noqa: BLE001 - nobody may wait for ever: what is left undone is an error for all
                self._failed = AuditError(f"the audit trail cannot be written: {failure}")
        return self._failed

    def _place(self, tickets: Sequence[Ticket]) -> list[str]:
        """Give the tickets' records their places in the chain; their lines."""
        seq, prev, lines = self._seq, self._hash, []
        for ticket in tickets:
            for made, at_ns in zip(ticket.drafts, ticket.moments, strict=True):
                seq += 1
                ts = self._moment(at_ns)
                digest, line = made.place(seq, ts, prev)
                ticket.placed.append((seq, ts, prev, digest))
                lines.append(line)
                prev = digest
        self._seq, self._hash = seq, prev
        return lines

    def _moment(self, now_ns: int) -> str:
        """When it was emitted, and never before the last record."""
        if now_ns > self._ts_ns:
            self._ts_ns = now_ns
            second = now_ns // _SECOND
            if second != self._second:
                self._second, self._stem = second, rfc3339(now_ns)[:-7]
            self._ts = f"{self._stem}{now_ns % _SECOND // 1000:06d}Z"
        return self._ts

    def _write(self, lines: list[str], head: Head) -> None:
        block = "\n".join([*lines, ""]).encode()
        with self._mutex:  # against _check_room, which takes room too
            if self._size and self._size + len(block) > self._file_bytes:
                self._rotate(head.seq - len(lines))
            self._make_room(len(block))
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
            os.fdatasync(self._fd)
        except OSError:
            # Whole records that were not acknowledged are better gone than half of one left behind.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(block)
        signed = head.signed(self._signer)
        write_in_place(self._head_fd, signed)
        self._head = signed
        counts = self._counts
        counts["events"] += len(lines)
        counts["commits"] += 1
        counts["bytes"] += len(block)
        counts["largest_commit"] = max(counts["largest_commit"], len(lines))

    def _make_room(self, length: int) -> None:
        """Keep `RESERVE` bytes taken beyond what is about to be written."""
        if self._size + length + RESERVE > self._taken and not self._short:
            step = STEP + length
            if reserve(self._fd, self._taken, step):
                self._taken += step
            else:
                self._short = True

    def _rotate(self, last_seq: int) -> None:
        """Go on in a new file, if the disk has room for its reserve; else stay in this one."""
        following = file_of(self._directory, last_seq + 1)
        descriptor = os.open(following.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if not reserve(descriptor, 0, STEP):
            os.close(descriptor)
            following.path.unlink()
            self._short = True
            return
        seal = Head("seal", self._head.log_id, self._head.first, self._head.seq, self._head.hash).signed(self._signer)
        self._file.seal.write_bytes(seal.document())
        os.ftruncate(self._fd, self._size)
        os.fsync(self._fd)
        os.close(self._fd)
        self._file, self._fd, self._size, self._taken = following, descriptor, 0, STEP
        self._counts["files"] += 1
        sync_folder(self._directory)

    # --- opening -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_fd = os.open(self._directory / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AuditError(
                f"the audit trail {self._directory} has a writer already; stop it, or use another state folder"
            ) from None
        try:
            head = read_head(self._directory, None)
            tail = read_tail(self._directory, head)
        except DamagedAuditError as damage:
            raise AuditError(f"the audit trail is damaged ({damage.kind} at {damage.seq}): {damage}") from damage
        self._open_head(head)
        self._open_file(tail)
        self._group.start()
        if tail.cut or tail.unsigned:
            self._adopt(tail)

    def _open_head(self, head: Head | None) -> None:
        path = self._directory / HEAD_NAME
        fresh = head is None
        self._head_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._head = head or Head.empty(secrets.token_hex(16)).signed(self._signer)
        if fresh:
            write_in_place(self._head_fd, self._head)
            os.fsync(self._head_fd)
            sync_folder(self._directory)

    def _open_file(self, tail: Tail) -> None:
        self._seq, self._hash = tail.seq or 0, tail.hash or self._head.hash
        self._ts, self._ts_ns = tail.ts, parse_rfc3339(tail.ts) if tail.ts else 0
        self._file = tail.file or file_of(self._directory, 1)
        self._fd = os.open(
            self._file.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._size = self._taken = tail.size
        self._counts["files"] = 1
        if tail.cut:
            os.ftruncate(self._fd, tail.size)
            os.fsync(self._fd)
        if tail.first and not self._head.first:  # the crash came before the first head
            self._head = Head("head", self._head.log_id, tail.first, self._head.seq, self._head.hash)
        sync_folder(self._directory)
        self._make_room(0)

    def _adopt(self, tail: Tail) -> None:
        """Say in the trail itself what a crash left of it: records the head did not vouch for, bytes that were cut."""
        self.emit(
            "control_event.RESUMED",
            "cp20",
            data={
                "cause": "audit_recovered",
                "cut_bytes": len(tail.cut),
                "cut_sha256": hashlib.sha256(tail.cut).hexdigest() if tail.cut else "",
                "unsigned": tail.unsigned,
            },
        )

    def _release(self) -> None:
        self._closed = True
        self._group.close()
        for descriptor in (self._fd, self._head_fd, self._lock_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._head_fd = self._lock_fd = -1


def _events(emissions: Sequence[Emission], ticket: Ticket) -> list[Event]:
    """What was recorded; raises `AuditError` when it was not."""
    if ticket.error is not None:
        raise AuditError(str(ticket.error)) from ticket.error
    return [
        Event(seq, ts, kind, actor, data=dict(data), prev=prev, hash=digest, **ids)
        for (kind, actor, ids, data, _), (seq, ts, prev, digest) in zip(emissions, ticket.placed, strict=True)
    ]


def _check(known: EventType, actor: str, ids: Mapping[str, str], data: Mapping[str, Any]) -> None:
    if not known.anybody and actor not in known.actors:
        raise MisuseError(f"{known.name} is recorded by {', '.join(sorted(known.actors))}, not by {actor!r:.100}")
    for name in known.needs:
        if not ids[name]:
            raise MisuseError(f"{known.name} needs {name}")
    if data and not known.fits(data):
        raise InvalidInputError(f"{known.name}: {known.explain(data)}")
    if not data and known.data_schema.get("required"):
        raise InvalidInputError(f"{known.name}: data needs {', '.join(known.data_schema['required'])}")

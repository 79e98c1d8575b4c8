"""The registry of leases: SQLite in WAL mode, one file, many processes.

What must not be lost to a power cut is written with `synchronous=FULL`: a use and a revocation; a use that is taken
before anything rests on it by `settle`. An issue is not: a lease whose row was lost is unknown, and so refused.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from executor.errors import LeaseRefusedError, MisuseError, OutOfDiskError, OutsideError, outside
from executor.lease.document import Lease
from executor.lease.record import LeaseRecord
from executor.lease.watch import Revocation

BUSY_S: Final = 5.0
"""Seconds to wait for another process's write."""
_VERSION: Final = 1
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS lease (
    lease_id TEXT PRIMARY KEY, intent_id TEXT NOT NULL, requester TEXT NOT NULL, phase TEXT NOT NULL,
    task_id TEXT NOT NULL, digest TEXT NOT NULL, content_digest TEXT NOT NULL, document BLOB NOT NULL,
    issued_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,
    uses INTEGER NOT NULL, used INTEGER NOT NULL, used_ns INTEGER NOT NULL,
    revoked_ns INTEGER NOT NULL, revoked_by TEXT NOT NULL, revoked_why TEXT NOT NULL,
    renews TEXT NOT NULL, renewals INTEGER NOT NULL, announced INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lease_by_expiry ON lease (expires_ns);
CREATE INDEX IF NOT EXISTS lease_by_intent ON lease (intent_id);
"""
_NAMES: Final = tuple(LeaseRecord.__dataclass_fields__)
_COLUMNS: Final = ", ".join(_NAMES)


class Registry:
    """Rows of leases. Every method is one transaction; threads share one connection under a lock."""

    def __init__(self, path: Path) -> None:
        """Open or create the database at `path` (0600)."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._db.executescript(_TABLE)
                self._db.execute(f"PRAGMA user_version={_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise OutsideError(f"cannot open the lease registry {path}: {error}") from error
        self._lock = threading.Lock()
        self._log = Path(f"{path}-wal")
        self._owed = False
        """Whether a use is in the write-ahead log that was not synced."""
        self._lost = ""
        """Why a sync failed: what the disk holds is unknown from then on, and a later sync would not tell."""

    def close(self) -> None:
        """Release the file; a second call is silent."""
        with self._lock:
            self._db.close()

    def add(
        self,
        lease: Lease,
        *,
        document: bytes,
        digest: str,
        issued_ns: int,
        content_digest: str,
        renews: LeaseRecord | None,
    ) -> None:
        """Remember an issued lease, with its `document` and `digest`; the one it renews is revoked at the same time."""
        with self._writing(durable=False) as db:
            if renews is not None:
                self._revoke(db, renews.lease_id, issued_ns, lease.issued_by, f"superseded by {lease.lease_id}")
            row = LeaseRecord(
                lease_id=lease.lease_id,
                intent_id=lease.intent_id,
                requester=lease.issued_to,
                phase=lease.phase,
                task_id=lease.task_id,
                digest=digest,
                content_digest=content_digest,
                document=document,
                issued_ns=issued_ns,
                expires_ns=lease.expires_ns(),
                uses=lease.uses,
                used=0,
                used_ns=0,
                revoked_ns=0,
                revoked_by="",
                revoked_why="",
                renews=renews.lease_id if renews else "",
                renewals=renews.renewals + 1 if renews else 0,
                announced=False,
            )
            values = tuple(getattr(row, name) for name in LeaseRecord.__dataclass_fields__)
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO lease ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608 - constants of this file

    def find(self, lease_id: str) -> LeaseRecord | None:
        """The row of `lease_id`, or None."""
        rows = self._select("WHERE lease_id = ?", (lease_id,))
        return rows[0] if rows else None

    def latest(self, *, intent_id: str = "", limit: int = 100) -> list[LeaseRecord]:
        """The latest leases, newest first; of one intent where `intent_id` is given."""
        return self._select(
            "WHERE (? = '' OR intent_id = ?) ORDER BY issued_ns DESC, lease_id LIMIT ?", (intent_id, intent_id, limit)
        )

    def replace_document(self, lease: Lease, old: bytes) -> bool:
        """Store `lease` with one more cosigner in place of `old`; False when that is no longer what is stored."""
        with self._writing(durable=False) as db:
            done = db.execute(
                "UPDATE lease SET document = ? WHERE lease_id = ? AND digest = ? AND document = ?",
                (lease.document(), lease.lease_id, lease.digest(), old),
            )
            return done.rowcount == 1

    def consume(self, lease_id: str, *, task_id: str, now_ns: int, settled: bool = True) -> None:
        """Take one use, atomically; raises `LeaseRefusedError` when there is none left (or no longer).

        With `settled` False it counts for everybody at once, and survives a power cut from `settle` on.
        """
        with self._writing(durable=settled) as db:
            done = db.execute(
                """UPDATE lease SET used = used + 1, used_ns = ?, task_id = CASE task_id WHEN '' THEN ? ELSE task_id END
                   WHERE lease_id = ? AND used < uses AND revoked_ns = 0 AND expires_ns > ?
                   AND (task_id = '' OR ? = '' OR task_id = ?)""",
                (now_ns, task_id, lease_id, now_ns, task_id, task_id),
            )
            taken = done.rowcount == 1
            self._owed |= taken and not settled
        if not taken:
            raise self._why_not(lease_id, now_ns)

    def settle(self) -> None:
        """Have every use that was taken survive a power cut; to be called before anything is done with it.

        What `synchronous=FULL` does at a commit, done later: SQLite appends to this file, and locks other ones, so that
        a descriptor more on it disturbs nobody. Raises `OutsideError`, from the first failure on for good.
        """
        with self._lock:
            if self._lost:
                raise OutsideError(f"{self._lost}; start the executor anew when that disk is in order")
            if not self._owed:
                return
            try:
                descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                failed = outside("the lease registry cannot be synced", error)
                self._lost = str(failed)
                raise failed from error
            self._owed = False

    def revoke(self, lease_id: str, *, by: str, why: str, now_ns: int) -> LeaseRecord:
        """Revoke for good; raises `MisuseError` when it is unknown or revoked already."""
        with self._writing(durable=True) as db:
            done = self._revoke(db, lease_id, now_ns, by, why)
        record = self.find(lease_id)
        if record is None:
            raise MisuseError(f"no lease {lease_id}; `cordon lease list` shows them")
        if not done:
            raise MisuseError(f"{lease_id} was revoked already, by {record.revoked_by}: {record.revoked_why}")
        return record

    def revocations(self, lease_ids: Iterable[str]) -> dict[str, Revocation]:
        """Which of `lease_ids` are revoked, and why: for the watch over running tasks."""
        wanted = list(lease_ids)
        marks = ", ".join("?" * len(wanted))
        found = self._select(f"WHERE revoked_ns > 0 AND lease_id IN ({marks})", tuple(wanted)) if wanted else []
        return {row.lease_id: Revocation(row.revoked_by, row.revoked_why, row.revoked_ns) for row in found}

    def unannounced(self, now_ns: int) -> list[LeaseRecord]:
        """Revoked and unused expired leases whose end is not in the audit trail yet; whoever writes it records them."""
        return self._select(
            "WHERE announced = 0 AND (revoked_ns > 0 OR (expires_ns <= ? AND used = 0)) ORDER BY issued_ns", (now_ns,)
        )

    def mark_announced(self, lease_id: str) -> None:
        """The end of `lease_id` is in the audit trail."""
        with self._writing(durable=False) as db:
            db.execute("UPDATE lease SET announced = 1 WHERE lease_id = ?", (lease_id,))

    def _why_not(self, lease_id: str, now_ns: int) -> LeaseRefusedError:
        record = self.find(lease_id)
        if record is None:
            return LeaseRefusedError("lease.unknown", f"the registry never issued {lease_id}")
        state = record.state(now_ns)
        if state == "revoked":
            return LeaseRefusedError(
                "lease.revoked", f"the lease was revoked by {record.revoked_by}: {record.revoked_why}"
            )
        if state == "expired":
            return LeaseRefusedError("lease.expired", "the lease has expired")
        if state == "used":
            return LeaseRefusedError("lease.replayed", f"the lease has been used by {record.task_id} already")
        return LeaseRefusedError("lease.wrong_task", f"the lease is for task {record.task_id}")

    @staticmethod
    def _revoke(db: sqlite3.Connection, lease_id: str, now_ns: int, by: str, why: str) -> bool:
        done = db.execute(
            "UPDATE lease SET revoked_ns = ?, revoked_by = ?, revoked_why = ? WHERE lease_id = ? AND revoked_ns = 0",
            (now_ns, by, why, lease_id),
        )
        return done.rowcount == 1

    def _select(self, where: str, values: tuple[Any, ...]) -> list[LeaseRecord]:
        try:
            with self._lock:
                rows = self._db.execute(f"SELECT {_COLUMNS} FROM lease {where}", values).fetchall()  # noqa: S608 - `where` is a constant of this file
        except sqlite3.Error as error:
            raise OutsideError(f"the lease registry cannot be read: {error}") from error
        return [LeaseRecord(**{**dict(zip(_NAMES, row, strict=True)), "announced": bool(row[-1])}) for row in rows]

    @contextmanager
    def _writing(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                        self._db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
            raise (OutOfDiskError if full else OutsideError)(
                f"the lease registry cannot be written: {error}"
            ) from error

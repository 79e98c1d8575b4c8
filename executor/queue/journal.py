"""What was queued and what was running, so that the next start can say so: one line of JSON per change.

    {"op":"queued","task":...,"intent":...,"requester":...,"priority":...,"phase":...}   {"op":"taken","task":...}
    {"op":"ended","task":...}   {"op":"seen","intents":[...]}

The last kind is written when the file is begun anew: ids that were used, so that none is taken twice after a restart.
A line is in the kernel's hands when `add` returns: it survives `kill -9` of this process. It is not synced, so a power
loss may take the last lines; nothing that ran is lost then either, because the audit trail has it. The file is begun
anew at every start, after what it held was read.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from executor import canonical
from executor.errors import InvalidInputError, OutsideError, outside

NAME: Final = "queue.journal"
MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes after which the journal is rewritten with only what is still open: some 200,000 tasks."""
MAX_SEEN: Final = 100_000
"""Intent ids remembered, so that one is not taken twice, over restarts too."""
SEEN_PER_LINE: Final = 1000


@dataclass(frozen=True, slots=True)
class Leftover:
    """A task that had not ended when the executor died."""

    task_id: str
    intent_id: str
    requester: str
    priority: str
    phase: str = "staging"
    state: Literal["queued", "taken"] = "queued"


class Journal:
    """The open journal of one service. Thread-safe; closing twice is silent."""

    def __init__(self, folder: Path) -> None:
        """Begin a new journal in `folder`; what an earlier one left open is in `leftovers`. Raises `OutsideError`."""
        self._path = folder / NAME
        self._lock = threading.Lock()
        self._open: dict[str, Leftover] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._fd = -1
        self._size = 0
        self._torn = False
        """Whether the last line is a part of one."""
        try:
            self.leftovers, self.unreadable = read(self._path)
            self._remember(*read_seen(self._path))
            # Until each is told to have ended they stay in the new file: this start may be killed as well.
            self._open = {task.task_id: task for task in self.leftovers}
            self._begin()
        except OSError as error:
            raise OutsideError(f"the queue journal {self._path} cannot be kept: {error.strerror}") from error

    @property
    def seen(self) -> tuple[str, ...]:
        """Intent ids that were taken once, the latest `MAX_SEEN`, oldest first."""
        with self._lock:
            return tuple(self._seen)

    def queued(self, task: Leftover) -> None:
        """`task` waits."""
        self._add(task.task_id, task, _queued(task))

    def taken(self, task_id: str) -> None:
        """The task's turn has come."""
        with self._lock:
            task = self._open.get(task_id)
        if task is not None:
            self._add(task_id, replace(task, state="taken"), {"op": "taken", "task": task_id})

    def ended(self, task_id: str) -> None:
        """The task has ended, one way or another, and that is on record."""
        self._add(task_id, None, {"op": "ended", "task": task_id})

    def close(self) -> None:
        """Release the file; what is open stays written in it."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _add(self, task_id: str, task: Leftover | None, line: Mapping[str, str]) -> None:
        data = _line(line)
        with self._lock:
            if task is None:
                self._open.pop(task_id, None)
            else:
                self._open[task_id] = task
                self._remember(task.intent_id)
            if self._fd < 0:
                return
            try:
                self._write(data)
                if self._size > MAX_BYTES:
                    self._begin()
            except OSError as error:
                if line["op"] == "queued":  # whoever is told refuses it
                    self._open.pop(task_id, None)
                raise outside("the queue journal cannot be written", error) from error

    def _remember(self, *intent_ids: str) -> None:
        for intent_id in intent_ids:
            self._seen[intent_id] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def _write(self, data: bytes) -> None:
        """Add a line. A full disk takes a part of one: the next line then begins on a line of its own."""
        line = b"\n" + data if self._torn else data
        written = os.write(self._fd, line)
        self._size += written
        self._torn = written < len(line)
        _whole(written, line)

    def _begin(self) -> None:
        """A new file with what is open now, in place of the old one in one step; where it fails the old one goes on."""
        staging = self._path.with_name(f".{NAME}.new")
        staging.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(staging, flags, 0o600)
        content = b"".join(self._lines())
        try:
            _whole(os.write(descriptor, content), content)
            staging.replace(self._path)
        except OSError:
            os.close(descriptor)
            staging.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size, self._torn = descriptor, len(content), False

    def _lines(self) -> Iterator[bytes]:
        """What a file has to say now."""
        used = list(self._seen)
        for at in range(0, len(used), SEEN_PER_LINE):
            yield _line({"op": "seen", "intents": used[at : at + SEEN_PER_LINE]})
        for task in self._open.values():
            yield _line(_queued(task))
            if task.state == "taken":
                yield _line({"op": "taken", "task": task.task_id})


def read(path: Path) -> tuple[tuple[Leftover, ...], int]:
    """What the journal at `path` says is open, in the order it came, and how many of its lines say nothing.

    A line torn by a crash counts among the latter, and so does one somebody made up: the journal is a help for closing
    what is open, not evidence.
    """
    found: dict[str, Leftover] = {}
    unreadable = 0
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return (), 0
    for line in filter(None, lines):
        try:
            raw = canonical.loads(line, where="journal")
            _apply(raw, found)
        except (InvalidInputError, KeyError, TypeError, AttributeError):
            unreadable += 1
    return tuple(found.values()), unreadable


def read_seen(path: Path) -> list[str]:
    """Every intent id the journal at `path` tells of, in the order it came; lines that say nothing are passed over."""
    found: list[str] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    for line in filter(None, lines):
        try:
            raw = canonical.loads(line, where="journal")
            told = raw["intents"] if raw["op"] == "seen" else [raw["intent"]]
            found += [name for name in told if isinstance(name, str)]
        except (InvalidInputError, KeyError, TypeError, AttributeError):
            continue
    return found


def _whole(written: int, data: bytes) -> None:
    """A regular file takes less than it is given only where its disk is full."""
    if written < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(change: Mapping[str, Any]) -> bytes:
    """Plain JSON: nothing here is signed, and the canonical form takes three times as long at the door."""
    return json.dumps(change).encode() + b"\n"


def _queued(task: Leftover) -> dict[str, str]:
    return {
        "op": "queued",
        "task": task.task_id,
        "intent": task.intent_id,
        "requester": task.requester,
        "priority": task.priority,
        "phase": task.phase,
    }


def _apply(raw: Mapping[str, Any], found: dict[str, Leftover]) -> None:
    if raw["op"] == "seen":
        if not isinstance(raw["intents"], list):
            raise TypeError("intents")
        return
    task_id = _text(raw, "task")
    match raw["op"]:
        case "queued":
            found[task_id] = Leftover(
                task_id=task_id,
                intent_id=_text(raw, "intent"),
                requester=_text(raw, "requester"),
                priority=_text(raw, "priority"),
                phase=_text(raw, "phase"),
            )
        case "taken":
            found[task_id] = replace(found[task_id], state="taken")
        case "ended":
            found.pop(task_id, None)
        case _:
            raise KeyError("op")


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value

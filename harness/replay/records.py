"""Recorded decisions as a stream: SVF trails, OPA decision logs, or plain JSON lines. Never more than a line at a time.

A line is one of

- an SVF event; `policy_event.DECIDED` holds `data.input` and `data.decision`, every other type is passed over;
- `{"input": ..., "decision": ...}`, `result` in place of `decision` as OPA's own decision logs write it;
- a bare policy input (`"schema": "cordon.input/..."`).

What is none of these is unreadable: it is counted and shown, because a flip may hide in it.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, cast

from executor.errors import InvalidInputError

DECIDED: Final = "policy_event.DECIDED"
MAX_LINE: Final = 4 * 1024 * 1024
"""Bytes of one line; an SVF record is at most 128 KiB."""
MAX_SHOWN: Final = 10
"""Unreadable lines that are kept to be shown; all are counted."""
STDIN: Final = "-"

Lack = Literal["too_long", "malformed", "unreadable"]


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded decision; `decision` is None when only the input was recorded."""

    where: str
    """`file:line`."""
    input: dict[str, Any]
    decision: dict[str, Any] | None

    @property
    def actor(self) -> str:
        """Who asked."""
        return _text(self.input, "requester")

    @property
    def intent_id(self) -> str:
        """Which intent."""
        return _text(self.input, "id")


@dataclass(slots=True)
class Intake:
    """What was read, and what could not be used.

    `too_long` inputs were recorded as a digest only, `malformed` ones never had a decision, `unreadable` lines are none
    of the forms above.
    """

    lines: int = 0
    rows: int = 0
    lacking: dict[Lack, int] = field(default_factory=lambda: {"too_long": 0, "malformed": 0, "unreadable": 0})
    shown: list[str] = field(default_factory=list)

    def miss(self, kind: Lack, where: str, why: str) -> None:
        """Count a line that cannot be replayed; the first unreadable ones are kept."""
        self.lacking[kind] += 1
        if kind == "unreadable" and len(self.shown) < MAX_SHOWN:
            self.shown.append(f"{where}: {why}")


def _text(document: dict[str, Any], name: str) -> str:
    intent = document.get("intent")
    value = intent.get(name) if isinstance(intent, dict) else None
    return value if isinstance(value, str) else "?"


def read_rows(names: Iterable[str], intake: Intake) -> Iterator[Row]:
    """The recorded decisions in the files and directories `names` (`-`: standard input), in order."""
    for label, stream in _streams(names):
        with stream:
            yield from _rows(label, stream, intake)


def _streams(names: Iterable[str]) -> Iterator[tuple[str, BinaryIO]]:
    for name in names:
        if name == STDIN:
            yield "stdin", sys.stdin.buffer
            continue
        for path in log_paths(Path(name)):
            yield str(path), _open(path)


def _open(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where its name ends in .gz; the caller closes it."""
    try:
        stream: Any = gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    return cast("BinaryIO", stream)


def log_paths(path: Path) -> list[Path]:
    """`path`, or the `.jsonl` files of a directory in order of their names: SVF's are named by sequence number."""
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")])
    if not found:
        raise InvalidInputError(f"{path}: no .jsonl files here")
    return found


def _rows(label: str, stream: BinaryIO, intake: Intake) -> Iterator[Row]:
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        intake.lines += 1
        where = f"{label}:{number}"
        if len(line) > MAX_LINE:
            intake.miss("unreadable", where, f"longer than {MAX_LINE} bytes")
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            continue
        # Most of a trail are other events: told apart without parsing them.
        if not line.strip() or (b'"prev":' in line and DECIDED.encode() not in line):
            continue
        row = _row(where, line, intake)
        if row is not None:
            intake.rows += 1
            yield row


def _row(where: str, line: bytes, intake: Intake) -> Row | None:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        intake.miss("unreadable", where, "not JSON")
        return None
    if not isinstance(raw, dict):
        intake.miss("unreadable", where, "not an object")
        return None
    if "type" in raw and isinstance(raw.get("data"), dict):
        if raw["type"] != DECIDED:
            return None
        raw = raw["data"]
    if "input" in raw:
        document, decision = raw["input"], raw.get("decision", raw.get("result"))
    else:
        document, decision = raw, None
    return _checked(where, document, decision, intake)


def _checked(where: str, document: Any, decision: Any, intake: Intake) -> Row | None:
    if isinstance(document, dict) and "too_long" in document:
        intake.miss("too_long", where, "")
    elif not isinstance(document, dict) or "intent" not in document:
        intake.miss("unreadable", where, "holds no policy input")
    elif decision is None:
        return Row(where, document, None)
    elif not isinstance(decision, dict) or not isinstance(decision.get("allow"), bool):
        intake.miss("unreadable", where, "holds a decision without `allow`")
    elif decision.get("verdict") == "malformed":
        intake.miss("malformed", where, "")
    else:
        return Row(where, document, decision)
    return None

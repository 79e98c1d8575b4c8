"""Trails to damage: a real one by the writer, and other histories, as consistent as an attacker could make them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.clock import ManualClock, rfc3339
from executor.keys import SeedSigner
from executor.svf import SvfLog
from executor.svf.event import draft, genesis, parse_line
from executor.svf.files import lines_of, log_files
from executor.svf.head import read_head

SIGNER = SeedSigner(bytes(range(32)))
KEYS = {SIGNER.kid: SIGNER.public}
TRICKY = 'a","hash":"' + "0" * 64 + '","prev":"' + "1" * 64 + '","seq":7,}\n\u2028\x1b[2J<script>'
"""Guest text that looks like the fields the verifier searches for."""


def write_trail(directory: Path, records: int, *, file_bytes: int = 4096, signer: SeedSigner | None = SIGNER) -> None:
    """A trail of `records` events in several files."""
    clock = ManualClock()
    with SvfLog.open(directory, clock, signer, file_bytes=file_bytes) as log:
        for number in range(records):
            clock.advance(0.001)
            log.emit("resource_event.ALERT", "cp19", intent_id=f"intent-{number}", data={"n": number, "said": TRICKY})


@dataclass
class Trail:
    """The lines of a trail with the file each is in, to be rearranged and written elsewhere."""

    lines: list[tuple[str, bytes]]
    log_id: str
    anchors: list[int]

    @classmethod
    def load(cls, directory: Path) -> Trail:
        """Read what is in `directory`."""
        head = read_head(directory, None)
        assert head is not None
        lines = [(file.path.name, line) for file in log_files(directory) for line in lines_of(file.path)]
        files = log_files(directory)
        return cls(lines, head.log_id, [*(file.first - 1 for file in files[1:]), head.seq])

    def write(self, source: Path, target: Path) -> None:
        """The same folder with these lines in its files; head and seals as they were."""
        shutil.copytree(source, target)
        names = {file.path.name for file in log_files(target)} | {name for name, _ in self.lines}
        for name in names:
            (target / name).write_bytes(b"".join(line for where, line in self.lines if where == name))


def rewritten(line: bytes, *, prev: str | None = None, seq: int | None = None, said: str = "something else") -> bytes:
    """The record with other data, its own hash fitting again; chained elsewhere when `prev` is given."""
    old = parse_line(line)
    ids: dict[str, Any] = {
        name: getattr(old, name) for name in ("intent_id", "lease_id", "task_id", "vm_id", "engine", "policy_digest")
    }
    made = draft(old.type, old.actor, data={**old.data, "said": said}, **ids)
    return made.place(seq or old.seq, old.ts, old.prev if prev is None else prev)[1].encode() + b"\n"


def continued(lines: list[bytes], start: int, *, more: int = 0) -> list[bytes]:
    """Another history from record `start` (index) on, hashes and all; `more` records longer."""
    found = list(lines[:start])
    prev = parse_line(lines[start - 1]).hash if start else parse_line(lines[0]).prev
    for index in range(start, len(lines) + more):
        found.append(rewritten(lines[min(index, len(lines) - 1)], prev=prev, seq=index + 1))
        prev = parse_line(found[-1]).hash
    return found


def foreign(count: int) -> list[bytes]:
    """Records of another log, from its beginning."""
    found: list[bytes] = []
    prev = genesis("f" * 32)
    for number in range(count):
        made = draft(
            "resource_event.ALERT", "cp19", intent_id=f"other-{number}", lease_id="", task_id="", vm_id="", engine="",
            policy_digest="", data={"n": number},
        )  # fmt: skip
        prev, line = made.place(number + 1, rfc3339(1_700_000_000_000_000_000 + number), prev)
        found.append(line.encode() + b"\n")
    return found

"""Class A, the record: a trail is damaged by somebody who may write the files, and then verified.

The damage is as consistent as the attacker can make it: hashes are recomputed where that helps, the issuer's key is the
only thing that is out of reach. The control is a reader that does not check the chain: it believes the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from executor.clock import ManualClock
from executor.errors import BugError, DamagedAuditError
from executor.keys import SeedSigner
from executor.svf import SvfLog, read, verify
from executor.svf.event import draft, parse_line
from executor.svf.files import lines_of, log_files
from executor.svf.head import HEAD_NAME, Head, read_head
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

RECORDS: Final = 12
_ISSUER: Final = SeedSigner(bytes(range(32)))
_THIEF: Final = SeedSigner(bytes(range(1, 33)))


@dataclass
class _Trail:
    """A trail in one file, its lines ready to be damaged."""

    folder: Path
    older: Path
    """The same trail as it was after `RECORDS - 4` records, head and all."""
    lines: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        clock = ManualClock()
        with SvfLog.open(self.folder, clock, _ISSUER) as log:
            for number in range(1, RECORDS + 1):
                clock.advance(0.001)
                log.emit("resource_event.ALERT", "cp19", intent_id=f"intent-{number}", data={"n": number})
                if number == RECORDS - 4:
                    shutil.copytree(self.folder, self.older)
        (file,) = log_files(self.folder)
        self.path = file.path
        self.lines = list(lines_of(file.path))

    def save(self) -> None:
        self.path.write_bytes(b"".join(self.lines))

    def head(self) -> Head:
        found = read_head(self.folder, None)
        if found is None:
            raise BugError("a fresh trail without a head")
        return found

    def put_head(self, head: Head) -> None:
        (self.folder / HEAD_NAME).write_bytes(head.document())

    def rewrite(self, first: int, *, until: int) -> None:
        """Records `first` to `until` with other data, each chained to the one before it, hashes fitting."""
        for number in range(first, until + 1):
            old = parse_line(self.lines[number - 1])
            prev = parse_line(self.lines[number - 2]).hash
            ids: dict[str, Any] = {
                name: getattr(old, name)
                for name in ("intent_id", "lease_id", "task_id", "vm_id", "engine", "policy_digest")
            }
            made = draft(old.type, old.actor, data={"n": 0}, **ids)
            self.lines[number - 1] = made.place(old.seq, old.ts, prev)[1].encode() + b"\n"
        self.save()


def _none(_trail: _Trail) -> None:
    pass


def _edited(trail: _Trail) -> None:
    trail.lines[4] = trail.lines[4].replace(b'"n":5', b'"n":6')


def _edited_rehashed(trail: _Trail) -> None:
    trail.rewrite(5, until=5)


def _rewritten_to_the_end(trail: _Trail) -> None:
    trail.rewrite(5, until=RECORDS)


def _deleted(trail: _Trail) -> None:
    del trail.lines[4]


def _reordered(trail: _Trail) -> None:
    trail.lines[4], trail.lines[5] = trail.lines[5], trail.lines[4]


def _duplicated(trail: _Trail) -> None:
    trail.lines.insert(5, trail.lines[4])


def _tail_cut(trail: _Trail) -> None:
    del trail.lines[-3:]


def _last_line_torn(trail: _Trail) -> None:
    trail.lines[-1] = trail.lines[-1][:40]


def _head_removed(trail: _Trail) -> None:
    (trail.folder / HEAD_NAME).unlink()


def _tail_cut_head_set_back(trail: _Trail) -> None:
    """The tail is cut and the head says so; only its signature is the old one's."""
    del trail.lines[-3:]
    old, last = trail.head(), parse_line(trail.lines[-1])
    trail.put_head(Head("head", old.log_id, old.first, last.seq, last.hash, old.kid, old.sig))


def _head_signed_by_another(trail: _Trail) -> None:
    """History rewritten to the end under a head that fits it, signed with a key of the attacker's own."""
    trail.rewrite(5, until=RECORDS)
    old, last = trail.head(), parse_line(trail.lines[-1])
    trail.put_head(Head("head", old.log_id, old.first, last.seq, last.hash).signed(_THIEF))


def _put_back(trail: _Trail) -> None:
    """The whole folder put back to what it was, signed head included: only somebody who remembers more can tell."""
    shutil.rmtree(trail.folder)
    shutil.copytree(trail.older, trail.folder)
    trail.lines = list(lines_of(trail.path))


_DAMAGES: Final[Mapping[str, Callable[[_Trail], None]]] = {
    function.__name__.strip("_").replace("_", "-"): function
    for function in (
        _none, _edited, _edited_rehashed, _rewritten_to_the_end, _deleted, _reordered, _duplicated, _tail_cut,
        _last_line_torn, _head_removed, _tail_cut_head_set_back, _head_signed_by_another, _put_back,
    )
}  # fmt: skip


@procedure()
def audit_damage(stage: Stage, *, damage: str, checked: bool = True) -> Facts:
    """Damages a trail of 12 records and verifies it; `checked: false` reads it without looking at the chain."""
    folder = stage.folder()
    trail = _Trail(folder / "trail", folder / "older")
    keys = {_ISSUER.kid: _ISSUER.public}
    anchor = verify(trail.folder, keys)  # what a report keeps of the trail it was made from
    _DAMAGES[damage](trail)
    if (trail.folder / HEAD_NAME).exists() or damage == "head-removed":
        trail.save()
    try:
        records = verify(trail.folder, keys, anchor=anchor).records if checked else len(list(read(trail.folder)))
    except DamagedAuditError as found:
        return {"refusal": f"denial svf.{found.kind}", "at": found.seq, "believed": 0}
    return {"refusal": "", "at": 0, "believed": records}

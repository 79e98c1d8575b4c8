"""Says whether a trail is whole, and if not, where it breaks first and what kind of damage that is.

A record is *intact* when its own hash fits its bytes. The head (signed) fixes both ends: the first record's hash and
the last one's. Walking the lines, the next one must be record `k`, following the hash of record `k - 1`. The first line
that does not is judged by these rules, in this order, so that every damage has one name:

    line is not intact, and has no line feed (the last of its file) ............ truncate at k
    line is not intact, otherwise .............................................. edit at k
    same record stands twice in the log ........................................ duplicate at its number
    its number is above k, and record k stands further on ...................... reorder at k
    its number is above k, and record k is nowhere ............................. delete at k
    its number is below k: two records claim one place ......................... fork at its number
    k is 1 (it follows another log's beginning, or is not the first record of this one) ... genesis at 1
    it follows another record k - 1 than the one that stands there,
        and the chain from it leads to the head: record k - 1 was replaced ..... edit at k - 1
        and the chain from it does not lead to the head ........................ fork at k

And when all lines follow each other:

    the first record is not the one the head names ............................. genesis at 1
    a seal or the head vouches for another record: the history was rewritten,
        hashes and all, from some record after the last one vouched for on ..... fork at that record
    the log ends before the head ............................................... truncate at the first missing one
    the head is missing ........................................................ truncate behind the last record
    the head was altered, or signed by somebody else ........................... edit at the head's number

What is behind the head was durable but not acknowledged (a live writer, or a crash): counted, not an error, unless
`sealed` is asked for. Not detectable from the folder alone: the whole folder, head included, put back to an older copy.
Whoever keeps a `Summary` elsewhere (reports do) passes it as `anchor`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from executor.errors import DamagedAuditError, InvalidInputError, OutsideError
from executor.svf.event import Link, genesis, read_link
from executor.svf.files import lines_of, log_files
from executor.svf.head import Head, check_signature, parse_head, read_head


@dataclass(frozen=True, slots=True)
class Summary:
    """A log that verified: `records` of them, the last one's hash, and how far a signature vouches for them."""

    log_id: str
    records: int
    hash: str
    signed_records: int
    kid: str
    files: int
    torn_bytes: int
    """Bytes of an unfinished line behind the last record; a live writer's, or a crash's."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def verify(
    directory: Path,
    trusted_keys: Mapping[str, bytes] | None,
    *,
    sealed: bool = False,
    anchor: Summary | None = None,
) -> Summary:
    """The log's summary; raises `DamagedAuditError` with kind and place of the first damage.

    `trusted_keys`: key id -> public key; None leaves signatures out. `sealed`: nothing may stand behind the head.
    `anchor`: an earlier summary of the same log, which this one must continue.
    """
    try:
        head = read_head(directory, trusted_keys)
        files = log_files(directory)
        return _Walk(directory, head, trusted_keys, anchor).run(len(files), sealed=sealed)
    except OSError as error:
        raise OutsideError(f"cannot read the audit trail {directory}: {error.strerror}") from error


def _all_lines(directory: Path) -> Iterator[bytes]:
    for file in log_files(directory):
        yield from lines_of(file.path)


class _Walk:
    """One pass over the lines; a second one only when something does not fit."""

    def __init__(
        self, directory: Path, head: Head | None, keys: Mapping[str, bytes] | None, anchor: Summary | None
    ) -> None:
        self._directory = directory
        self._head = head
        self._anchors = _anchors(directory, head, keys, anchor)
        self._vouched = 0
        self._suspect = 0

    def run(self, files: int, *, sealed: bool) -> Summary:
        seq, torn = 0, b""
        prev = genesis(self._head.log_id).encode() if self._head else b""
        first = self._head.first.encode() if self._head else b""
        for line in _all_lines(self._directory):
            link = read_link(line)
            if (
                link is None
                and not line.endswith(b"\n")
                and not sealed
                and seq >= (self._head.seq if self._head else 0)
            ):
                torn = torn or line
                continue
            expected = seq + 1
            if torn or link is None:
                raise self._judge_broken(torn or line, expected)
            if link.seq != expected or (link.prev != prev and prev):
                self._check_suspect(before=seq)
                raise self._judge(link, expected, prev)
            if expected == 1 and first and link.hash != first:
                raise DamagedAuditError("genesis", 1, "the first record is not the one this log began with")
            if expected in self._anchors and not self._suspect:
                self._hold(expected, link.hash)
            seq, prev = expected, link.hash
        self._check_suspect(before=seq + 1)
        return self._finish(seq, prev, files, len(torn), sealed=sealed)

    def _hold(self, seq: int, digest: bytes) -> None:
        if self._anchors[seq] == digest.decode():
            self._vouched = seq
        else:
            # Not judged yet: when the next line does not follow this record, it alone was replaced.
            self._suspect = seq

    def _check_suspect(self, *, before: int) -> None:
        if 0 < self._suspect < before:
            at = self._vouched + 1
            raise DamagedAuditError(
                "fork", at, f"the history was rewritten between record {at} and record {self._suspect}"
            )

    def _finish(self, seq: int, prev: bytes, files: int, torn: int, *, sealed: bool) -> Summary:
        head = self._head
        if head is None:
            raise DamagedAuditError("truncate", seq + 1, "the signed head is missing: the end cannot be vouched for")
        last = max(self._anchors, default=0)
        if seq < last:
            raise DamagedAuditError("truncate", seq + 1, f"{last} records are vouched for, and {seq} are there")
        if sealed and seq > head.seq:
            raise DamagedAuditError("fork", head.seq + 1, f"{seq - head.seq} records stand behind the signed head")
        return Summary(head.log_id, seq, prev.decode(), head.seq, head.kid, files, torn)

    def _judge(self, link: Link, expected: int, prev: bytes) -> DamagedAuditError:
        copies, follows = self._elsewhere(link, expected, prev)
        if copies > 1:
            return DamagedAuditError("duplicate", link.seq, f"record {link.seq} stands {copies} times in the log")
        if link.seq > expected:
            kind = "reorder" if follows else "delete"
            return DamagedAuditError(kind, expected, f"record {link.seq} stands where {expected} belongs")
        if link.seq < expected:
            return DamagedAuditError("fork", link.seq, f"two different records claim to be {link.seq}")
        if expected == 1:
            return DamagedAuditError("genesis", 1, "the first record belongs to another log")
        if self._leads_to_head(link):
            return DamagedAuditError(
                "edit", expected - 1, f"record {expected - 1} is not the one {expected} was chained to"
            )
        return DamagedAuditError("fork", expected, f"record {expected} follows another history")

    def _judge_broken(self, line: bytes, expected: int) -> DamagedAuditError:
        whole = read_link(line[: line.rfind(b"}") + 1] + b"\n") is not None
        if line.endswith(b"\n") or (whole and not line.endswith(b"}")):
            return DamagedAuditError("edit", expected, f"record {expected} was altered: its hash does not fit")
        return DamagedAuditError("truncate", expected, f"the line of record {expected} is cut short")

    def _elsewhere(self, link: Link, expected: int, prev: bytes) -> tuple[int, bool]:
        """How often `link` stands in the log, and whether the record that belongs here stands anywhere."""
        copies, follows = 0, False
        for line in _all_lines(self._directory):
            other = read_link(line)
            if other is not None:
                copies += other.hash == link.hash
                follows |= other.seq == expected and other.prev == prev
        return copies, follows

    def _leads_to_head(self, link: Link) -> bool:
        if self._head is None:
            return False
        digest, on_it = b"", False
        for line in _all_lines(self._directory):
            other = read_link(line)
            if other is None:
                on_it = False
            elif other.hash == link.hash or (on_it and other.prev == digest):
                on_it, digest = True, other.hash
                if other.seq == self._head.seq and other.hash == self._head.hash.encode():
                    return True
            else:
                on_it = False
        return False


def _anchors(
    directory: Path, head: Head | None, keys: Mapping[str, bytes] | None, anchor: Summary | None
) -> dict[int, str]:
    """Sequence number -> hash somebody vouches for: seals by a known key, the caller's earlier summary, the head."""
    found: dict[int, str] = {}
    if head is None:
        return found
    for file in log_files(directory):
        if not file.seal.exists():
            continue
        try:
            seal = parse_head(file.seal.read_bytes(), "seal")
        except InvalidInputError as error:
            raise DamagedAuditError("edit", file.first, f"{file.seal.name} was altered: {error}") from None
        if keys is not None and seal.kid not in keys:
            continue  # signed before two rotations: its key is retired, and the head vouches for the chain anyway
        check_signature(seal, keys)
        found[seal.seq] = seal.hash
    if anchor is not None:
        if anchor.log_id != head.log_id:
            raise DamagedAuditError("genesis", 1, "this is another log than the one vouched for")
        if anchor.records:
            found[anchor.records] = anchor.hash
    if head.seq:
        found[head.seq] = head.hash
    return found

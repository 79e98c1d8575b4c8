"""What a crash left at the end of a log: read when it is opened, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from executor.errors import DamagedAuditError
from executor.svf.event import genesis, parse_line, read_link
from executor.svf.files import LogFile, lines_of, log_files
from executor.svf.head import Head


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the last file. `seq` None: the log has no record yet."""

    file: LogFile | None = None
    seq: int | None = None
    hash: str = ""
    first: str = ""
    """Hash of the log's first record, when it is in this file."""
    ts: str = ""
    size: int = 0
    """Bytes of whole, chained records in the file."""
    cut: bytes = b""
    """What stands behind them: a line that a crash tore."""
    unsigned: int = 0
    """Whole records behind the head: durable, but the crash came before the head was rewritten."""


def read_tail(directory: Path, head: Head | None) -> Tail:
    """Where to go on; raises `DamagedAuditError` when the last file and the head do not fit together."""
    files = log_files(directory)
    if head is None:
        if files:
            raise DamagedAuditError("truncate", files[0].first, "the head is missing")
        return Tail()
    if not files:
        if head.seq:
            raise DamagedAuditError("truncate", 1, f"the head vouches for {head.seq} records, and there is no file")
        return Tail()
    last = _read_file(files[-1], head)
    if last.seq is None and len(files) > 1:
        # The crash came between the new file and its first record: the chain's end is in the file before.
        before = _read_file(files[-2], head)
        last = replace(before, file=files[-1], size=0, cut=before.cut + last.cut)
    return _held_to_head(last, head)


def _read_file(file: LogFile, head: Head) -> Tail:
    seq, digest, first, size, last, cut = file.first - 1, b"", b"", 0, b"", b""
    fits_head = head.seq < file.first
    for line in lines_of(file.path):
        link = None if cut else read_link(line)
        if link is None:
            # Only the very last line may be torn; what follows one that is not whole is not guessed at.
            if cut or line.endswith(b"\n"):
                raise DamagedAuditError("edit", seq + 1, f"{file.path.name}: a record behind {seq} is damaged")
            cut = line
            continue
        expected = digest or _before(file, head) or link.prev
        if link.seq != seq + 1 or link.prev != expected:
            raise DamagedAuditError("reorder", seq + 1, f"{file.path.name}: record {link.seq} does not follow {seq}")
        seq, digest, size, last = link.seq, link.hash, size + len(line), line
        if seq == 1:
            first = digest
        if seq == head.seq:
            fits_head = link.hash.decode() == head.hash
    if not last:
        return Tail(file=file, cut=cut)
    if not fits_head:
        raise DamagedAuditError("fork", head.seq, f"record {head.seq} is not the one the head vouches for")
    unsigned = max(0, seq - head.seq)
    return Tail(file, seq, digest.decode(), first.decode(), parse_line(last).ts, size, cut, unsigned)


def _before(file: LogFile, head: Head) -> bytes:
    """The hash the file's first record must follow, as far as it is known without the file before."""
    if file.first == 1:
        return genesis(head.log_id).encode()
    return head.hash.encode() if head.seq == file.first - 1 else b""


def _held_to_head(tail: Tail, head: Head) -> Tail:
    seq = tail.seq or 0
    if seq < head.seq:
        raise DamagedAuditError("truncate", seq + 1, f"the head vouches for {head.seq} records; {seq} are there")
    return tail

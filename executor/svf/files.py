"""The files of a log: `svf-<first seq>.jsonl`, one record per line; a `.seal.json` beside each that is full."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor.svf.event import MAX_LINE

_NAME: Final = re.compile(r"svf-([0-9]{12})\.jsonl")
_KEEP_SIZE: Final = 1
"""FALLOC_FL_KEEP_SIZE of linux/falloc.h: take blocks beyond the end of the file, and leave its length alone."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file; `first` is the sequence number its name promises."""

    path: Path
    first: int

    @property
    def seal(self) -> Path:
        """Where its seal is, once it is full."""
        return self.path.with_suffix(".seal.json")


def log_files(directory: Path) -> list[LogFile]:
    """The log's files in the order of their records."""
    found = [
        LogFile(path, int(match[1]))
        for path in directory.iterdir()
        if (match := _NAME.fullmatch(path.name)) is not None
    ]
    return sorted(found, key=lambda file: file.first)


def file_of(directory: Path, first: int) -> LogFile:
    """The file whose first record is `first`."""
    return LogFile(directory / f"svf-{first:012d}.jsonl", first)


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of one file, line feed included; one beyond `MAX_LINE` comes in pieces, none of them a record."""
    if not path.is_file():  # a pipe would never end, and never begin
        raise OSError(errno.EINVAL, f"{path.name} is no regular file")
    with path.open("rb", buffering=1 << 18) as stream:
        while line := stream.readline(MAX_LINE + 1):
            yield line


def reserve(descriptor: int, offset: int, length: int) -> bool:
    """Make sure that `length` bytes from `offset` on can be written later; False when the disk has not got them.

    Where the filesystem cannot promise (EOPNOTSUPP), the free space of the moment is the answer.
    """
    # Types are spelled out: a plain int would be passed as 32 bits.
    failed = _libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(length))
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.EOPNOTSUPP, errno.ENOSYS):
        free = os.fstatvfs(descriptor)
        return free.f_bavail * free.f_frsize > 2 * length
    return False

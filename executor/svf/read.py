"""Reading a trail: any number of readers, beside the writer, without its lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from executor.errors import OutsideError
from executor.svf.event import Event, parse_line
from executor.svf.files import lines_of, log_files

MAX_GUEST_TEXT: Final = 4096
"""Characters of guest text kept in one event."""


def read(directory: Path, *, after: int = 0) -> Iterator[Event]:
    """The events with sequence numbers above `after`, in order; an unfinished last line is left out.

    Checks the form of each record, not the chain: that is `verify`. Raises `InvalidInputError` at a line that is no
    record, `OutsideError` when the folder cannot be read.
    """
    try:
        files = log_files(directory)
        for file, following in zip(files, [*files[1:], None], strict=False):  # no files: none to go through
            if following is not None and following.first <= after + 1:
                continue
            for line in lines_of(file.path):
                if line.endswith(b"\n"):
                    event = parse_line(line)
                    if event.seq > after:
                        yield event
    except OSError as error:
        raise OutsideError(f"cannot read the audit trail {directory}: {error.strerror}") from error


def guest_text(text: bytes | str, limit: int = MAX_GUEST_TEXT) -> str:
    """What a guest said, fit for an event's data: valid text, at most `limit` characters, the cut marked.

    Nothing is escaped here (the record keeps what was said); whoever shows it escapes it.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    else:
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"

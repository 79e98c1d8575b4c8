"""Hands workspace files back to the host in pieces, up to a cap. Rim."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from executor.channel import channel_pb2 as pb
from executor.guest.port import Port

PIECE_BYTES: Final = 256 * 1024
MAX_FILES: Final = 4096
"""Of one collection, refused ones included: a task can make more than anybody wants to read."""
MAX_NAMES: Final = 2 * 1024 * 1024
"""Characters of their paths and of reasons why not, likewise."""
PATIENCE_S: Final = 600.0


def send_files(files: Iterable[tuple[str, int | None, int, str]], max_bytes: int, port: Port) -> int:
    """Send each of `files`; what would exceed `max_bytes` altogether is refused. Returns how many were sent whole."""
    left = max_bytes
    whole = names = 0
    for number, (path, handle, mode, refused) in enumerate(files):
        if handle is None:
            _piece(port, pb.FilePiece(path=path, mode=mode & 0o7777, last=True, refused=refused))
        else:
            try:
                size = os.fstat(handle).st_size
                if size > left:
                    why = f"{size} bytes are more than the {left} left of {max_bytes}"
                    _piece(port, pb.FilePiece(path=path, mode=mode & 0o7777, last=True, refused=why))
                else:
                    left -= _send(port, path, handle, mode, size)
                    whole += 1
            finally:
                os.close(handle)
        names += len(path) + len(refused)
        if why := too_many(number + 1, names):
            _piece(port, pb.FilePiece(path=path, last=True, refused=why))
            break
    return whole


def too_many(files: int, names: int) -> str:
    """Why a collection ends after so many files with so many characters of names and reasons; empty to go on."""
    if names > MAX_NAMES:
        return f"more than {MAX_NAMES} characters of names"
    return f"more than {MAX_FILES} files" if files >= MAX_FILES else ""


def _send(port: Port, path: str, handle: int, mode: int, size: int) -> int:
    """Send a file of `size` bytes; nothing runs any more that could change it."""
    offset = 0
    while True:
        data = os.read(handle, min(PIECE_BYTES, size - offset)) if offset < size else b""
        last = offset + len(data) >= size or not data
        _piece(port, pb.FilePiece(path=path, mode=mode & 0o7777, offset=offset, data=data, last=last))
        offset += len(data)
        if last:
            return offset


def _piece(port: Port, piece: pb.FilePiece) -> None:
    port.send(pb.FromGuest(file_piece=piece))
    if port.backlog > 4 * PIECE_BYTES:
        port.flush_for(PATIENCE_S)

"""Files that hold keys: written whole or not at all, readable by their owner only, never followed through a link."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from executor.errors import InvalidInputError, OutsideError, outside

FOLDER_MODE: Final = 0o700
SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
MAX_FILE: Final = 1 << 20
"""Bytes; a key file or key list beyond this is no key file."""


def make_private_folder(folder: Path) -> None:
    """Create `folder` for its owner only; raises `OutsideError` when an existing one lets others in."""
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError as error:
        raise OutsideError(f"cannot make the key folder {folder}: {error.strerror}") from error
    if mode & 0o077:
        raise OutsideError(f"{folder} is open to others (mode {mode:04o}); `chmod 700 {folder}` first")


def write_atomic(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file or the new one, never a mixture."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as stream:  # noqa: PTH123 - the descriptor carries the flags Path.open cannot
                os.fchmod(stream.fileno(), mode)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise outside(f"cannot write {path}", error) from error


def sweep(folder: Path, names: str = "*") -> None:
    """Remove what killed writers left of files called `names` (a glob); for whoever holds the lock of these files."""
    for path in folder.glob(f".{names}.{'[0-9a-f]' * 12}"):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries (a new name, a rename) survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path) -> bytes:
    """The bytes of a private file; raises `OutsideError` when it is missing, a link, another's, or open to others."""
    try:
        # Not blocking: opening a pipe would wait for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OutsideError(f"cannot read the private key {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise OutsideError(f"{path} is not a regular file of uid {os.geteuid()}")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise OutsideError(f"{path} is open to others (mode {mode:04o}); `chmod 600 {path}` and rotate the key")
        return os.read(descriptor, MAX_FILE)
    finally:
        os.close(descriptor)


def read_public(path: Path) -> bytes:
    """The bytes of a public file; raises `OutsideError` when missing, `InvalidInputError` when far too large."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_FILE:
        raise InvalidInputError(f"{path}: over {MAX_FILE} bytes")
    return content


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold `lock` against every other process: changes to keys are read, decided and written under it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Be one of those that write into `folder` now; `alone`, when nobody else is: what is half there then, stays so."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)

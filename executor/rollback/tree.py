"""A target tree, reached only through folder descriptors: no link is followed, so nothing outside can be touched."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from executor.errors import InvalidInputError, OutsideError
from executor.rollback.manifest import ABSENT, JOURNAL_FOLDER

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_STAGED: Final = "staged"
_JOURNAL: Final = "journal.json"


class Tree:
    """One folder that files are put back into. Close it, or use it as a context manager."""

    def __init__(self, target: Path) -> None:
        """Open `target`; raises `InvalidInputError` when it is no folder, `OutsideError` when another holds it."""
        try:
            self._root = os.open(target, _FOLDER)
        except OSError as error:
            raise InvalidInputError(f"{target}: {error.strerror}; the target is an existing folder") from None
        try:
            fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._root)
            raise OutsideError(f"{target}: another rollback is at work there") from None
        self.path = target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def state(self, path: str) -> str | None:
        """The digest of the file at `path`, `ABSENT` when nothing is there, None for anything that is no file."""
        try:
            with self._parent(path, make=False) as (folder, name):
                return _digest_at(folder, name)
        except FileNotFoundError:
            return ABSENT
        except NotADirectoryError:
            return None
        except OSError as error:
            raise OutsideError(f"cannot read {path!r} in {self.path}: {error.strerror}") from None

    def replace(self, path: str, content: bytes, mode: int = 0) -> None:
        """Give `path` this content in one step; an existing file's permission bits stay, a gone one's are `mode`."""
        with self._parent(path, make=True) as (folder, name), self._journal_folder() as staging:
            bits = _mode_at(folder, name, mode or 0o644)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(_STAGED, flags, 0o600, dir_fd=staging)
            with open(descriptor, "wb") as stream:  # noqa: PTH123 - opened relative to a descriptor
                stream.write(content)
                stream.flush()
                os.fchmod(descriptor, bits)
                os.fsync(descriptor)
            os.rename(_STAGED, name, src_dir_fd=staging, dst_dir_fd=folder)
            os.fsync(folder)

    def remove(self, path: str) -> None:
        """Take `path` away; not being there is fine. Folders stay."""
        with suppress(FileNotFoundError), self._parent(path, make=False) as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    def clear_folders(self, path: str, created: Iterable[str]) -> None:
        """Where `path` was a file before and the run made a folder of it: take away that folder, as far as it is empty.

        `created` are the paths that the run created.
        """
        folders = {parent for item in created if item.startswith(f"{path}/") for parent in _up_to(item, path)}
        for folder in sorted(folders, key=len, reverse=True):
            with suppress(OSError), self._parent(folder, make=False) as (parent, name):
                os.rmdir(name, dir_fd=parent)

    def read_journal(self) -> bytes | None:
        """The journal of a rollback that has not ended, or None."""
        try:
            with self._journal_folder(make=False) as folder:
                descriptor = os.open(_JOURNAL, _FILE, dir_fd=folder)
                with open(descriptor, "rb") as stream:  # noqa: PTH123 - as above
                    return stream.read(1 << 20)
        except FileNotFoundError:
            return None

    def write_journal(self, content: bytes) -> None:
        """Start a rollback: from here on until `end_journal` the tree says that it is in between."""
        with self._journal_folder() as folder:
            descriptor = os.open(_STAGED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with open(descriptor, "wb") as stream:  # noqa: PTH123 - as above
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            os.rename(_STAGED, _JOURNAL, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        os.fsync(self._root)

    def end_journal(self) -> None:
        """The tree is whole again: take the journal away, then its folder."""
        with self._journal_folder() as folder:
            for name in (_STAGED, _JOURNAL):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
        os.rmdir(JOURNAL_FOLDER, dir_fd=self._root)
        os.fsync(self._root)

    @contextmanager
    def _journal_folder(self, *, make: bool = True) -> Iterator[int]:
        if make:
            with suppress(FileExistsError):
                os.mkdir(JOURNAL_FOLDER, 0o700, dir_fd=self._root)
        descriptor = os.open(JOURNAL_FOLDER, _FOLDER, dir_fd=self._root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        *folders, name = path.split("/")
        here = os.dup(self._root)
        try:
            for folder in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, 0o755, dir_fd=here)
                below = _open_folder(here, folder, path)
                os.close(here)
                here = below
            yield here, name
        finally:
            os.close(here)


def _up_to(path: str, top: str) -> Iterator[str]:
    """The folders above `path`, deepest first, `top` the last."""
    while len(path := path.rpartition("/")[0]) >= len(top):
        yield path


def _open_folder(parent: int, name: str, path: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.ENOTDIR and stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise FileNotFoundError(errno.ENOENT, f"{path!r} cannot be below the file {name!r}") from None
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise NotADirectoryError(errno.ENOTDIR, f"{name!r} on the way to {path!r} is no folder") from None
        if error.errno == errno.ENOENT:
            raise
        raise OutsideError(f"cannot open {name!r} on the way to {path!r}: {error.strerror}") from None


def _digest_at(folder: int, name: str) -> str | None:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - opened relative to a descriptor
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _mode_at(folder: int, name: str, otherwise: int) -> int:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return otherwise
    return stat.S_IMODE(found.st_mode) & 0o777 if stat.S_ISREG(found.st_mode) else otherwise

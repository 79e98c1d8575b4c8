"""The task's workspace on the scratch disk: made, limited, filled, emptied. Rim.

Nothing here follows a link a task may have made: every path is opened beneath the workspace's descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from executor.guest import syscalls
from executor.guest.digest import sha256
from executor.guest.errors import DeniedError
from executor.guest.scope import WORKSPACE, Writable

SCRATCH: Final = "/scratch"
DEVICE: Final = "/dev/vda2"
_BENEATH: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
SLACK_KIB: Final = 256
"""Granted beyond the quota so that going over it can be told from filling it exactly; at most this is ever lost."""
INODE_SLACK: Final = 16
INODES_PER_MIB: Final = 64
INODES_BASE: Final = 256
PIECE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64
"""Folders inside folders that are handed back."""
MAX_PATH: Final = 4096
"""Characters of a path in a message (PATH_MAX); the host takes no longer one. Folders made one by one go deeper."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one workspace; `None` fields are not limited."""

    bytes: int
    inodes: int


def quota_for(disk_quota_mb: int) -> Quota:
    """The quota of a lease: its bytes, and inodes in proportion."""
    return Quota(disk_quota_mb * 1024 * 1024, INODES_BASE + INODES_PER_MIB * disk_quota_mb)


def relative(path: str) -> str:
    """`path` (absolute, in the sandbox) relative to the workspace; raises `DeniedError` unless it lies below."""
    inside = path.removeprefix(f"{WORKSPACE}/")
    parts = inside.split("/")
    if inside == path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise DeniedError("guest.path_outside", f"not a plain path below {WORKSPACE}: {path!r}")
    return inside


def shown(name: str) -> str:
    """`name`, as the system gave it, as text that surely goes into a message: bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Workspace:
    """One lease's workspace."""

    def __init__(
        self, number: int, places: Iterable[Writable], quota: Quota | None, owner: int, *, kept: bool = False
    ) -> None:
        """Make the folder, give it a project and its limits, and make the writable places.

        `kept` takes what is there, for the drill in which RESET wipes nothing.
        """
        self._project: Final = 1000 + number
        self._quota = quota
        self._owner: Final = owner
        self._places: Final = tuple(places)
        self._base: Final = f"{SCRATCH}/{number}"
        self.path: Final = f"{self._base}/workspace"
        os.makedirs(self._base, 0o700, exist_ok=kept)  # noqa: PTH103 - pathlib costs 60 ms of boot, here and below
        handle = os.open(self._base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.set_project(handle, self._project)
        finally:
            os.close(handle)
        if quota is not None:
            self.limit(quota)
        os.makedirs(self.path, 0o755, exist_ok=kept)  # noqa: PTH103
        self._fd: Final = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for place in self._places:
            self._make_place(place)
        self._open: tuple[str, int] | None = None
        self.received = 0

    def limit(self, quota: Quota) -> None:
        """From now on it may hold this much."""
        self._quota = quota
        syscalls.set_project_quota(
            DEVICE,
            self._project,
            blocks_kib=quota.bytes // 1024 + SLACK_KIB,
            inodes=quota.inodes + INODE_SLACK,
        )

    def _make_place(self, place: Writable) -> None:
        if place.path == WORKSPACE:
            os.fchown(self._fd, self._owner, self._owner)
            return
        name = relative(place.path)
        parent = self._folder(name.rpartition("/")[0])
        try:
            leaf = name.rpartition("/")[2]
            if place.folder:
                os.mkdir(leaf, 0o755, dir_fd=parent)
            else:
                os.close(os.open(leaf, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
            os.chown(leaf, self._owner, self._owner, dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            pass
        finally:
            os.close(parent)

    def _is_writable(self, name: str) -> bool:
        path = f"{WORKSPACE}/{name}"
        return any(
            path == place.path or (place.folder and (place.path == WORKSPACE or path.startswith(f"{place.path}/")))
            for place in self._places
        )

    def _folder(self, name: str) -> int:
        """A descriptor of the folder `name` below the workspace, made with its parents where missing."""
        here = os.dup(self._fd)
        done = ""
        for part in name.split("/") if name else ():
            done = f"{done}/{part}".lstrip("/")
            try:
                os.mkdir(part, 0o755, dir_fd=here)
            except FileExistsError:
                pass
            else:
                owner = self._owner if self._is_writable(done) else 0
                os.chown(part, owner, owner, dir_fd=here, follow_symlinks=False)
            try:
                deeper = syscalls.openat2(here, part.encode(), os.O_RDONLY | os.O_DIRECTORY, resolve=_BENEATH)
            finally:
                os.close(here)
            here = deeper
        return here

    def put(self, path: str, mode: int, data: bytes, *, last: bool) -> tuple[int, str] | None:
        """Append a piece to the file at `path`; after the last piece its size and SHA-256."""
        name = relative(path)
        self.received += len(data)
        if self._quota is not None and self.received > self._quota.bytes:
            raise DeniedError("guest.disk_quota", f"the files put in are over {self._quota.bytes} bytes of disk quota")
        try:
            if self._open is None or self._open[0] != name:
                self._abandon()
                self._open = (name, self._create(name, mode))
            handle = self._open[1]
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            if not last:
                return None
            size = os.fstat(handle).st_size
            os.lseek(handle, 0, os.SEEK_SET)
            digest = sha256()
            while piece := os.read(handle, PIECE_BYTES):
                digest.update(piece)
            self._abandon()
        except OSError as error:
            self._abandon()
            raise DeniedError("guest.put_failed", f"{path}: {error.strerror}") from error
        return size, digest.hexdigest()

    def _create(self, name: str, mode: int) -> int:
        folder = self._folder(name.rpartition("/")[0])
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
            handle = syscalls.openat2(folder, name.rpartition("/")[2].encode(), flags, 0o600, resolve=_BENEATH)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DeniedError("guest.put_failed", f"{WORKSPACE}/{name} is there and is no regular file")
        owner = self._owner if self._is_writable(name) else 0
        os.fchown(handle, owner, owner)
        os.fchmod(handle, mode & 0o777)
        return handle

    def _abandon(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def used_bytes(self) -> int:
        """Bytes on disk that count for the quota."""
        return syscalls.project_usage(DEVICE, self._project)[0]

    def over_quota(self) -> bool:
        """Whether more was written than the lease allows."""
        if self._quota is None:
            return False
        used, inodes = syscalls.project_usage(DEVICE, self._project)
        return used > self._quota.bytes or inodes > self._quota.inodes

    def files(self, paths: Iterable[str], *, checked: bool) -> Iterator[tuple[str, int | None, int, str]]:
        """(path, descriptor, mode, why refused) of each file at or below `paths`; the caller closes descriptors."""
        for path in paths:
            if not checked:
                yield self._open_unchecked(path)
                continue
            try:
                name = "" if path.rstrip("/") == WORKSPACE else relative(path.rstrip("/"))
                yield from self._walk(name)
            except DeniedError as error:
                yield path, None, 0, str(error)

    def _walk(self, name: str) -> Iterator[tuple[str, int | None, int, str]]:
        path = f"{WORKSPACE}/{name}".rstrip("/")
        if len(path) > MAX_PATH:
            yield path[:MAX_PATH], None, 0, "its path is too long"
            return
        if name.count("/") >= MAX_DEPTH:
            yield path, None, 0, f"more than {MAX_DEPTH} folders deep"
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        try:
            probe = syscalls.openat2(self._fd, (name or ".").encode(), os.O_PATH | os.O_NOFOLLOW, resolve=_BENEATH)
            try:
                kind = os.fstat(probe).st_mode
            finally:
                os.close(probe)
            # Looked at before it is opened: opening a device or a fifo can have effects.
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                yield path, None, kind, "not a regular file"
                return
            handle = syscalls.openat2(self._fd, (name or ".").encode(), flags, resolve=_BENEATH)
        except OSError as error:
            escapes = error.errno in {errno.ELOOP, errno.EXDEV}
            yield path, None, 0, "a link, or leads out of the workspace" if escapes else str(error.strerror)
            return
        facts = os.fstat(handle)
        if stat.S_ISREG(facts.st_mode):
            yield path, handle, facts.st_mode, ""
            return
        if not stat.S_ISDIR(facts.st_mode):
            os.close(handle)
            yield path, None, facts.st_mode, "not a regular file"
            return
        try:
            names = sorted(os.listdir(handle))  # noqa: PTH208 - of an open descriptor, not of a path
        finally:
            os.close(handle)
        for leaf in names:
            if (told := shown(leaf)) != leaf:  # a name is whatever bytes a task likes, a message's path is text
                yield f"{path}/{told}"[:MAX_PATH], None, 0, "its name is no UTF-8"
                continue
            yield from self._walk(f"{name}/{leaf}".lstrip("/"))

    def _open_unchecked(self, path: str) -> tuple[str, int | None, int, str]:
        """For the drill that takes the check away: an ordinary open that follows whatever is there."""
        try:
            inside = path.removeprefix(WORKSPACE)
            handle = os.open(self.path + inside if inside != path else path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return path, None, 0, str(error.strerror)
        return path, handle, os.fstat(handle).st_mode, ""

    def remove(self) -> None:
        """Take everything away."""
        self._abandon()
        os.close(self._fd)
        remove_tree(self._base)


def remove_tree(path: str) -> None:
    """Remove the folder `path` and everything below it; links are removed, never followed. Nothing there is fine.

    However deep a task nested its folders, this takes three descriptors and no recursion: a folder found inside is
    moved up beside the others first. Only for trees nobody uses any more.
    """
    try:
        base = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        pending = _unlink_files(base)
        # Names nobody could have made beforehand.
        prefix, count = os.urandom(16).hex(), 0
        while pending:
            name = pending.pop()
            here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)
            try:
                for leaf in _unlink_files(here):
                    moved = f"{prefix}-{count}"
                    count += 1
                    os.rename(leaf, moved, src_dir_fd=here, dst_dir_fd=base)
                    pending.append(moved)
            finally:
                os.close(here)
            os.rmdir(name, dir_fd=base)
    finally:
        os.close(base)
    os.rmdir(path)  # noqa: PTH106 - pathlib costs 60 ms of boot


def _unlink_files(folder: int) -> list[str]:
    """Remove what is no folder in the open `folder`; the names of the folders that are left."""
    folders = []
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            folders.append(name)
    return folders

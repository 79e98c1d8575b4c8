"""Paths as the model wants them, what stat says of one, and what stands in a folder."""

import posix as real
import stat

from shim import call, named


def text(path):
    """A path as the model wants it: str, with undecodable bytes as surrogates."""
    if isinstance(path, int):
        return path
    path = real.fspath(path)
    if isinstance(path, bytes):
        path = path.decode("utf-8", "surrogateescape")
    if "\0" in path:
        raise ValueError("embedded null byte")
    return path


def like(path, value):
    """`value` as bytes where the caller's path was bytes."""
    return value.encode("utf-8", "surrogateescape") if isinstance(path, bytes) else value


def result(raw):
    """A stat_result of the model's list."""
    plain, times, rest = raw
    extra = dict(zip(("st_atime", "st_mtime", "st_ctime"), (one / 1e9 for one in times), strict=True))
    extra |= dict(zip(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), times, strict=True))
    extra |= {"st_blksize": 4096, "st_blocks": rest[0], "st_rdev": rest[1]}
    return real.stat_result((*plain, *(one // 10**9 for one in times)), extra)


def status(path, *, dir_fd=None, follow_symlinks=True):
    if isinstance(path, int):
        return result(call("fstat", path))
    return result(named("stat", path, text(path), dir_fd, follow_symlinks))


class DirEntry:
    """What scandir yields."""

    def __init__(self, folder, name, kind, inode):
        self.name, self._kind, self._inode = name, kind, inode
        base = folder if isinstance(folder, (str, bytes)) else "."
        slash = b"/" if isinstance(base, bytes) else "/"
        self.path = base + name if base.endswith(slash) else base + slash + name
        if isinstance(folder, int):
            self.path = name

    def __fspath__(self):
        return self.path

    def inode(self):
        return self._inode

    def is_symlink(self):
        return self._kind == stat.S_IFLNK

    def is_dir(self, *, follow_symlinks=True):
        return self._is(stat.S_IFDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks=True):
        return self._is(stat.S_IFREG, follow_symlinks)

    def is_junction(self):
        return False

    def _is(self, kind, follow):
        if self._kind != stat.S_IFLNK or not follow:
            return self._kind == kind
        try:
            return stat.S_IFMT(status(self.path).st_mode) == kind
        except OSError:
            return False

    def stat(self, *, follow_symlinks=True):
        return status(self.path, follow_symlinks=follow_symlinks)


class Scan:
    """The iterator scandir returns."""

    def __init__(self, folder):
        shown = "." if folder is None else folder
        self._entries = iter(
            [DirEntry(shown, like(shown, n), k, i) for n, k, i in named("listdir", shown, text(shown))]
        )

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

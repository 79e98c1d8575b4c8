"""Content-keyed folders in the cache that appear whole or not at all, and are built once by however many processes."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel drops it when this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def publish(parent: Path, key: str, build: Callable[[Path], None], *, marker: str) -> Path:
    """The folder `parent/key`, built by `build(empty_folder)` if `marker` is not in it yet.

    `build` works in a folder of its own beside the result, which is renamed into place when `build` returned: a reader
    sees all or nothing. Whatever an interrupted build left is removed by the next one, under the same lock.
    """
    final = parent / key
    if (final / marker).is_file():
        return final
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent / f".lock-{key}"):
        if (final / marker).is_file():
            return final
        for stale in parent.glob(f".build-{key}-*"):
            remove_tree(stale)
        work = parent / f".build-{key}-{os.getpid()}"
        work.mkdir(mode=0o755)
        try:
            build(work)
            if final.exists():
                remove_tree(final)
            work.rename(final)
        finally:
            remove_tree(work)
    return final


def remove_tree(path: Path) -> None:
    """Remove `path` and everything below it, if it is there; never follows links."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)

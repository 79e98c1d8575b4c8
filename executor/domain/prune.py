"""Which gold images in the cache may go: decided from what is there and who uses what, then done.

Rules, in order: the image of this checkout's recipe stays; one that somebody uses stays; of the others the `keep`
that were built last stay; the rest goes. Used is an image when a process has one of its files open (a QEMU stands on
it), or when it is laid out in a runtime folder where an executor lives. What is laid out of one that goes, goes too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from executor.domain.artifacts import laid_out
from executor.domain.rundir import LOCK, PREFIX
from executor.errors import outside
from executor.image.build import MANIFEST
from executor.image.cache import remove_tree
from executor.image.gold import load

_KEY: Final = re.compile(r"[0-9a-f]{64}")

Reason = Literal["current", "in use", "kept", "old"]


@dataclass(frozen=True, slots=True)
class Found:
    """One image in the cache."""

    key: str
    """Digest of what it was built from: its folder's name."""
    built_ns: int
    bytes: int
    used: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of one image; only `old` goes."""

    image: Found
    reason: Reason


def choose(images: Iterable[Found], *, current: str, keep: int) -> tuple[Choice, ...]:
    """Judge every image, the newest first. `current`: the key of this checkout's; `keep`: how many others stay."""
    chosen: list[Choice] = []
    for image in sorted(images, key=lambda image: (-image.built_ns, image.key)):
        if image.key == current:
            reason: Reason = "current"
        elif image.used:
            reason = "in use"
        else:
            reason = "kept" if keep > 0 else "old"
            keep -= 1
        chosen.append(Choice(image, reason))
    return tuple(chosen)


def look(folder: Path, runtime: Path) -> tuple[Found, ...]:
    """The whole images in `folder`; `runtime` is where executors lay them out. Raises `OutsideError`."""
    if not folder.is_dir():
        return ()
    opened, inhabited = _opened(), _inhabited(runtime)
    try:
        found = [path for path in folder.iterdir() if _KEY.fullmatch(path.name) and (path / MANIFEST).is_file()]
        return tuple(_found(path, opened, runtime if inhabited else None) for path in sorted(found))
    except OSError as error:
        raise outside(f"cannot look at {folder}", error) from None


def remove(folder: Path, runtime: Path, key: str) -> bool:
    """Remove the image `key` unless it is being built or came to be used meanwhile; whether it went.

    It is renamed first, so that nobody ever finds half of it. Raises `OutsideError`.
    """
    path, going = folder / key, folder / f".pruned-{key}-{os.getpid()}"
    try:
        with (folder / f".lock-{key}").open("a+b") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not path.is_dir() or _found(path, _opened(), runtime if _inhabited(runtime) else None).used:
                return False
            laid_out = _laid_out(path, runtime)
            path.rename(going)
        remove_tree(laid_out)
        remove_tree(going)
    except OSError as error:
        raise outside(f"cannot remove {path}", error) from None
    return True


def sweep(folder: Path) -> None:
    """Remove what a prune left that was interrupted."""
    for path in folder.glob(".pruned-*"):
        shutil.rmtree(path, ignore_errors=True)


def _found(path: Path, opened: frozenset[tuple[int, int]], runtime: Path | None) -> Found:
    """`runtime`: where an executor lives, if one does."""
    facts = [entry.stat() for entry in path.iterdir() if entry.is_file()]
    used = any((fact.st_dev, fact.st_ino) in opened for fact in facts)
    return Found(
        path.name,
        (path / MANIFEST).stat().st_mtime_ns,
        sum(fact.st_blocks * 512 for fact in facts),
        used or (runtime is not None and _laid_out(path, runtime).is_dir()),
    )


def _laid_out(path: Path, runtime: Path) -> Path:
    """Where executors in `runtime` lay the image in `path` out."""
    return laid_out(load(path), runtime)


def _inhabited(runtime: Path) -> bool:
    """Whether an executor that lives has its run directory in `runtime`."""
    for lock in runtime.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _opened() -> frozenset[tuple[int, int]]:
    """(device, inode) of every file that a process we may look at has open."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            fact = descriptor.stat()
        except OSError:
            continue  # gone, or not ours to look at
        found.add((fact.st_dev, fact.st_ino))
    return frozenset(found)

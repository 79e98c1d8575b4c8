"""Which paths of the sandbox a lease lets a task write, as folders that mounts and Landlock can enforce. Pure.

Patterns come from the lease. Two shapes can be enforced by the kernel, everything else is refused rather than widened
or narrowed silently:

    /workspace/**, /workspace/out/**, /workspace/out/   a folder and everything below it
    /workspace/out/log.txt                              one file; it is made empty beforehand
    /tmp/**                                             nothing to do: fs:write_tmp decides about /tmp
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from executor.guest.errors import DeniedError

WORKSPACE: Final = "/workspace"
_WILD: Final = frozenset("*?[]{}")


@dataclass(frozen=True, slots=True)
class Writable:
    """A place in the sandbox; `folder` says whether it is a folder or a single file."""

    path: str
    folder: bool


def writable(patterns: Iterable[str]) -> tuple[Writable, ...]:
    """The places `patterns` name, shortest first, none inside another; raises `DeniedError` for other shapes."""
    found: set[Writable] = set()
    for pattern in patterns:
        place = _one(pattern)
        if place is not None:
            found.add(place)
    kept: list[Writable] = []
    for place in sorted(found, key=lambda item: (len(item.path), item.path, not item.folder)):
        if not any(other.folder and _below(place.path, other.path) for other in kept):
            kept.append(place)
    return tuple(kept)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _one(pattern: str) -> Writable | None:
    text = pattern
    folder = False
    for ending in ("/**", "/*", "/"):
        if text.endswith(ending):
            text, folder = text.removesuffix(ending), True
            break
    clean = posixpath.normpath(text) if text else "/"
    if "\0" in pattern or not text.startswith("/") or clean != text or _WILD & set(text):
        raise DeniedError("guest.path_pattern", f"a write path must be a file, or a folder ending in /**: {pattern!r}")
    if _below(clean, "/tmp"):  # noqa: S108 - the sandbox's own
        return None
    if not _below(clean, WORKSPACE):
        raise DeniedError("guest.path_outside", f"only {WORKSPACE} and /tmp can be written: {pattern!r}")
    return Writable(clean, folder or clean == WORKSPACE)

"""What a pack says in writing: parsed strictly, because whoever can edit a pack could otherwise write anywhere.

Rules of a path, in a pack and everywhere in this package:

1. it is relative to the pack's root (`/workspace`); an absolute one must lie below the root,
2. its parts are names: not empty, not `.`, not `..`, no NUL, at most 255 bytes; the whole at most 4096,
3. it is not inside `.cordon-rollback`, where a rollback in progress keeps its journal,
4. no path is at the same time a file and a folder of another.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from executor import canonical
from executor.errors import InvalidInputError, RefusedError

ROOT: Final = "/workspace"
JOURNAL_FOLDER: Final = ".cordon-rollback"
SCHEMA: Final = "cordon.rollback/1"
ABSENT: Final = ""
"""Stands for the digest of a file that is not there."""
MAX_PATHS: Final = 100_000
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

ChangeKind = Literal["created", "modified", "deleted"]


class DamagedPackError(RefusedError):
    """A rollback pack is not as it was written; nothing was touched."""

    code = "rollback.damaged"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at one moment: `sha256` is `ABSENT` when it did not exist; `size` in bytes.

    `mode`: its permission bits, with which it comes back where it is gone; 0 where they are not known.
    """

    path: str
    sha256: str
    size: int
    mode: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What a run did to one file; `expected` says whether the pack's patterns allowed for it."""

    path: str
    kind: ChangeKind
    before: str
    after: str
    expected: bool


def relative(path: str) -> str:
    """`path` below the root, by the rules above; raises `InvalidInputError`."""
    inner = path.removeprefix(ROOT + "/") if path.startswith("/") else path
    parts = inner.split("/")
    if inner.startswith("/") or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise InvalidInputError(f"rollback path {path[:200]!r} is not a plain path below {ROOT}")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise InvalidInputError(f"rollback path {path[:200]!r} is not text") from None
    if max(sizes) > 255 or sum(sizes) + len(sizes) > 4096:
        raise InvalidInputError(f"rollback path {path[:60]!r}... is longer than a file system takes")
    if parts[0] == JOURNAL_FOLDER:
        raise InvalidInputError(f"rollback path {path[:200]!r} is inside {JOURNAL_FOLDER}")
    return inner


def entries(files: Mapping[str, bytes | None], modes: Mapping[str, int] | None = None) -> tuple[Entry, ...]:
    """The entries of `files` (None: not there), sorted by path; raises `InvalidInputError`.

    `modes`: permission bits of those of which they are known.
    """
    found: dict[str, Entry] = {}
    for path, content in files.items():
        mode = (modes or {}).get(path, 0) & 0o777
        inner = relative(path)
        if inner in found:
            raise InvalidInputError(f"rollback path {inner[:200]!r} is given twice")
        known = Entry(inner, ABSENT, 0) if content is None else Entry(inner, digest(content), len(content), mode)
        found[inner] = known
    check_paths(found.values())
    return tuple(found[path] for path in sorted(found))


def check_paths(items: Iterable[Entry]) -> None:
    """Raise `InvalidInputError` when an existing file is also a folder of another."""
    files = {entry.path for entry in items if entry.sha256 != ABSENT}
    for path in files:
        parts = path.split("/")
        for count in range(1, len(parts)):
            if (folder := "/".join(parts[:count])) in files:
                raise InvalidInputError(f"rollback path {folder[:200]!r} is both a file and a folder")


def digest(content: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()


def matcher(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for all `globs` (absolute in the sandbox): `**` crosses folders, `*` and `?` do not."""
    return re.compile("|".join(_glob(pattern) for pattern in globs) or r"(?!)")


def _glob(pattern: str) -> str:
    tokens = re.split(r"(\*\*/?|\*|\?)", pattern if pattern.startswith("/") else f"{ROOT}/{pattern}")
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "(?:" + "".join(known.get(token, re.escape(token)) for token in tokens) + r")\Z"


def seal(body: dict[str, Any]) -> bytes:
    """A self-checking file: the body and the digest of its canonical form."""
    return canonical.dumps({"body": body, "sha256": digest(canonical.dumps(body))})


def unseal(content: bytes, where: str) -> dict[str, Any]:
    """The body of a sealed file; raises `DamagedPackError`."""
    try:
        raw = canonical.loads(content, where=where)
    except InvalidInputError as error:
        raise DamagedPackError(str(error)) from None
    if not isinstance(raw, dict) or raw.keys() != {"body", "sha256"} or not isinstance(raw["body"], dict):
        raise DamagedPackError(f"{where}: not a sealed file")
    if not isinstance(raw["sha256"], str) or not _same(raw["sha256"], digest(canonical.dumps(raw["body"]))):
        raise DamagedPackError(f"{where}: was changed after it was written")
    body: dict[str, Any] = raw["body"]
    return body


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(errors="replace"), right.encode())


def to_json(items: Iterable[Entry]) -> list[dict[str, Any]]:
    """Entries as JSON values."""
    return [
        {"path": entry.path, "sha256": entry.sha256, "size": entry.size} | ({"mode": entry.mode} if entry.mode else {})
        for entry in items
    ]


def parse_entries(raw: object, where: str) -> tuple[Entry, ...]:
    """Entries from JSON values, under the rules of a path; raises `DamagedPackError`."""
    if not isinstance(raw, list) or len(raw) > MAX_PATHS:
        raise DamagedPackError(f"{where}: not a list of at most {MAX_PATHS} files")
    found = tuple(_entry(item, where) for item in raw)
    paths = [entry.path for entry in found]
    if paths != sorted(set(paths)):
        raise DamagedPackError(f"{where}: paths are not sorted, or not unique")
    try:
        check_paths(found)
    except InvalidInputError as error:
        raise DamagedPackError(f"{where}: {error}") from None
    return found


def _entry(raw: object, where: str) -> Entry:
    if not isinstance(raw, dict) or raw.keys() - {"mode"} != {"path", "sha256", "size"}:
        raise DamagedPackError(f"{where}: a file has path, sha256, size, and mode where that is known")
    path, sha256, size, mode = raw["path"], raw["sha256"], raw["size"], raw.get("mode", 0)
    if type(mode) is not int or not ("mode" in raw) <= mode <= 0o777:
        raise DamagedPackError(f"{where}: a file's mode is nothing but permission bits")
    if not isinstance(path, str) or not isinstance(sha256, str) or type(size) is not int or size < 0:
        raise DamagedPackError(f"{where}: a file's path, sha256 or size has the wrong type")
    if sha256 != ABSENT and not _DIGEST.fullmatch(sha256):
        raise DamagedPackError(f"{where}: {sha256[:80]!r} is no digest")
    try:
        if relative(path) != path:
            raise DamagedPackError(f"{where}: path {path[:200]!r} is not relative")
    except InvalidInputError as error:
        raise DamagedPackError(f"{where}: {error}") from None
    return Entry(path, sha256, size, mode)

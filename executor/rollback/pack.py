"""Make, complete, read and check rollback packs.

A pack is the folder `rollback` of a run's folder:

    before.json      what may change, and every file's digest before the run (sealed: see manifest.py)
    blobs/<sha256>   the files' contents before the run
    after.json       every file's digest after it, bound to before.json by digest (written by `complete`)

The digest of a pack goes into `rollback_event.CREATED`; who hands that digest to `verify` or `apply` also detects a
pack that was rewritten as a whole.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.errors import InvalidInputError, OutsideError
from executor.keys.atomic import sync_folder, write_atomic
from executor.paths import private_dir
from executor.rollback.manifest import (
    ABSENT,
    SCHEMA,
    Change,
    DamagedPackError,
    Entry,
    digest,
    entries,
    matcher,
    parse_entries,
    relative,
    seal,
    to_json,
    unseal,
)

FOLDER: Final = "rollback"
FILE_MODE: Final = 0o600
"""Pre-images are the workspace's contents: for the executor's eyes."""
MAX_MANIFEST: Final = 64 << 20
"""Bytes of before.json or after.json read: `MAX_PATHS` files with long names."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as read or written. `after` is None until the run's end was recorded."""

    folder: Path
    digest: str
    """SHA-256 of before.json."""
    may_change: tuple[str, ...]
    before: tuple[Entry, ...]
    after: tuple[Entry, ...] | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the run did, by path; empty before `complete`. Files not looked at afterwards are not in it."""
        old = {entry.path: entry for entry in self.before}
        allowed = matcher(self.may_change)
        return tuple(
            _change(old.get(entry.path, Entry(entry.path, ABSENT, 0)), entry, allowed)
            for entry in self.after or ()
            if entry.sha256 != old.get(entry.path, Entry(entry.path, ABSENT, 0)).sha256
        )

    def to_json(self) -> dict[str, Any]:
        """The pack as JSON values, for `show`, events and reports."""
        return {
            "digest": self.digest,
            "may_change": list(self.may_change),
            "before": to_json(self.before),
            "complete": self.after is not None,
            "changes": [
                {
                    "path": change.path,
                    "kind": change.kind,
                    "before": change.before,
                    "after": change.after,
                    "expected": change.expected,
                }
                for change in self.changes
            ],
        }

    def event_data(self) -> dict[str, Any]:
        """What `rollback_event.CREATED` and `.COMPLETE` say: digest and counts, no names."""
        return {"pack": f"sha256:{self.digest}", "files": len(self.before), "changes": len(self.changes)}


def create(
    run_dir: Path,
    before: Mapping[str, bytes | None],
    may_change: Iterable[str],
    modes: Mapping[str, int] | None = None,
) -> Pack:
    """Write the pack of a run that is about to start. `before`: path -> content, None where nothing is.

    `modes`: path -> permission bits, where they are known.

    Raises `InvalidInputError` for a path that is no path below the workspace, or when there is a pack already.
    """
    found, patterns = entries(before, modes), tuple(may_change)
    folder = private_dir(run_dir / FOLDER)
    if (folder / "before.json").exists():
        raise InvalidInputError(f"{folder}: this run has a rollback pack already")
    blobs = private_dir(folder / "blobs")
    for content in {digest(content): content for content in before.values() if content is not None}.values():
        write_atomic(blobs / digest(content), content, FILE_MODE)
    sealed = seal({"schema": SCHEMA, "may_change": list(patterns), "files": to_json(found)})
    write_atomic(folder / "before.json", sealed, FILE_MODE)
    sync_folder(run_dir)
    return Pack(folder, digest(sealed), patterns, found)


def complete(pack: Pack, after: Mapping[str, bytes | None]) -> Pack:
    """Record how the files are after the run (None: gone). Files that are not in `after` were not looked at."""
    found = entries(after)
    sealed = seal({"schema": SCHEMA, "pack": pack.digest, "files": to_json(found)})
    write_atomic(pack.folder / "after.json", sealed, FILE_MODE)
    return Pack(pack.folder, pack.digest, pack.may_change, pack.before, found)


def load(run_dir: Path) -> Pack:
    """The pack of a run; raises `InvalidInputError` when there is none, `DamagedPackError` when it was changed."""
    folder = run_dir / FOLDER
    if not (folder / "before.json").is_file():
        raise InvalidInputError(f"{run_dir}: no rollback pack here")
    content = _read(folder / "before.json")
    body = unseal(content, "before.json")
    patterns = body.get("may_change")
    if body.keys() != {"schema", "may_change", "files"} or body["schema"] != SCHEMA:
        raise DamagedPackError(f"before.json: not {SCHEMA}")
    if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
        raise DamagedPackError("before.json: may_change is not a list of texts")
    files = parse_entries(body["files"], "before.json")
    return Pack(folder, digest(content), tuple(patterns), files, _load_after(folder, digest(content)))


show = load
"""Reading a pack is showing it: `Pack.to_json` has everything."""


def verify(run_dir: Path, *, expected: str = "") -> Pack:
    """The pack, with every byte checked; `expected` is the digest on record (empty: not known).

    Raises `DamagedPackError` naming what does not fit.
    """
    pack = load(run_dir)
    if expected and not hmac.compare_digest(expected.removeprefix("sha256:").encode(), pack.digest.encode()):
        raise DamagedPackError("before.json: is not the one whose digest is on record")
    for entry in pack.before:
        if entry.sha256 != ABSENT:
            pre_image(pack, entry)
    return pack


def pre_image(pack: Pack, entry: Entry) -> bytes:
    """The content of `entry` before the run; raises `DamagedPackError` when the pack has other bytes for it."""
    path = pack.folder / "blobs" / entry.sha256
    try:
        content = b"" if path.is_symlink() else path.read_bytes()
    except OSError as error:
        raise DamagedPackError(f"pre-image of {relative(entry.path)!r}: {error.strerror}") from None
    if len(content) != entry.size or not hmac.compare_digest(digest(content), entry.sha256):
        raise DamagedPackError(f"pre-image of {relative(entry.path)!r}: other bytes than were written")
    return content


def _load_after(folder: Path, before: str) -> tuple[Entry, ...] | None:
    path = folder / "after.json"
    if not path.is_file():
        return None
    body = unseal(_read(path), "after.json")
    if body.keys() != {"schema", "pack", "files"} or body["schema"] != SCHEMA:
        raise DamagedPackError(f"after.json: not {SCHEMA}")
    if not isinstance(body["pack"], str) or body["pack"] != before:
        raise DamagedPackError("after.json: belongs to another pack")
    return parse_entries(body["files"], "after.json")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_MANIFEST + 1)
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_MANIFEST:
        raise DamagedPackError(f"{path.name}: over {MAX_MANIFEST} bytes")
    return content


def _change(old: Entry, new: Entry, allowed: Any) -> Change:
    if old.sha256 == ABSENT:
        kind: Any = "created"
    else:
        kind = "deleted" if new.sha256 == ABSENT else "modified"
    expected = allowed.fullmatch(f"/workspace/{new.path}") is not None
    return Change(new.path, kind, old.sha256, new.sha256, expected)

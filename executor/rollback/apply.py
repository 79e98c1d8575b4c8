"""Put the files of a pack back into a target tree, and prove it.

Admission, in this order; until all of it holds nothing is touched:

1. the pack is whole (every pre-image has the digest that is written down; `expected`, when the digest is on record),
2. no other pack's rollback is unfinished in the target,
3. every file is as the run left it, or as it was before; anything else was changed since, and only `force` overrides.

Then a journal is written into the target, each file is replaced in one step, and everything is read again: `Proof` is
returned only when each digest is the one from before. After an interruption the same call goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor import canonical
from executor.errors import OutsideError, RefusedError
from executor.rollback.manifest import ABSENT, SCHEMA, DamagedPackError, Entry, digest, seal, unseal
from executor.rollback.pack import Pack, pre_image, verify
from executor.rollback.tree import Tree


class ConflictError(RefusedError):
    """The target is not as the run left it, or another rollback is unfinished there. Nothing was touched."""

    code = "rollback.conflict"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a rollback did, all of it read back. `tree` is the digest over every path and its content's digest."""

    pack: str
    restored: tuple[str, ...]
    removed: tuple[str, ...]
    untouched: tuple[str, ...]
    resumed: bool
    tree: str

    def to_json(self) -> dict[str, Any]:
        """The proof as JSON values."""
        return {
            "pack": f"sha256:{self.pack}",
            "restored": list(self.restored),
            "removed": list(self.removed),
            "untouched": list(self.untouched),
            "resumed": self.resumed,
            "tree": f"sha256:{self.tree}",
        }


def apply(
    run_dir: Path,
    target: Path,
    *,
    expected: str = "",
    force: bool = False,
    step: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Restore the pack of `run_dir` in `target`. `step` is told each step before it is taken.

    Raises `DamagedPackError`, `ConflictError`, or `OutsideError` when the target cannot be written.
    """
    pack = verify(run_dir, expected=expected)
    wanted = goal(pack)
    with Tree(target) as tree:
        resumed = _unfinished(tree, pack)
        states = {entry.path: tree.state(entry.path) for entry in wanted}
        todo = [entry for entry in wanted if states[entry.path] != entry.sha256]
        if conflicts := [entry.path for entry in todo if not _movable(pack, entry, states[entry.path], force=force)]:
            raise ConflictError(f"{len(conflicts)} files were changed since the run, first {conflicts[0]!r}")
        try:
            step("journal")
            tree.write_journal(seal({"schema": SCHEMA, "pack": pack.digest}))
            for entry in todo:
                step(entry.path)
                if entry.sha256 == ABSENT:
                    tree.remove(entry.path)
                else:
                    tree.clear_folders(entry.path, _created(pack))
                    tree.replace(entry.path, pre_image(pack, entry), entry.mode)
            step("prove")
            proof = _prove(tree, pack, wanted, todo, resumed=resumed)
            step("end")
            tree.end_journal()
        except OSError as error:
            raise OutsideError(f"{target}: {error.strerror}; the rollback can be resumed") from None
    return proof


def goal(pack: Pack) -> tuple[Entry, ...]:
    """How the target is to be: each file as before, and what the run created gone."""
    created = (Entry(path, ABSENT, 0) for path in _created(pack))
    return tuple(sorted((*pack.before, *created), key=lambda entry: (entry.sha256 != ABSENT, entry.path)))


def _created(pack: Pack) -> list[str]:
    known = {entry.path for entry in pack.before}
    return [entry.path for entry in pack.after or () if entry.path not in known]


def _unfinished(tree: Tree, pack: Pack) -> bool:
    """Whether this pack's rollback was interrupted here; raises `ConflictError` when another one's was."""
    content = tree.read_journal()
    if content is None:
        return False
    try:
        started = unseal(content, "journal").get("pack")
    except DamagedPackError:
        started = None
    if started != pack.digest:
        raise ConflictError("a rollback of another pack was interrupted in this target: finish that one first")
    return True


def _movable(pack: Pack, entry: Entry, found: str | None, *, force: bool) -> bool:
    """Whether `found` may be replaced: it is what the run left, or nobody looked, or it is a file and `force`."""
    if found is None:  # a link, a device, a folder: only a folder that the run made may have to go
        return any(path.startswith(f"{entry.path}/") for path in _created(pack))
    left = {item.path: item.sha256 for item in pack.after or ()}
    return force or found == left.get(entry.path, found)


def _prove(tree: Tree, pack: Pack, wanted: tuple[Entry, ...], todo: list[Entry], *, resumed: bool) -> Proof:
    for entry in wanted:
        if tree.state(entry.path) != entry.sha256:
            raise OutsideError(f"{tree.path}: {entry.path!r} is not as before although it was just restored")
    changed = {entry.path for entry in todo}
    return Proof(
        pack=pack.digest,
        restored=tuple(_paths(entry for entry in todo if entry.sha256 != ABSENT)),
        removed=tuple(_paths(entry for entry in todo if entry.sha256 == ABSENT)),
        untouched=tuple(_paths(entry for entry in wanted if entry.path not in changed)),
        resumed=resumed,
        tree=digest(canonical.dumps([[entry.path, entry.sha256] for entry in wanted])),
    )


def _paths(items: Iterator[Entry]) -> list[str]:
    return [entry.path for entry in items]

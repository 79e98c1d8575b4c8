"""Where two policy directories differ: pieces of text that can be taken back one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from harness.mutate.text import Edit, Source
from harness.mutate.tree import DATA_NAMES


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that differ without a break, of a file that decides (rules or data, no tests)."""

    path: str
    """Relative to the policy directory."""
    line: int
    """Where the new lines begin in the changed file, from 1; where they are missing, the line before them."""
    removed: tuple[str, ...]
    added: tuple[str, ...]
    back: Edit | None
    """What takes it back in the changed file; None for a file that only one side has."""

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.path}:{self.line}"

    @property
    def decides(self) -> bool:
        """Whether more than comments and empty lines differ."""
        return any(text and not text.startswith("#") for text in map(str.strip, (*self.removed, *self.added)))

    def lines(self) -> tuple[str, ...]:
        """As a diff shows them."""
        return (*(f"-{line}" for line in self.removed), *(f"+{line}" for line in self.added))


def is_test(path: str) -> bool:
    """Whether a file only tests."""
    return path.endswith("_test.rego")


def deciding_files(root: Path) -> dict[str, Path]:
    """The rules and data below `root`, by their path in it."""
    return {
        file.relative_to(root).as_posix(): file
        for file in sorted(root.rglob("*"))
        if file.is_file() and (file.name in DATA_NAMES or (file.suffix == ".rego" and not is_test(file.name)))
    }


def hunks(base: Path, changed: Path) -> tuple[Hunk, ...]:
    """How `changed` differs from `base`, by file and line; raises `UnicodeDecodeError` for a file that is no text."""
    before, after = deciding_files(base), deciding_files(changed)
    found: list[Hunk] = []
    for path in sorted({*before, *after}):
        # As bytes: line ends are part of what differs.
        old = before[path].read_bytes().decode() if path in before else ""
        new = after[path].read_bytes().decode() if path in after else ""
        if path in before and path in after:
            found += _within(path, old, new)
        else:
            found.append(Hunk(path, 1, tuple(old.splitlines()), tuple(new.splitlines()), None))
    return tuple(found)


def _within(path: str, old: str, new: str) -> Iterator[Hunk]:
    source = Source(path, new)
    was, now = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for kind, i1, i2, j1, j2 in SequenceMatcher(a=was, b=now, autojunk=False).get_opcodes():
        if kind != "equal":
            start = sum(map(len, now[:j1]))
            back = Edit(start, start + sum(map(len, now[j1:j2])), "".join(was[i1:i2]))
            removed, added = (tuple(line.rstrip("\r\n") for line in lines) for lines in (was[i1:i2], now[j1:j2]))
            yield Hunk(source.path, j1 + 1 if added else max(j1, 1), removed, added, back)

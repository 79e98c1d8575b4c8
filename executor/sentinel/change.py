"""A unified diff as a reviewer must read it: what it adds, file by file, and everything that is no part of a hunk.

unidiff finds the hunks. What it takes for prose between them is reviewed as well, because GNU patch is more generous
(indented diffs, other formats): text that only one of the two understands must not be text that nobody has read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from executor.errors import InvalidInputError

_BINARY: Final = ("GIT binary patch", "Binary files ", "Binary file ")


@dataclass(frozen=True, slots=True)
class Added:
    """Text that a patch brings along: where to, the text, and the line each of its lines has there."""

    path: str
    text: str
    lines: tuple[int, ...]

    def line(self, number: int) -> int:
        """The line in the file of the text's line `number` (from 1)."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else 0


@dataclass(frozen=True, slots=True)
class Change:
    """A patch, taken apart."""

    added: tuple[Added, ...]
    outside: Added
    """Lines that belong to no hunk (headers, prose), placed by their line in the patch."""
    paths: tuple[str, ...]
    """Files that exist afterwards, as the patch names them."""
    gone: frozenset[str]
    """Files that the patch takes away, the old names of renamed ones among them."""
    prefixed: bool
    """Names carry git's `a/` and `b/`."""
    binary: bool
    """Holds a binary part, which no reader of text can judge."""


def read_change(patch: str) -> Change:
    """`patch` taken apart; raises `InvalidInputError` when it is not a well-formed unified diff with changes in it."""
    try:
        parsed = PatchSet(io.StringIO(patch, newline="\n"))
    except UnidiffParseError as error:
        raise InvalidInputError(f"patch: {str(error)[:200]!r}") from None
    except (ValueError, IndexError, TypeError, AttributeError) as error:  # what odd headers have got out of it
        raise InvalidInputError(f"patch: not a unified diff ({type(error).__name__})") from None
    if not parsed or any(not file and file.patch_info is None for file in parsed):
        raise InvalidInputError("patch: no file header and hunk of a unified diff in it, or a header without a hunk")
    inside: set[int] = set()
    added = []
    for file in parsed:
        lines = [line for hunk in file for line in hunk]
        inside.update(line.diff_line_no for line in lines if line.diff_line_no is not None)
        new = [line for line in lines if line.is_added]
        text = "".join(line.value if line.value.endswith("\n") else line.value + "\n" for line in new)
        added.append(Added(file.path, text, tuple(line.target_line_no or 0 for line in new)))
    return Change(
        added=tuple(added),
        outside=_outside(patch, inside),
        paths=tuple(file.path for file in parsed if not file.is_removed_file),
        gone=frozenset(_gone(parsed)),
        prefixed=all(name.startswith(("a/", "b/")) for file in parsed for name in _names(file)),
        binary=any(file.is_binary_file for file in parsed) or any(_binary_lines(patch, inside)),
    )


def _names(file: PatchedFile) -> list[str]:
    return [name.strip('"') for name in (file.source_file, file.target_file) if name != "/dev/null"]


def _gone(parsed: PatchSet) -> Iterator[str]:
    for file in parsed:
        if file.is_removed_file:
            yield file.path
        elif file.is_rename:
            yield file.source_file.removeprefix("a/")


def _outside(patch: str, inside: set[int]) -> Added:
    rest = [(number, line) for number, line in enumerate(patch.split("\n"), 1) if number not in inside]
    return Added("patch", "\n".join(line for _, line in rest), tuple(number for number, _ in rest))


def _binary_lines(patch: str, inside: set[int]) -> Iterator[bool]:
    for number, line in enumerate(patch.split("\n"), 1):
        yield number not in inside and line.startswith(_BINARY)

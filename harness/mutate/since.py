"""Which lines of a directory changed since a git revision; a file git does not know changed from end to end."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from executor.errors import InvalidInputError, OutsideError

GIT_DEADLINE_S: Final = 60
_HUNK: Final = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")


@dataclass(slots=True)
class ChangedLines:
    """Line ranges by file, and files that are new as a whole."""

    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def touches(self, path: str, first: int, last: int) -> bool:
        """Whether any line from `first` to `last` of `path` changed; lines removed touch both their neighbours."""
        if path in self.whole:
            return True
        return any(first <= high and low <= last for low, high in self.ranges.get(path, []))


def changed_lines(root: Path, revision: str) -> ChangedLines:
    """The lines below `root` that differ from `revision`, committed or not; `InvalidInputError` when there is none."""
    if revision.startswith("-"):
        raise InvalidInputError(f"{revision}: not a revision")
    diff = _git(root, "diff", "--unified=0", "--no-color", "--no-ext-diff", "--no-renames", "--relative",
                "--src-prefix=a/", "--dst-prefix=b/", revision, "--", ".")  # fmt: skip
    new = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return ChangedLines(parse_diff(diff), frozenset(path for path in new.split("\0") if path))


def parse_diff(diff: str) -> dict[str, list[tuple[int, int]]]:
    """Ranges of lines (first, last) on the new side of a `-U0` diff, by file."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    path = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/").rstrip("\t")
        elif found := _HUNK.match(line):
            first, count = int(found[1]), int(found[2] or 1)
            ranges.setdefault(path, []).append((first, first + count - 1) if count else (first, first + 1))
    return ranges


def _git(root: Path, *args: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", *args],
            cwd=root, capture_output=True, timeout=GIT_DEADLINE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutsideError(f"cannot run git: {error}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInputError(f"--since: {words[0] if words else 'git refused'}")
    return done.stdout.decode(errors="replace")

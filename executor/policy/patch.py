"""Which files a unified diff touches. Hunks are counted, so that a changed line that looks like a header is not one."""

from __future__ import annotations

import re
from typing import Final

WORKSPACE: Final = "/workspace"
_HUNK: Final = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_NAMED: Final = ("rename from ", "rename to ", "copy from ", "copy to ")


def touched_paths(patch: str) -> tuple[str, ...]:
    """Paths named by the headers of `patch`, absolute in the sandbox, sorted; empty when none can be read.

    A path is kept as written (`..` and all), below /workspace unless it is absolute: the policy judges it.
    """
    found: set[str] = set()
    old = new = 0
    for line in patch.split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] in {"-", " ", ""}
            new -= line[:1] in {"+", " ", ""}
        elif hunk := _HUNK.match(line):
            old, new = (int(count) if count is not None else 1 for count in hunk.groups())
        elif line.startswith(("--- ", "+++ ")):
            found.update(_header(line[4:]))
        elif line.startswith("diff --git "):
            found.update(_git_header(line[len("diff --git ") :]))
        elif name := next((prefix for prefix in _NAMED if line.startswith(prefix)), None):
            found.add(line[len(name) :])
    return tuple(sorted(path if path.startswith("/") else f"{WORKSPACE}/{path}" for path in found))


def _header(rest: str) -> set[str]:
    name = rest.split("\t", 1)[0]
    if name == "/dev/null":
        return set()
    return {name[2:] if name[:2] in {"a/", "b/"} else name}


def _git_header(rest: str) -> set[str]:
    """Both names of a `diff --git` line; a name with a space in it may be cut wrongly and is then refused as a path."""
    names = rest.split(" b/", 1)
    return {name[2:] if name[:2] in {"a/", "b/"} else name for name in names}

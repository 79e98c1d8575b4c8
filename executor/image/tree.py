"""Turns the tar of a Debian root into the tar of the guest's root. Decides only: bytes in, bytes out, no paths on disk.

Admission rules for every entry, in this order:

1. what the recipe drops is gone;
2. no entry keeps a set-uid or set-gid bit, extended attributes, or a time after the recipe's;
3. an executable that the capability map names belongs to its capability's group with mode 0750: only a task that was
   granted the capability is in the group, so anybody else can neither run nor read (and so not copy) it;
4. the loader and the launcher stay 0755;
5. every other executable is for guest root alone (0700): what nobody mapped, no task runs.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from executor.errors import InvalidInputError

MAP_SCHEMA: Final = "cordon.capability_map/1"
_LIBRARY: Final = re.compile(r"\.so(\.[0-9]+)*$")
_SCRIPT_LIBRARY: Final = re.compile(r"\.(py|pm|pl|cmake)$")


@dataclass(frozen=True, slots=True)
class CapabilityMap:
    """Which executable needs which capability; patterns over absolute paths of real files."""

    groups: Mapping[str, int]
    patterns: Mapping[str, tuple[str, ...]]
    system: frozenset[str]

    def capability(self, path: str) -> str | None:
        """The capability that the file at `path` needs; None when no list names it."""
        for name, patterns in self.patterns.items():
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                return name
        return None


def parse_map(text: str, *, where: str = "capability_map.json") -> CapabilityMap:
    """The map in `text`; raises `InvalidInputError` when it is not one."""
    raw: dict[str, Any] = json.loads(text)
    if raw.get("schema") != MAP_SCHEMA:
        raise InvalidInputError(f"{where}: schema is {raw.get('schema')!r}, expected {MAP_SCHEMA!r}")
    entries: dict[str, dict[str, Any]] = raw["capabilities"]
    groups = {name: int(entry["gid"]) for name, entry in entries.items()}
    if len(set(groups.values())) != len(groups) or min(groups.values()) < 2000:
        raise InvalidInputError(f"{where}: every capability needs a group id of its own, 2000 or higher")
    return CapabilityMap(
        groups=groups,
        patterns={name: tuple(entry["paths"]) for name, entry in entries.items()},
        system=frozenset(raw["system"]["paths"]),
    )


@dataclass(frozen=True, slots=True)
class Attributes:
    """What an entry of the root becomes."""

    mode: int
    gid: int
    capability: str | None = None


def is_dropped(path: str, drop: Iterable[str], keep: Iterable[str]) -> bool:
    """Whether the entry at `path` (no leading slash) is left out."""
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in keep):
        return False
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in drop)


def attributes(path: str, mode: int, gid: int, capabilities: CapabilityMap) -> Attributes:
    """Mode and group of the regular file at absolute `path`."""
    bare = mode & 0o777
    if path in capabilities.system:
        return Attributes(0o755, 0)
    if (capability := capabilities.capability(path)) is not None:
        return Attributes(0o750, capabilities.groups[capability], capability)
    if not bare & 0o111:
        return Attributes(bare, gid)
    if _LIBRARY.search(path) or _SCRIPT_LIBRARY.search(path):
        return Attributes(bare & 0o644, gid)
    return Attributes(0o700, 0)


@dataclass(slots=True)
class Executables:
    """Collects which real files each capability came to mean in this image."""

    by_capability: dict[str, list[str]] = field(default_factory=dict)

    def add(self, capability: str, path: str) -> None:
        """Note that `path` belongs to `capability`."""
        self.by_capability.setdefault(capability, []).append(path)

    def listing(self, capability: str) -> bytes:
        """One path per line, sorted: what the launcher grants."""
        return "".join(f"{path}\n" for path in sorted(self.by_capability.get(capability, []))).encode()


def list_name(capability: str) -> str:
    """File name of a capability's list below /opt/cordon/exec.d."""
    return capability.replace(":", "_")

"""Which capability a program needs, by the file itself. The agent's own check, whatever the host decided.

Pure but for `identities`, which stats the files the image lists. The kernel enforces the same map a second and third
time: by the files' group and mode, and by Landlock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from executor.guest.errors import DeniedError

EXEC_LISTS: Final = "/opt/cordon/exec.d"
SYSTEM: Final = "system"
"""Name of the list everybody may execute: the program loader."""
OTHER_CAPABILITIES: Final = frozenset({"exec:artefact", "fs:write_tmp", "net:egress", "res:high_cpu", "res:large_mem"})
"""Known tokens that grant no program."""

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The static map: identity of an executable -> capability; and each capability's group."""

    by_identity: Mapping[Identity, str]
    groups: Mapping[str, int]
    root_device: int

    def check_known(self, capabilities: Iterable[str]) -> None:
        """Refuse tokens nobody knows: a wrong host decision must not become a silent grant."""
        unknown = sorted(set(capabilities) - set(self.groups) - OTHER_CAPABILITIES)
        if unknown:
            raise DeniedError("guest.capability_unknown", f"no such capability: {', '.join(unknown)}")

    def gids(self, capabilities: Iterable[str]) -> tuple[int, ...]:
        """Groups of those of `capabilities` that programs need, sorted."""
        return tuple(sorted(self.groups[name] for name in set(capabilities) & set(self.groups)))

    def exec_lists(self, capabilities: Iterable[str]) -> tuple[str, ...]:
        """Files listing what may be executed, for the launcher."""
        names = sorted(set(capabilities) & set(self.groups))
        return tuple(f"{EXEC_LISTS}/{name.replace(':', '_')}" for name in (SYSTEM, *names))

    def check(self, identity: Identity, path: str, granted: frozenset[str], *, own_files: bool) -> None:
        """Raises `DeniedError` unless the file `identity`, found at `path`, may be executed with `granted`."""
        if identity[0] != self.root_device:
            if not own_files:
                raise DeniedError(
                    "guest.capability_not_granted", f"{path} is no program of the image; running it needs dev:compiler"
                )
            return
        needed = self.by_identity.get(identity)
        if needed is None:
            raise DeniedError("guest.capability_not_granted", f"{path} is in no capability of the map")
        if needed != SYSTEM and needed not in granted:
            raise DeniedError("guest.capability_not_granted", f"{path} needs {needed}")


def identities(groups: Mapping[str, int]) -> dict[Identity, str]:
    """Device and inode of every program the image lists."""
    found: dict[Identity, str] = {}
    for name in (SYSTEM, *groups):
        with open(f"{EXEC_LISTS}/{name.replace(':', '_')}", encoding="utf-8") as listing:  # noqa: PTH123 - pathlib costs 60 ms of boot
            for line in listing:
                facts = os.stat(line.rstrip("\n"))  # noqa: PTH116 - as above
                found[facts.st_dev, facts.st_ino] = name
    return found

"""Which control groups this host has: pure readers of the kernel's tables, and the probe around them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from executor.host.facts import Cgroup

Kind = Literal["v2", "hybrid", "v1", "none"]
CONTROLLERS: Final = ("memory", "cpu", "pids")
"""What QEMU is held by."""
LEAF: Final = "cordon-executor"
"""Version 2: a group with groups below it may hold no process, so the executor moves into this one."""
DELEGATED: Final = ("user.delegate", "trusted.delegate")
"""Extended attributes by which systemd marks a group that was given away (`Delegate=`)."""


@dataclass(frozen=True, slots=True)
class Homes:
    """Our own group in each hierarchy that has a controller of `CONTROLLERS`."""

    version: Literal[0, 1, 2] = 0
    """0: there is none."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Controller -> folder; with version 2 the same one for all."""


def read_mounts(mountinfo: str) -> tuple[Kind, str]:
    """(kind, mount point of version 2 or empty) from the text of /proc/self/mountinfo (proc(5))."""
    first, second = False, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        file_system = after.split(" ")[0]
        if file_system == "cgroup":
            first = True
        elif file_system == "cgroup2" and not second:
            second = before.split(" ")[4]
    if first:
        return ("hybrid" if second else "v1"), second
    return ("v2" if second else "none"), second


def own_group(membership: str) -> str:
    """Our group in version 2, from the text of /proc/self/cgroup; `/` when there is none."""
    for line in membership.splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def homes(mountinfo: str, membership: str, second_has: frozenset[str]) -> Homes:
    """Where our groups are. `second_has`: the controllers of version 2, where it is mounted.

    A controller is in one hierarchy only; version 2 is taken where it has them all, version 1 where that does.
    """
    kind, mount = read_mounts(mountinfo)
    if mount and set(CONTROLLERS) <= second_has:
        own = PurePosixPath(own_group(membership))
        if own.name == LEAF:
            own = own.parent
        return Homes(2, dict.fromkeys(CONTROLLERS, Path(mount, str(own).lstrip("/"))))
    if kind in {"v1", "hybrid"}:
        groups = {name: line.split(":", 2)[2] for line in membership.splitlines() for name in _controllers(line)}
        folders = dict(_first(mountinfo, groups))
        if set(CONTROLLERS) <= folders.keys():
            return Homes(1, folders)
    return Homes()


def _controllers(line: str) -> list[str]:
    """The controllers a line of /proc/PID/cgroup is about."""
    return [name for name in line.split(":", 2)[1].split(",") if name]


def _first(mountinfo: str, groups: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Controller of version 1 -> the folder of our group, as far as it is mounted."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        file_system, _, options = after.split(" ", 2)
        if file_system != "cgroup":
            continue
        root, mount = before.split(" ")[3:5]
        for name in set(options.split(",")) & set(CONTROLLERS) & groups.keys():
            inside = groups[name]
            if root != "/" and (inside + "/").startswith(root + "/"):
                inside = inside[len(root) :]  # only a part of the hierarchy is mounted here
            found.append((name, Path(mount, inside.lstrip("/"))))
    return found


def look() -> Homes:
    """Our groups on this host."""
    mountinfo = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    membership = Path("/proc/self/cgroup").read_text("utf-8", "replace")
    return homes(mountinfo, membership, _second_has(read_mounts(mountinfo)[1]))


def _second_has(mount: str) -> frozenset[str]:
    try:
        return frozenset(Path(mount, "cgroup.controllers").read_text("ascii").split()) if mount else frozenset()
    except OSError:
        return frozenset()


def why_not(found: Homes) -> str:
    """Why no groups can be made below `found`; empty where they can."""
    if not found.version:
        return "no hierarchy has the controllers memory, cpu and pids"
    for name, folder in found.folders.items():
        if not os.access(folder, os.W_OK):
            return f"{folder} ({name}) may not be written"
    own = found.folders[CONTROLLERS[0]]
    enabled = found.version == 1 or set(CONTROLLERS) <= set(_words(own / "cgroup.subtree_control"))
    if not enabled and not delegated(own):
        return f"{own} is not delegated (the systemd unit has Delegate=)"
    return ""


def delegated(folder: Path) -> bool:
    """Whether systemd gave `folder` away, to be arranged as whoever has it likes."""
    for name in DELEGATED:
        try:
            if os.getxattr(folder, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _words(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").split()
    except OSError:
        return []


def cgroup() -> Cgroup:
    """The control groups of this host, and whether QEMU can be held by groups of ours."""
    found = look()
    kind, _ = read_mounts(Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
    return Cgroup(kind, why_not(found), found.version)

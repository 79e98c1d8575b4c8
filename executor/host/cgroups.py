"""Which control groups this host has: a pure reader of mountinfo, and the probe around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from executor.host.facts import Cgroup

Kind = Literal["v2", "hybrid", "v1", "none"]


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


def cgroup() -> Cgroup:
    """The control groups of this host, and whether a group can be made below our own."""
    kind, mount = read_mounts(Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
    if not mount:
        return Cgroup(kind, may_create=False, controllers=frozenset())
    own = Path(mount, own_group(Path("/proc/self/cgroup").read_text("utf-8")).lstrip("/"))
    try:
        controllers = frozenset(Path(mount, "cgroup.controllers").read_text("ascii").split())
    except OSError:
        controllers = frozenset()
    return Cgroup(kind, may_create=os.access(own, os.W_OK), controllers=controllers)

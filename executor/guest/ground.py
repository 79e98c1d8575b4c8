"""What a sandbox stands on: its root, a mount of its own, and a container in it. Rim."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from executor.guest import sandbox_plan, syscalls
from executor.guest.cgroup import Group
from executor.guest.container import BASE, Container
from executor.guest.workspace import remove_tree

_ROOT: Final = f"{BASE}/root"
_UPPER: Final = "/scratch/.root"


def make_root(terms: sandbox_plan.Terms) -> None:
    """A mount of its own for the sandbox's root: the runtime cannot pivot into `/` itself."""
    os.makedirs(_ROOT, exist_ok=True)  # noqa: PTH103 - pathlib costs 60 ms of boot
    if terms.has("readonly_root"):
        syscalls.mount("/", _ROOT, "", syscalls.MS_BIND)
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("", _ROOT, "", flags)
        return
    for folder in (_UPPER, f"{_UPPER}/upper", f"{_UPPER}/work"):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    data = f"lowerdir=/,upperdir={_UPPER}/upper,workdir={_UPPER}/work"
    syscalls.mount("overlay", _ROOT, "overlay", 0, data)


def unmake_root(*, kept: bool = False) -> None:
    """Take it down; `kept` leaves what was written to it, for the drill in which RESET wipes nothing."""
    syscalls.umount(_ROOT)
    if not kept:
        remove_tree(_UPPER)


def make_container(number: int, terms: sandbox_plan.Terms, workspace: str, seccomp: Mapping[str, Any]) -> Container:
    """Container `number` by `terms` over the folder `workspace`, its launcher waiting."""
    group = Group(f"t{number}")
    config = sandbox_plan.config(terms, root=_ROOT, workspace=workspace, cgroup=group.relative, seccomp=seccomp)
    container = Container(number, config, group)
    container.limit({}, sandbox_plan.lowered(terms))
    if terms.has("cgroup"):
        # The runtime is out of it by now: what is granted, and the launcher.
        group.limit_pids(terms.limits.pids + 1)
    return container

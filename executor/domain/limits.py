"""Limits on a QEMU process beyond those libvirt sets: they hold whatever the guest makes of it."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from executor.errors import OutsideError

MIB: Final = 1024 * 1024
OVERHEAD_MB: Final = 4096
"""Beyond the guest's memory: TCG's translation cache (1 GiB), 64 worker stacks, libraries; 1.7 GiB seen."""
FILE_MB: Final = 8192
"""The longest file: an overlay ends near the 2.3 GiB of the disk it stands for, a saved machine at its memory."""
_OPTIONS: Final[Mapping[int, str]] = {
    resource.RLIMIT_AS: "as",
    resource.RLIMIT_FSIZE: "fsize",
    resource.RLIMIT_MEMLOCK: "memlock",
    resource.RLIMIT_MSGQUEUE: "msgqueue",
}
"""What prlimit(1) calls them."""


def limits_for(memory_mb: int) -> dict[str, tuple[int, int]]:
    """Name of /proc/PID/limits -> (resource, limit in bytes or count), for a guest of `memory_mb` MiB."""
    return {
        "Max address space": (resource.RLIMIT_AS, (memory_mb + OVERHEAD_MB) * MIB),
        "Max file size": (resource.RLIMIT_FSIZE, FILE_MB * MIB),
        "Max locked memory": (resource.RLIMIT_MEMLOCK, 0),
        "Max msgqueue size": (resource.RLIMIT_MSGQUEUE, 0),
    }


def limit(pid: int, memory_mb: int, owner: tuple[int, int] | None = None) -> None:
    """Set them on process `pid`, which runs as `owner`; one that is gone needs none. Raises `OutsideError`.

    Lowering a limit of another account's process needs CAP_SYS_RESOURCE, which root in a container often lacks; the
    account itself may.
    """
    wanted = limits_for(memory_mb).values()
    try:
        for kind, value in wanted:
            resource.prlimit(pid, kind, (value, value))
    except ProcessLookupError:
        return
    except PermissionError:
        _limit_as(owner, pid, memory_mb)


def _limit_as(owner: tuple[int, int] | None, pid: int, memory_mb: int) -> None:
    values = {_OPTIONS[kind]: value for kind, value in limits_for(memory_mb).values()}
    uid, gid = owner or (None, None)
    done = subprocess.run(
        ["prlimit", f"--pid={pid}", *(f"--{name}={value}:{value}" for name, value in values.items())],
        user=uid,
        group=gid,
        extra_groups=[] if owner else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and Path("/proc", str(pid)).exists():
        raise OutsideError(f"QEMU's limits cannot be set: {done.stderr.strip() or 'prlimit failed'}")

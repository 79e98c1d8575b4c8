"""Calls on resource limits."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.groups import named
from executor.sim.calls.table import Memory, Raw, call, raw
from executor.sim.files.nodes import error
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

NOFILE: Final = 7


@call("limit")
def limit(k: Kernel, p: Process, kind: int) -> int:
    """A soft limit, as sysconf asks for it."""
    return p.limit(kind)


def _shown(value: int) -> int:
    return -1 if value >= 1 << 62 else value


@call("getrlimit", "prlimit64")
def getrlimit(k: Kernel, p: Process, kind: int) -> list[int]:
    """getrlimit."""
    soft, hard = p.limits.get(kind, (1 << 63, 1 << 63))
    return [_shown(soft), _shown(hard)]


@call("setrlimit", "prlimit64")
def setrlimit(k: Kernel, p: Process, kind: int, values: list[int]) -> None:
    """setrlimit: a hard limit only goes down."""
    change_limit(p, p, kind, values)


def change_limit(p: Process, target: Process, kind: int, values: list[int]) -> None:
    """New limits of `target`, asked for by `p`."""
    soft, hard = (1 << 63 if one < 0 or one >= 1 << 62 else one for one in values)
    if soft > hard:
        raise error(errno.EINVAL)
    if hard > target.limits.get(kind, (1 << 63, 1 << 63))[1]:
        p.need("SYS_RESOURCE")
    target.limits[kind] = (soft, hard)


@raw("setrlimit")
def raw_setrlimit(k: Kernel, p: Process, a: list[Any]) -> None:
    """setrlimit by number."""
    change_limit(p, p, a[0], _two(a[1].data))


def _two(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 8], "little") for at in (0, 8)]


@call("prlimit", "prlimit64")
def prlimit(k: Kernel, p: Process, pid: int, kind: int, values: list[int] | None) -> list[int]:
    """prlimit: of another process only with the same ids throughout."""
    target = named(k, p, pid)
    if target is not p:
        who, them = p.credentials, target.credentials
        same = {who.uid[0]} == set(them.uid) and {who.gid[0]} == set(them.gid)
        if not same:
            p.need("SYS_RESOURCE")
    before = getrlimit(k, target, kind)
    if values:
        change_limit(p, target, kind, values)
    return before


@raw("prlimit64")
def raw_prlimit(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """prlimit by number."""
    before = prlimit(k, p, a[0], a[1], _two(a[2].data) if isinstance(a[2], Memory) else None)
    data = b"".join((one & (1 << 64) - 1).to_bytes(8, "little") for one in before)
    return Raw(0, ((a[3].address, data),) if isinstance(a[3], Memory) and a[3].address else ())

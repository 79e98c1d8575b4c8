"""Calls on other processes' inside: ptrace, their memory, their descriptors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from executor.sim.calls.identity import may_look
from executor.sim.calls.table import raw
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


def _process(k: Kernel, pid: int) -> Process:
    found = k.processes.get(pid)
    if found is None or not found.alive:
        raise error(errno.ESRCH)
    return found


@raw("ptrace")
def ptrace(k: Kernel, p: Process, a: list[Any]) -> None:
    """ptrace: be traced, attach; Yama at 3 forbids both to everybody."""
    if a[0] not in {0, 16, 0x4206}:
        raise UnmodelledError(f"ptrace {a[0]}")
    scope = int(k.world.setting("kernel/yama/ptrace_scope"))
    if scope >= 3:
        raise error(errno.EPERM)
    if a[0] == 0:
        return
    target = _process(k, a[1])
    if not may_look(p, target):
        raise error(errno.EPERM)
    if scope >= 1 and target.parent is not p:
        p.need("SYS_PTRACE")


def _may_attach(k: Kernel, p: Process, pid: int) -> Process:
    target = _process(k, pid)
    if not may_look(p, target):
        raise error(errno.EPERM)
    if int(k.world.setting("kernel/yama/ptrace_scope")) >= 3:
        raise error(errno.EPERM)
    return target


def _vectors(data: bytes, count: int) -> list[tuple[int, int]]:
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, count * 16, 8)]
    return list(zip(words[::2], words[1::2], strict=True))


def _copy(k: Kernel, source: Process, taken: list[tuple[int, int]], target: Process, put: list[tuple[int, int]]) -> int:
    """Copy what `taken` describes in `source` to where `put` describes in `target`; how many bytes."""
    data = b"".join(k.memory(source, address, size) for address, size in taken)
    done = 0
    for address, size in put:
        k.set_memory(target, address, data[done : done + size])
        done += size
    return min(done, len(data))


@raw("process_vm_readv")
def process_vm_readv(k: Kernel, p: Process, a: list[Any]) -> int:
    """Read another process's memory."""
    target = _may_attach(k, p, a[0])
    return _copy(k, target, _vectors(a[3].data, a[4]), p, _vectors(a[1].data, a[2]))


@raw("process_vm_writev")
def process_vm_writev(k: Kernel, p: Process, a: list[Any]) -> int:
    """Write it."""
    target = _may_attach(k, p, a[0])
    return _copy(k, p, _vectors(a[1].data, a[2]), target, _vectors(a[3].data, a[4]))


@raw("pidfd_getfd")
def pidfd_getfd(k: Kernel, p: Process, a: list[Any]) -> int:
    """Take a descriptor out of another process."""
    opened = p.file(a[0])
    if opened.kind != "pidfd":
        raise error(errno.EBADF)
    return p.install(_may_attach(k, p, opened.extra.pid).file(a[1]))


@raw("kcmp")
def kcmp(k: Kernel, p: Process, a: list[Any]) -> int:
    """Compare two processes."""
    for pid in a[:2]:
        if not may_look(p, _process(k, pid)):
            raise error(errno.EPERM)
    return 1


@raw("move_pages", "process_madvise")
def other_memory(k: Kernel, p: Process, a: list[Any]) -> int:
    """Move or advise on another process's memory."""
    target = p.file(a[0]).extra if a[0] in p.files and p.files[a[0]][0].kind == "pidfd" else _process(k, a[0])
    if not may_look(p, target):
        raise error(errno.EPERM)
    return 0

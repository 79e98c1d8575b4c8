"""Calls on the machine itself: its name, its generator, its log, and what nobody notices."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import Memory, Raw, call, raw
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("getrandom", "getrandom")
def getrandom(k: Kernel, p: Process, size: int) -> bytes:
    """Bytes from a generator that starts the same each time."""
    return k.random(size)


def noise(seed: int, counter: int, size: int) -> bytes:
    """`size` bytes that look random and are the same for the same seed and counter."""
    found = b""
    while len(found) < size:
        found += hashlib.sha256(f"{seed}:{counter}:{len(found)}".encode()).digest()
    return found[:size]


@call("uname", "uname")
def uname(k: Kernel, p: Process) -> list[str]:
    """uname."""
    return ["Linux", k.world.hostname(p), k.world.release, "#1 SMP PREEMPT_DYNAMIC", "x86_64"]


@raw("modify_ldt", "set_mempolicy", "vhangup_")
def harmless(k: Kernel, p: Process, a: list[Any]) -> None:
    """Let through by every kernel; only the filter stands in the way."""


@raw("vhangup")
def vhangup(k: Kernel, p: Process, a: list[Any]) -> None:
    """vhangup."""
    p.need("SYS_TTY_CONFIG")


@raw("sysfs")
def sysfs(k: Kernel, p: Process, a: list[Any]) -> int:
    """How many file systems there are."""
    return 30


@raw("personality")
def personality(k: Kernel, p: Process, a: list[Any]) -> int:
    """personality."""
    before = p.personality
    if a[0] & 0xFFFFFFFF != 0xFFFFFFFF:
        p.personality = a[0] & 0xFFFFFFFF
    return before


@raw("syslog")
def syslog(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """The kernel's log."""
    if k.world.setting("kernel/dmesg_restrict") == "1" or a[0] not in {3, 10}:
        p.need("SYSLOG")
    line = b"<6>[    0.000000] Linux version\n"
    return Raw(len(line), ((a[1].address, line),) if isinstance(a[1], Memory) and a[1].address else ())


@raw("sethostname", "setdomainname")
def sethostname(k: Kernel, p: Process, a: list[Any]) -> None:
    """sethostname."""
    p.need("SYS_ADMIN")


@call("sethostname", "sethostname")
def call_sethostname(k: Kernel, p: Process, _name: str) -> None:
    """sethostname."""
    p.need("SYS_ADMIN")


@raw("munlock", "munlockall", "syncfs", "membarrier", "getrandom", "sync", "sched_yield", "madvise", "mprotect")
def nothing(k: Kernel, p: Process, a: list[Any]) -> None:
    """No effect anybody could see."""

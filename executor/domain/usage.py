"""What a QEMU process uses, from /proc (proc(5)): a pure reader of its text, and the look at one process around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from executor.quota import HostUsage

_TICK_USEC: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def read_stat(text: str) -> tuple[int, int, int]:
    """(processor time in microseconds, threads, resident pages) from the text of /proc/PID/stat.

    Raises `ValueError` when it is no such text. The program's name may hold anything, also blanks and brackets.
    """
    fields = text.rpartition(")")[2].split()
    if len(fields) < 22:
        raise ValueError("not the text of /proc/PID/stat")
    return (int(fields[11]) + int(fields[12])) * _TICK_USEC, int(fields[17]), int(fields[21])


def usage_of(pid: int | None, overlay_bytes: int) -> HostUsage:
    """What process `pid` uses now; zeros for one that is gone or not known."""
    if pid is None:
        return HostUsage(overlay_bytes=overlay_bytes)
    process = Path("/proc", str(pid))
    try:
        cpu_usec, threads, pages = read_stat((process / "stat").read_text("utf-8", "replace"))
        fds = len(os.listdir(process / "fd"))  # noqa: PTH208 - names only, five times a second
    except (OSError, ValueError):
        return HostUsage(overlay_bytes=overlay_bytes)
    return HostUsage(
        cpu_usec=cpu_usec, memory_bytes=pages * _PAGE, fds=fds, threads=threads, overlay_bytes=overlay_bytes
    )

"""The partition table of the gold disk: two primary partitions, written by hand so that every byte is decided here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

SECTOR: Final = 512
ALIGN: Final = 1024 * 1024
"""Bytes; partitions start on this boundary, as every common tool does it."""
_LINUX: Final = 0x83
_DISK_SIGNATURE: Final = 0xC0BD0001


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets and sizes in bytes."""

    root_start: int
    root_size: int
    workspace_start: int
    workspace_size: int

    @property
    def total(self) -> int:
        """Size of the disk."""
        return self.workspace_start + self.workspace_size


def layout(root_bytes: int, workspace_mib: int) -> Layout:
    """Where the two partitions lie for a root of `root_bytes`."""
    root_size = -(-root_bytes // ALIGN) * ALIGN
    return Layout(ALIGN, root_size, ALIGN + root_size, workspace_mib * 1024 * 1024)


def partition_table(plan: Layout) -> bytes:
    """The disk's first sector: a DOS partition table without boot code."""

    def entry(start: int, size: int) -> bytes:
        # Cylinder, head and sector are unused since LBA: 0xfeffff says so.
        return struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", _LINUX, b"\xfe\xff\xff", start // SECTOR, size // SECTOR)

    table = entry(plan.root_start, plan.root_size) + entry(plan.workspace_start, plan.workspace_size)
    return b"\0" * 440 + struct.pack("<IH", _DISK_SIGNATURE, 0) + table.ljust(64, b"\0") + b"\x55\xaa"

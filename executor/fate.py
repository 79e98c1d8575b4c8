"""Why a machine was lost: judged from what QEMU and libvirt said of it, never from the guest's own words. Pure.

The signs, in the order in which they come:

| sign | said by | means |
|---|---|---|
| `guest-reset` | QEMU | the guest's kernel restarted itself: it panicked (`panic=-1`), or it fell three times over |
| `guest-shutdown` | QEMU | the guest powered itself off: its first process does when the agent ends |
| `no space` | QEMU | it could not write the machine's disk and holds the machine still |
| `destroyed` | libvirt | somebody had the domain destroyed |
| `ended` | libvirt | QEMU is gone; why is in the signs before, in its group's counter and in its own last words |

A guest with root in it can bring about the first two as it likes. It ends its own machine by that and gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from executor.errors import GuestLostError, OutOfDiskError, OutOfMemoryError

Sign = Literal["guest-reset", "guest-shutdown", "no space", "destroyed", "ended"]

PANICKED: Final = "guest.panicked"
AGENT_CRASHED: Final = "guest.agent_crashed"
OUTLIVED: Final = "vm.outlived_task"
"""Cause of a task whose machine the dead man's switch destroyed; known to whoever did it, not from signs."""
QEMU_KILLED: Final = "host.qemu_killed"
DESTROYED: Final = "hypervisor.destroyed"
OUT_OF_MEMORY: Final = OutOfMemoryError.code
OUT_OF_DISK: Final = OutOfDiskError.code

WORDS: Final[Mapping[str, str]] = {
    PANICKED: "the guest's kernel panicked and restarted, which ends its machine",
    AGENT_CRASHED: "the guest's agent ended, and with it the machine",
    QEMU_KILLED: "QEMU was killed on the host",
    DESTROYED: "libvirt destroyed the domain: an operator, or an error of its own",
    OUT_OF_MEMORY: "the host ran out of memory for QEMU; give it more, or run fewer machines at once",
    OUT_OF_DISK: "the host's disk is full: QEMU could not write the machine's disk; make room in the runtime folder",
    OUTLIVED: "the machine was kept longer than its task may take and was destroyed",
    GuestLostError.code: "the guest stopped answering",
}
"""Code -> what it says to a person; every cause a machine can be lost for is here."""
_NO_MEMORY: Final = re.compile(
    rb"cannot allocate memory|failed to allocate|out of memory|cannot set up guest memory", re.IGNORECASE
)
"""In QEMU's (glib's, the C library's) last words on standard error."""


@dataclass(frozen=True, slots=True)
class Fate:
    """One cause, and the words for it."""

    code: str

    @property
    def words(self) -> str:
        """One line for the person; never anything that the guest said."""
        return WORDS[self.code]


def fate_of(signs: Collection[Sign], *, memory_kills: int, last_words: bytes) -> Fate | None:
    """What `signs` amount to; None while they say nothing for certain.

    `memory_kills`: how often the kernel has killed for memory in QEMU's own group. `last_words`: the end of its log.
    """
    if "no space" in signs:
        return Fate(OUT_OF_DISK)
    if "guest-reset" in signs:
        return Fate(PANICKED)
    if "guest-shutdown" in signs:
        return Fate(AGENT_CRASHED)
    if "destroyed" in signs:
        return Fate(DESTROYED)
    if memory_kills or ("ended" in signs and _NO_MEMORY.search(last_words)):
        return Fate(OUT_OF_MEMORY)
    return Fate(QEMU_KILLED) if "ended" in signs else None

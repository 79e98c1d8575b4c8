"""Files that are none on any disk: pipes, sockets, devices; and what reading and writing them does."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from executor.sim.files.nodes import Dentry, FileSystem, Node, device, error
from executor.sim.kernel.ends import EndedError, UnmodelledError, WaitError
from executor.sim.kernel.process import OpenFile, Pipe, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

READY_IN, READY_OUT, READY_HUP = 1, 4, 16
SPECIALS: Final = {(1, 3): "null", (1, 5): "zero", (1, 7): "full", (1, 8): "random", (1, 9): "random", (5, 0): "tty"}
SCRATCH_DISK, IMAGE_DISK, AGENT_DISK = os.makedev(254, 2), os.makedev(254, 1), os.makedev(254, 16)
COMMON: Final = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
"""Devices that everybody may open."""
OF_THE_GUEST: Final = (
    ("mem", 1, 1, 0o640), ("kmsg", 1, 11, 0o644), ("console", 5, 1, 0o600), ("ttyS0", 4, 64, 0o600),
    ("tty0", 4, 0, 0o600), ("hwrng", 10, 183, 0o600), ("vport1p1", 240, 1, 0o600), ("userfaultfd", 10, 126, 0o600),
)  # fmt: skip
"""Devices that the sandbox has not."""


def character_device(folder: Dentry, name: str, major: int, minor: int, mode: int) -> Node:
    """A device, with what it does when it is read and written."""
    node = device(folder, name, major, minor, mode)
    node.special = SPECIALS.get((major, minor), "")
    if (major, minor) in {(4, 64), (4, 0), (5, 1)}:
        node.special = "tty"
    elif (major, minor) == (1, 11):
        node.special = "kmsg"
    elif major == 240:
        node.special = "port"
        node.opened = _busy
    return node


def _busy(_process: Process, _flags: int) -> None:
    raise error(errno.EBUSY)


class SpecialFiles:
    """A machine's special files; the machine has their file system and the generator."""

    anon: FileSystem

    def random(self, size: int) -> bytes:
        """The generator."""
        raise NotImplementedError

    def anonymous(self, kind: str) -> OpenFile:
        """A descriptor of something that is no file."""
        return OpenFile(None, Node(self.anon, 0o600), os.O_RDWR, 0, None, kind)

    def ready(self, opened: OpenFile) -> int:
        """What poll says of it."""
        if opened.kind == "pipe":
            pipe: Pipe = opened.extra
            if opened.readable:
                return (READY_IN if pipe.buffer else 0) | (READY_HUP if not pipe.writers else 0)
            return (READY_OUT if len(pipe.buffer) < pipe.size else 0) | (8 if not pipe.readers else 0)
        if opened.kind == "pidfd":
            return READY_IN if not opened.extra.alive else 0
        if opened.kind == "socket":
            own = opened.extra
            incoming = own.buffer or own.packets or own.waiting or own.ended
            return (READY_IN if incoming else 0) | READY_OUT
        return READY_IN | READY_OUT if opened.kind == "file" else 0

    def read_special(self, k: Kernel, p: Process, opened: OpenFile, size: int) -> bytes:
        """From a pipe or socket."""
        if opened.kind == "socket":
            from executor.sim.calls.sockets import recv  # noqa: PLC0415 - its neighbour

            number = next(one for one, (found, _) in p.files.items() if found is opened)
            data: bytes = recv(k, p, number, size, 0.0 if opened.flags & os.O_NONBLOCK else -1.0)
            return data
        if opened.kind != "pipe":
            raise error(errno.EINVAL)
        pipe: Pipe = opened.extra
        if pipe.buffer:
            data = bytes(pipe.buffer[:size])
            del pipe.buffer[:size]
            return data
        if not pipe.writers:
            return b""
        if opened.flags & os.O_NONBLOCK:
            raise error(errno.EAGAIN)
        raise WaitError

    def write_special(self, k: Kernel, p: Process, opened: OpenFile, data: bytes) -> int:
        """To a pipe or socket."""
        if opened.kind == "socket":
            from executor.sim.calls.sockets import send  # noqa: PLC0415 - its neighbour

            number = next(one for one, (found, _) in p.files.items() if found is opened)
            return int(send(k, p, number, data))
        if opened.kind != "pipe":
            raise error(errno.EINVAL)
        pipe: Pipe = opened.extra
        if not pipe.readers:
            k.signal(p, 13)
            if not p.alive:
                raise EndedError
            raise error(errno.EPIPE)
        room = pipe.size - len(pipe.buffer)
        if room < min(len(data), 4096):
            if opened.flags & os.O_NONBLOCK:
                raise error(errno.EAGAIN)
            raise WaitError
        pipe.buffer += data[:room]
        return min(len(data), room)

    def read_device(self, _k: Kernel, _p: Process, node: Node, offset: int, size: int) -> bytes:
        """From a device node."""
        if node.kind == stat.S_IFBLK:
            return self._read_disk(node, offset, size)
        special = node.special or SPECIALS.get((os.major(node.rdev), os.minor(node.rdev)), "")
        if special == "null":
            return b""
        if special in {"zero", "full"}:
            return bytes(min(size, 1 << 20))
        if special == "random":
            return self.random(min(size, 1 << 20))
        if special == "kmsg":
            return b"6,1,0,-;boot\n"[:size]
        if node.rdev == os.makedev(1, 1):
            return bytes(size)
        if special == "tty":
            raise error(errno.ENXIO)
        raise UnmodelledError(f"reading device {os.major(node.rdev)}:{os.minor(node.rdev)}")

    @staticmethod
    def _read_disk(node: Node, offset: int, size: int) -> bytes:
        """Only the marks by which a file system is known."""
        marks = {(SCRATCH_DISK, 1080): b"\x53\xef", (AGENT_DISK, 32769): b"CD001"}
        return marks.get((node.rdev, offset), b"")[:size].ljust(size, b"\0")

    def write_device(self, _k: Kernel, _p: Process, node: Node, data: bytes) -> int:
        """To a device node."""
        special = node.special or SPECIALS.get((os.major(node.rdev), os.minor(node.rdev)), "")
        if special == "full":
            raise error(errno.ENOSPC)
        if special in {"null", "zero", "random", "kmsg", "tty"}:
            return len(data)
        raise UnmodelledError(f"writing device {os.major(node.rdev)}:{os.minor(node.rdev)}")

    @staticmethod
    def pagemap(p: Process, offset: int, size: int) -> bytes:
        """Frame numbers are for CAP_SYS_ADMIN."""
        entry = 1 << 63 | (4242 + offset if p.has("SYS_ADMIN") else 0)
        return entry.to_bytes(8, "little")[:size]

"""ioctl and fcntl."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from executor.sim.calls.table import call
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import OpenFile, Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel


@call("ioctl", "ioctl", lambda _number, request, _argument: (0, request))
def ioctl(k: Kernel, p: Process, number: int, request: int, argument: Any) -> list[Any]:
    """The controls probes reach for; [result, memory]."""
    opened = p.file(number)
    data = argument if isinstance(argument, bytes) else b""
    if request in {0x80086601, 0x40086602, 0x801C581F, 0x401C5820}:
        return [0, _file_control(p, opened, request, data)[: len(data)]]
    if request in {0x5412, 0x541C}:  # TIOCSTI, TIOCLINUX
        if opened.node.special != "tty":
            raise error(errno.ENOTTY)
        p.need("SYS_ADMIN")
        return [0, data]
    if request in {0x5401, 0x5413, 0x540F, 0x5410}:
        raise error(errno.ENOTTY)
    if request == 0x40085203:  # RNDADDENTROPY
        if opened.node.special != "random":
            raise error(errno.ENOTTY)
        p.need("SYS_ADMIN")
        return [0, data]
    if opened.kind == "socket" and 0x8900 <= request < 0x9000:
        if request in {0x8914, 0x8916, 0x891C, 0x8922, 0x8924, 0x890B, 0x890C}:
            p.need("NET_ADMIN")
            _set_up_card(k, p, request, data)
        return [0, data]
    if request in {0x5450, 0x5451, 0x5421, 0x541B}:
        return [0, data]
    raise UnmodelledError(f"ioctl {request:#x}")


def _set_up_card(k: Kernel, p: Process, request: int, data: bytes) -> None:
    """Orders to a card by its name: there has to be one. An address is taken or, as 0.0.0.0, given up."""
    name = data[:16].split(b"\0", 1)[0].decode(errors="replace").partition(":")[0]
    if request in {0x8914, 0x8916, 0x891C, 0x8922, 0x8924} and name not in k.world.interfaces(p):
        raise error(errno.ENODEV)
    if request == 0x8916 and name != "lo":
        address = ".".join(str(one) for one in data[20:24])
        k.world.aliases = set() if address == "0.0.0.0" else {*k.world.aliases, address}  # noqa: S104 - compared


def _file_control(p: Process, opened: OpenFile, request: int, data: bytes) -> bytes:
    node = opened.node
    if node.system.kind not in {"ext4", "overlay"}:
        raise error(errno.ENOTTY)
    if request == 0x80086601:
        return (node.flags | 0x80000).to_bytes(8, "little")
    if request == 0x801C581F:
        flags = 0x200 if node.flags & 0x20000000 else 0
        return b"".join(one.to_bytes(4, "little") for one in (flags, 0, 0, node.project, 0)).ljust(28, b"\0")
    if p.credentials.fsuid != node.uid:
        p.need("FOWNER", errno.EACCES if request == 0x401C5820 else errno.EPERM)
    if request == 0x40086602:
        wanted = int.from_bytes(data[:4], "little")
        if (wanted ^ node.flags) & 0x30:
            p.need("LINUX_IMMUTABLE")
        node.flags = wanted & ~0x80000
    else:
        node.project = int.from_bytes(data[12:16], "little")
        node.flags = node.flags | 0x20000000 if data[1] & 2 else node.flags & ~0x20000000
        node.quota = node.quota if node.project else None
    return data


@call("fcntl", "fcntl")
def fcntl(k: Kernel, p: Process, number: int, command: int, argument: Any) -> int:
    """fcntl."""
    opened = p.file(number)
    if command in {0, 1030}:  # F_DUPFD, with close-on-exec
        return p.install(opened, close_on_exec=command == 1030, lowest=int(argument))
    if command == 1:
        return int(p.files[number][1])
    if command == 2:
        p.files[number] = (opened, bool(argument & 1))
        return 0
    if command == 3:
        return opened.flags & ~os.O_CLOEXEC
    if command == 4:
        changeable = os.O_APPEND | os.O_NONBLOCK | os.O_NOATIME
        opened.flags = opened.flags & ~changeable | argument & changeable
        return 0
    if command == 1024:  # F_SETLEASE
        if opened.node.kind != stat.S_IFREG:
            raise error(errno.EINVAL)
        if p.credentials.fsuid != opened.node.uid:
            p.need("LEASE", errno.EACCES)
        return 0
    if command == 1031:  # F_SETPIPE_SZ
        if opened.kind != "pipe":
            raise error(errno.EBADF)
        if argument > 1 << 20:
            p.need("SYS_RESOURCE")
        opened.extra.size = argument
        return int(argument)
    if command == 1032:
        return int(opened.extra.size)
    if command in {5, 6, 7, 8, 9, 1033, 1034}:
        return 0
    raise UnmodelledError(f"fcntl {command}")

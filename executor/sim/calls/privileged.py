"""Calls that only the guest's root may make, or that are closed: modules, kexec, keys, bpf, swap, ports."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls.table import Memory, raw, text_of
from executor.sim.files.nodes import error
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel

MSGQUEUE: Final = 12


@raw("bpf")
def bpf(k: Kernel, p: Process, a: list[Any]) -> int:
    """bpf."""
    if k.world.setting("kernel/unprivileged_bpf_disabled") != "0" and not p.has("BPF"):
        p.need("SYS_ADMIN")
    return p.install(k.world.anonymous("bpf"))


@raw("io_uring_setup")
def io_uring_setup(k: Kernel, p: Process, a: list[Any]) -> int:
    """io_uring_setup: kernel 6.1 has no switch against it."""
    return p.install(k.world.anonymous("io_uring"))


@raw("userfaultfd")
def userfaultfd(k: Kernel, p: Process, a: list[Any]) -> int:
    """userfaultfd; for user memory alone it is nobody's privilege."""
    if not a[0] & 1 and k.world.setting("vm/unprivileged_userfaultfd") == "0":
        p.need("SYS_PTRACE")
    return p.install(k.world.anonymous("userfaultfd"))


@raw("keyctl")
def keyctl(k: Kernel, p: Process, a: list[Any]) -> int:
    """keyctl: join a session."""
    if a[0] != 1:
        raise UnmodelledError(f"keyctl {a[0]}")
    return 1000


@raw("mq_open")
def mq_open(k: Kernel, p: Process, a: list[Any]) -> int:
    """A message queue: its memory counts against RLIMIT_MSGQUEUE."""
    room = 0
    if isinstance(a[3], Memory):
        count, size = (int.from_bytes(a[3].data[at : at + 8], "little") for at in (8, 16))
        room = count * (size + 8)
    if room > p.limit(MSGQUEUE):
        raise error(errno.EMFILE)
    return p.install(k.world.anonymous("mqueue"))


@raw("add_key")
def add_key(k: Kernel, p: Process, a: list[Any]) -> int:
    """add_key."""
    return k.keys.setdefault(text_of(a[1]), 1001 + len(k.keys))


@raw("request_key")
def request_key(k: Kernel, p: Process, a: list[Any]) -> int:
    """request_key."""
    if text_of(a[1]) not in k.keys:
        raise error(errno.ENOKEY)
    return k.keys[text_of(a[1])]


def _may_load(k: Kernel, p: Process) -> None:
    if not p.has("SYS_MODULE") or k.world.setting("kernel/modules_disabled") == "1":
        raise error(errno.EPERM)


@raw("finit_module")
def finit_module(k: Kernel, p: Process, a: list[Any]) -> None:
    """finit_module."""
    _may_load(k, p)
    opened = p.file(a[0] if a[0] < 1 << 31 else -1)
    if not opened.readable:
        raise error(errno.EBADF)
    _load(k, opened.place.dentry.name if opened.place else "")


def _load(k: Kernel, name: str) -> None:
    if name in k.world.modules:
        raise error(errno.EEXIST)
    k.world.modules.add(name)


@raw("init_module")
def init_module(k: Kernel, p: Process, a: list[Any]) -> None:
    """init_module: the bytes name the module."""
    _may_load(k, p)
    data = a[0].data
    if not data.startswith(b"\x7fELFmodule:"):
        raise error(errno.ENOEXEC)
    _load(k, data.split(b":", 1)[1].rstrip(b"\0").decode())


@raw("delete_module")
def delete_module(k: Kernel, p: Process, a: list[Any]) -> None:
    """delete_module."""
    _may_load(k, p)
    name = f"{text_of(a[0])}.ko"
    if name not in k.world.modules:
        raise error(errno.ENOENT)
    k.world.modules.discard(name)


@raw("kexec_load", "kexec_file_load")
def kexec_load(k: Kernel, p: Process, a: list[Any]) -> None:
    """kexec with nothing to load, or to unload."""
    p.need("SYS_BOOT")
    if k.world.setting("kernel/kexec_load_disabled") == "1":
        raise error(errno.EPERM)


@raw("reboot")
def reboot(k: Kernel, p: Process, a: list[Any]) -> None:
    """reboot: the harmless order alone."""
    p.need("SYS_BOOT")
    if a[2] != 0:
        raise UnmodelledError(f"reboot {a[2]:#x}")


@raw("perf_event_open")
def perf_event_open(k: Kernel, p: Process, a: list[Any]) -> int:
    """perf_event_open."""
    if int(k.world.setting("kernel/perf_event_paranoid")) > 2 and not p.has("PERFMON"):
        p.need("SYS_ADMIN", errno.EACCES)
    return p.install(k.world.anonymous("perf"))


@raw("iopl", "ioperm")
def ports(k: Kernel, p: Process, a: list[Any]) -> None:
    """IO ports."""
    p.need("SYS_RAWIO")
    k.world.unless_locked_down()


@raw("swapon")
def swapon(k: Kernel, p: Process, a: list[Any]) -> None:
    """swapon."""
    p.need("SYS_ADMIN")
    node = p.find(text_of(a[0])).dentry.node
    if bytes(node.data[4086:4096]) != b"SWAPSPACE2":
        raise error(errno.EINVAL)
    k.world.swaps.add(id(node))


@raw("swapoff")
def swapoff(k: Kernel, p: Process, a: list[Any]) -> None:
    """swapoff."""
    p.need("SYS_ADMIN")
    node = p.find(text_of(a[0])).dentry.node
    if id(node) not in k.world.swaps:
        raise error(errno.EINVAL)
    k.world.swaps.discard(id(node))

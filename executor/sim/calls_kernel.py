"""System calls on the kernel itself, made by number, and the controls of devices: ioctl, fcntl."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from executor.sim.calls import Memory, Raw, call, raw
from executor.sim.calls_processes import may_look
from executor.sim.mounts import NOEXEC, Place
from executor.sim.nodes import error
from executor.sim.process import OpenFile, Process, UnmodelledError

if TYPE_CHECKING:
    from executor.sim.kernel import Kernel

MEMLOCK: Final = 8
MSGQUEUE: Final = 12
NAMESPACES: Final = {
    0x20000: "mnt", 0x2000000: "cgroup", 0x4000000: "uts", 0x8000000: "ipc", 0x10000000: "user", 0x20000000: "pid",
    0x40000000: "net", 0x80: "time",
}  # fmt: skip


def _text(argument: Any) -> str:
    return argument.text if isinstance(argument, Memory) else ""


def _process(k: Kernel, pid: int) -> Process:
    found = k.processes.get(pid)
    if found is None or not found.alive:
        raise error(errno.ESRCH)
    return found


# Namespaces --------------------------------------------------------------------------------------------------------


def new_namespaces(k: Kernel, p: Process, flags: int, *, child: bool) -> None:
    """What clone, unshare and clone3 ask for a namespace."""
    if flags & 0x10000000 and k.world.setting("user/max_user_namespaces") == "0":
        raise error(errno.ENOSPC)
    if flags & ~0x10000000:
        p.need("SYS_ADMIN")
    if child:
        return
    changed = {}
    for bit, name in NAMESPACES.items():
        if flags & bit:
            k.world.namespace_count += 1
            changed[name] = k.world.namespace_count
    for name, number in changed.items():
        setattr(p.namespaces, name, number)
    if flags & 0x20000:
        p.mounts = p.mounts.copy()


@call("unshare", "unshare", lambda flags: (flags,))
def unshare(k: Kernel, p: Process, flags: int) -> None:
    """unshare."""
    new_namespaces(k, p, flags, child=False)


@raw("unshare")
def raw_unshare(k: Kernel, p: Process, a: list[Any]) -> None:
    """unshare by number."""
    p.namespaces = replace_namespaces(p)
    new_namespaces(k, p, a[0], child=False)


def replace_namespaces(p: Process) -> Any:
    """Its own record of namespaces, which it shared with its parent."""
    return type(p.namespaces)(**{name: getattr(p.namespaces, name) for name in NAMESPACES.values()})


@raw("clone3")
def clone3(k: Kernel, p: Process, a: list[Any]) -> Raw:
    """clone with its flags in memory."""
    new_namespaces(k, p, int.from_bytes(a[0].data[:8], "little") & 0x7E020080, child=True)
    return Raw(forked=True)


@raw("setns")
def setns(k: Kernel, p: Process, a: list[Any]) -> None:
    """setns by a namespace's file or a process's descriptor."""
    opened = p.file(a[0])
    if opened.kind != "pidfd" and opened.node.system.kind != "nsfs":
        raise error(errno.EINVAL)
    p.need("SYS_ADMIN")


# Keys, programs, other kernels -------------------------------------------------------------------------------------


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
    return k.keys.setdefault(_text(a[1]), 1001 + len(k.keys))


@raw("request_key")
def request_key(k: Kernel, p: Process, a: list[Any]) -> int:
    """request_key."""
    if _text(a[1]) not in k.keys:
        raise error(errno.ENOKEY)
    return k.keys[_text(a[1])]


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
    name = f"{_text(a[0])}.ko"
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


# Other processes ---------------------------------------------------------------------------------------------------


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


# Hardware, swap, clocks --------------------------------------------------------------------------------------------


@raw("iopl", "ioperm")
def ports(k: Kernel, p: Process, a: list[Any]) -> None:
    """IO ports."""
    p.need("SYS_RAWIO")
    k.world.unless_locked_down()


@raw("swapon")
def swapon(k: Kernel, p: Process, a: list[Any]) -> None:
    """swapon."""
    p.need("SYS_ADMIN")
    node = p.find(_text(a[0])).dentry.node
    if bytes(node.data[4086:4096]) != b"SWAPSPACE2":
        raise error(errno.EINVAL)
    k.world.swaps.add(id(node))


@raw("swapoff")
def swapoff(k: Kernel, p: Process, a: list[Any]) -> None:
    """swapoff."""
    p.need("SYS_ADMIN")
    node = p.find(_text(a[0])).dentry.node
    if id(node) not in k.world.swaps:
        raise error(errno.EINVAL)
    k.world.swaps.discard(id(node))


@raw("settimeofday", "clock_settime", "adjtimex", "clock_adjtime")
def set_clock(k: Kernel, p: Process, a: list[Any]) -> None:
    """Clocks are set by CAP_SYS_TIME; the model's own goes on as it does."""
    p.need("SYS_TIME")


@call("clock_settime", "clock_settime")
def clock_settime(k: Kernel, p: Process, _which: int, _value: int) -> None:
    """clock_settime."""
    p.need("SYS_TIME")


@raw("timer_create")
def timer_create(k: Kernel, p: Process, a: list[Any]) -> None:
    """Timers that wake the machine are for CAP_WAKE_ALARM."""
    if a[0] in {8, 9}:
        p.need("WAKE_ALARM")


@raw("timerfd_create")
def timerfd_create(k: Kernel, p: Process, a: list[Any]) -> int:
    """timerfd_create."""
    if a[0] in {8, 9}:
        p.need("WAKE_ALARM")
    return p.install(k.world.anonymous("timerfd"))


# Files by other ways -----------------------------------------------------------------------------------------------


@raw("fanotify_init")
def fanotify_init(k: Kernel, p: Process, a: list[Any]) -> int:
    """fanotify of files' contents."""
    p.need("SYS_ADMIN")
    return p.install(k.world.anonymous("fanotify"))


@raw("open_by_handle_at")
def open_by_handle_at(k: Kernel, p: Process, a: list[Any]) -> int:
    """A file by its inode, whatever path and mount lead there."""
    p.need("DAC_READ_SEARCH")
    opened = p.file(a[0])
    if opened.place is None:
        raise error(errno.EBADF)
    if int.from_bytes(a[1].data[8:12], "little") != 2:
        raise error(errno.ESTALE)
    root = opened.place.mount.system.root
    return p.install(OpenFile(Place(opened.place.mount, root), root.node, os.O_RDONLY))


@raw("name_to_handle_at")
def name_to_handle_at(k: Kernel, p: Process, a: list[Any]) -> None:
    """A file's handle."""
    p.find(_text(a[1]), a[0])


@raw("quotactl")
def quotactl(k: Kernel, p: Process, a: list[Any]) -> None:
    """Sync is everybody's; to set a quota is for CAP_SYS_ADMIN."""
    if (a[0] & 0xFFFFFFFF) >> 8 not in {0x800001, 0x800007}:
        p.need("SYS_ADMIN")


@raw("acct")
def acct(k: Kernel, p: Process, a: list[Any]) -> None:
    """Process accounting."""
    p.need("SYS_PACCT")
    if isinstance(a[0], Memory):
        p.find(_text(a[0]))


# Memory and small things -------------------------------------------------------------------------------------------


@raw("mmap")
def mmap(k: Kernel, p: Process, a: list[Any]) -> int:
    """Anonymous memory; the puppet takes it from its own."""
    return 1


@call("mapped", "mmap")
def mapped(k: Kernel, p: Process, _size: int) -> None:
    """The same, by the library."""


@call("mapped_file", "mmap", lambda _number, size, protection, flags, _offset: (0, size, protection, flags))
def mapped_file(k: Kernel, p: Process, number: int, size: int, protection: int, flags: int, offset: int) -> bytes:
    """A file mapped: what is in it then. Code is not mapped from a mount that executes nothing."""
    opened = p.file(number)
    if opened.kind != "file" or opened.node.kind != stat.S_IFREG:
        raise error(errno.ENODEV)
    if not opened.readable or (flags & 1 and protection & 2 and not opened.writable):
        raise error(errno.EACCES)
    if protection & 4 and opened.place is not None and opened.place.mount.flags & NOEXEC:
        raise error(errno.EPERM)
    return opened.node.slice(offset, size)


@raw("mlock", "mlock2", "mlockall")
def mlock(k: Kernel, p: Process, a: list[Any]) -> None:
    """Locked memory has a limit."""
    size = a[1] if len(a) > 1 else 0
    if p.locked + size > p.limit(MEMLOCK) and not p.has("IPC_LOCK"):
        raise error(errno.ENOMEM if p.limit(MEMLOCK) else errno.EPERM)
    p.locked += size


@raw("shmget")
def shmget(k: Kernel, p: Process, a: list[Any]) -> int:
    """A shared segment."""
    k.world.segments.append((p.credentials.uid[1], a[1]))
    return len(k.world.segments) - 1


@raw("shmctl")
def shmctl(k: Kernel, p: Process, a: list[Any]) -> None:
    """Lock it, remove it."""
    if a[0] >= len(k.world.segments):
        raise error(errno.EINVAL)
    if a[1] == 11 and k.world.segments[a[0]][1] > p.limit(MEMLOCK) and not p.has("IPC_LOCK"):
        raise error(errno.ENOMEM)


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


@raw("ioprio_set")
def ioprio_set(k: Kernel, p: Process, a: list[Any]) -> None:
    """Real-time disk priority is for CAP_SYS_NICE."""
    if a[2] >> 13 == 1:
        p.need("SYS_NICE")


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


# ioctl and fcntl ---------------------------------------------------------------------------------------------------


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

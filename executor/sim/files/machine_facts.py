"""/proc beside its processes: what the machine tells of itself, and its settings."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from executor.sim.files.nodes import Dentry, FileSystem, error, folder, link
from executor.sim.files.virtual import virtual
from executor.sim.kernel.process import WRITE, Process

if TYPE_CHECKING:
    from executor.sim.files.world import World

FILLED: Final = (
    *("buddyinfo", "consoles", "diskstats", "execdomains", "interrupts", "iomem", "ioports", "key-users", "keys"),
    *("modules", "pagetypeinfo", "partitions", "schedstat", "softirqs", "swaps", "vmstat", "zoneinfo", "cgroups"),
    *("cpuinfo", "crypto", "devices", "fb", "filesystems", "loadavg", "locks", "misc", "stat", "uptime", "mtrr"),
)
"""Ordinary files of the machine; what they hold here is their name, which is enough to be something."""
OWNER_ONLY: Final = ("slabinfo", "vmallocinfo", "timer_list")
PAGES: Final = ("kpagecgroup", "kpagecount", "kpageflags")
FOLDERS: Final = ("acpi", "bus/pci/00", "driver", "dynamic_debug", "fs", "irq", "pressure", "sysvipc", "tty")
SYSCTLS: Final = {
    "kernel/pid_max": "32768", "kernel/ostype": "Linux", "kernel/panic_on_oops": "1", "kernel/panic": "-1",
    "kernel/hostname": "cordon", "kernel/randomize_va_space": "2", "kernel/osrelease": "6.1.0-56-cloud-amd64",
    "vm/overcommit_memory": "0", "vm/swappiness": "60", "vm/dirty_ratio": "20", "vm/laptop_mode": "0",
    "vm/drop_caches": "0", "fs/file-max": "50000", "kernel/core_pattern": "core", "kernel/modprobe": "/sbin/modprobe",
    "kernel/ns_last_pid": "1", "kernel/threads-max": "3000", "net/ipv4/ip_forward": "0",
    "net/ipv4/ip_unprivileged_port_start": "1024", "kernel/random/boot_id": "00000000-0000-4000-8000-000000000000",
    "kernel/random/uuid": "00000000-0000-4000-8000-000000000001", "kernel/cap_last_cap": "40",
    "net/ipv4/ping_group_range": "1\t0", "kernel/core_uses_pid": "0", "vm/max_map_count": "65530",
}  # fmt: skip
"""Settings beside those the agent writes (executor/guest/kernel.py HARDENING)."""
WRITE_ONLY: Final = frozenset({"vm/drop_caches"})


def fill(root: Dentry, world: World) -> None:
    """Put the machine's own files into the root of a /proc."""
    for name in FILLED:
        virtual(root, name, lambda _p, _name=name: f"{_name}: of this machine\n".encode())  # type: ignore[misc]
    for name in OWNER_ONLY:
        text = b"Timer List Version: v0.9\n" if name == "timer_list" else f"{name}: of this machine\n".encode()
        virtual(root, name, lambda _p, _text=text: _text, 0o400)  # type: ignore[misc]
    for name in PAGES:
        virtual(root, name, lambda _p: b"\1" * 65536, 0o400)
    virtual(root, "version", lambda _p: f"Linux version {world.release} (debian)\n".encode())
    virtual(root, "meminfo", lambda _p: b"MemTotal:         471208 kB\nMemFree:          300000 kB\n")
    virtual(root, "cmdline", lambda _p: b"console=ttyS0 quiet\n")
    virtual(root, "kallsyms", lambda p: _symbols(world, p))
    virtual(root, "kcore", _kcore, 0o400).opened = _needs(world, "SYS_RAWIO")
    virtual(root, "kmsg", lambda _p: b"<6>boot\n", 0o400)
    virtual(root, "sysrq-trigger", lambda _p: b"", 0o200)
    for name in FOLDERS:
        here = root
        for part in name.split("/"):
            here = folder(here, part, 0o555)
    for parent, name in (("tty", "drivers"), ("pressure", "cpu"), ("pressure", "memory"), ("bus", "input")):
        virtual(root.node.children[parent], name, lambda _p: b"some\n")
    virtual(root.node.children["irq"], "default_smp_affinity", lambda _p: b"1\n", 0o644)
    registers = root.node.children["bus"].node.children["pci"].node.children["00"]
    virtual(registers, "00.0", lambda _p: bytes(64), 0o644)
    link(root, "self", "").read = lambda p: str(p.pid).encode()
    link(root, "thread-self", "").read = lambda p: f"{p.pid}/task/{p.pid}".encode()
    link(root, "mounts", "self/mounts")
    link(root, "net", "self/net")
    settings = folder(root, "sys", 0o555)
    settings.node.find = lambda _p, name: _grown(world, settings).get(name)
    settings.node.names = lambda _p: _grown(world, settings)


def _grown(world: World, root: Dentry) -> dict[str, Dentry]:
    """The settings' folder once somebody looks into it, which few tasks do: then it is one like any other."""
    root.node.find = root.node.names = None
    _sysctls(world, root)
    return root.node.children


def _sysctls(world: World, root: Dentry) -> None:
    for path in world.settings:
        *parents, name = path.split("/")
        here = root
        for part in parents:
            here = folder(here, part, 0o555)
        node = virtual(here, name, lambda _p, _path=path: _shown(world, _p, _path), 0o644)  # type: ignore[misc]
        node.permitted = _sysctl
        node.write = lambda _p, data, _path=path: world.set(_path, data.decode(errors="replace").strip())
        if path in WRITE_ONLY:
            node.mode = stat.S_IFREG | 0o200
    folder(folder(root, "fs", 0o555), "binfmt_misc", 0o555)


def _shown(world: World, process: Process, path: str) -> bytes:
    if path == "kernel/hostname":
        return f"{world.hostname(process)}\n".encode()
    return f"{world.settings[path]}\n".encode()


def _symbols(world: World, process: Process) -> bytes:
    shown = world.setting("kernel/kptr_restrict") != "2" and process.has("SYSLOG")
    address = b"ffffffff81000000" if shown else b"0" * 16
    return address + b" T _stext\n"


def _kcore(_process: Process) -> bytes:
    return b"\x7fELF\x02\x01\x01"


def _needs(world: World, capability: str) -> Callable[[Process, int], None]:
    def check(process: Process, _flags: int) -> None:
        process.need(capability)
        world.unless_locked_down()

    return check


def _sysctl(process: Process, wanted: int) -> None:
    """Settings are root's by uid: no capability helps."""
    if wanted & WRITE and process.credentials.uid[1] != 0:
        raise error(errno.EACCES)


def binary_formats() -> FileSystem:
    """binfmt_misc: formats are registered in one file, and each has a file of its own that -1 removes."""
    system = FileSystem("binfmt_misc")

    def register(_process: Process, data: bytes) -> None:
        parts = data[1:].split(data[:1])
        if len(parts) < 6:
            raise error(errno.EINVAL)
        name = parts[0].decode()

        def change(_writer: Process, order: bytes) -> None:
            if order.strip() == b"-1":
                system.root.node.children.pop(name, None)

        virtual(system.root, name, lambda _p: b"enabled\n", 0o644).write = change

    virtual(system.root, "register", lambda _p: b"", 0o200).write = register
    virtual(system.root, "status", lambda _p: b"enabled\n", 0o644)
    return system

"""The machine around the guest's processes: file systems, settings, devices, network; and the sandbox built from them.

The sandbox is built from the very OCI configuration and launcher arguments that the agent's own code makes
(executor/guest/sandbox_plan.py), so a control that code drops is a control this machine does not have.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from executor.guest.kernel import HARDENING
from executor.sim.calls.machine import noise
from executor.sim.files import procfs, rootfs, sysfs
from executor.sim.files.mounts import NODEV, NOEXEC, NOSUID, RDONLY, Mount, MountTable, Place, full_path
from executor.sim.files.nodes import Dentry, FileSystem, Node, Quota, deep, device, error, folder, link
from executor.sim.kernel.process import (
    EXECUTE,
    WRITE_FILE,
    WRITE_HANDLED,
    WRITE_TREE,
    Landlock,
    OpenFile,
    Pipe,
    Process,
    UnmodelledError,
    WaitError,
)

if TYPE_CHECKING:
    from executor.sim.kernel.kernel import Kernel
    from executor.sim.network.segment import Segment

RELEASE: Final = "6.1.0-56-cloud-amd64"
"""The gold image's kernel (executor/sim/files/image_files.txt is of the same image)."""
BOOT_SETTINGS: Final = {
    "kernel/kexec_load_disabled": "0", "kernel/dmesg_restrict": "1", "kernel/kptr_restrict": "0",
    "kernel/unprivileged_bpf_disabled": "2", "kernel/perf_event_paranoid": "3", "kernel/yama/ptrace_scope": "0",
    "kernel/sysrq": "438", "user/max_user_namespaces": "1836", "vm/unprivileged_userfaultfd": "0",
    "vm/mmap_min_addr": "65536", "fs/protected_symlinks": "1", "fs/protected_hardlinks": "1", "fs/protected_fifos": "1",
    "fs/protected_regular": "2", "fs/suid_dumpable": "0", "dev/tty/ldisc_autoload": "0", "net/core/bpf_jit_harden": "0",
    "kernel/modules_disabled": "0",
}  # fmt: skip
"""What the kernel of the image boots with; the agent's HARDENING goes over it."""
ABSENT: Final = frozenset({"kernel/io_uring_disabled"})
"""Settings of newer kernels: the agent passes over them."""
FLAGS: Final = {"ro": RDONLY, "nosuid": NOSUID, "nodev": NODEV, "noexec": NOEXEC}
READY_IN, READY_OUT, READY_HUP = 1, 4, 16
SPECIALS: Final = {(1, 3): "null", (1, 5): "zero", (1, 7): "full", (1, 8): "random", (1, 9): "random", (5, 0): "tty"}
SCRATCH_DISK, IMAGE_DISK, AGENT_DISK = os.makedev(254, 2), os.makedev(254, 1), os.makedev(254, 16)


class World:
    """One machine's state outside its processes."""

    def __init__(
        self, booted_ns: int, seed: int, vm_id: str, *, hardened: bool, segment: Segment | None = None
    ) -> None:
        """`hardened`: the agent has closed what boot needed (the control `lockdown`)."""
        self.booted_ns: Final = booted_ns
        self.seed: Final = seed
        self.vm_id: Final = vm_id
        self.release: Final = RELEASE
        self.settings: dict[str, str] = {**procfs.SYSCTLS, **BOOT_SETTINGS}
        self.locked_down = "confidentiality" if hardened else "none"
        if hardened:
            self.settings |= {name: value for name, value in HARDENING if name not in ABSENT}
        self.modules: set[str] = set()
        self.swaps: set[int] = set()
        self.segments: list[tuple[int, int]] = []
        self.namespace_count = 100
        self.members: Callable[[], Iterable[Process]] = tuple
        self.pipes: Final = FileSystem("pipefs")
        self.sockets: Final = FileSystem("sockfs")
        self.anon: Final = FileSystem("anon")
        self.namespaces: Final = FileSystem("nsfs")
        memory = FileSystem("memfd")
        self.memory_mount: Final = Mount(memory, memory.root)
        self.segment: Final = segment
        self.aliases: set[str] = set()
        """Addresses the guest's root gave its card besides its own."""
        self._networks: dict[int, dict[tuple[int, Any], Any]] = {}
        self._entropy = 0
        self._tmp: list[Quota] = []
        self._guest()

    def _guest(self) -> None:
        """The guest's own root, as its init and agent see it."""
        self.image = rootfs.image()
        self.scratch = FileSystem("ext4")
        self.scratch.root.node.mode = stat.S_IFDIR | 0o755
        folder(self.scratch.root, "lost+found", 0o700)
        self.agent_disk = FileSystem("iso9660", read_only=True)
        for name in ("main.py", "manifest.json"):
            node = Node(self.agent_disk, stat.S_IFREG | 0o444)
            node.data += f"# {name} of the agent: its package is executor\n".encode()
            self.agent_disk.root.add(name, node)
        self.disks = {SCRATCH_DISK: self.scratch, IMAGE_DISK: self.image, AGENT_DISK: self.agent_disk}
        self.cgroups = sysfs.cgroup_tree(self)
        self.securityfs = sysfs.security_tree(self)
        self.sysfs = sysfs.build(self)
        self.devtmpfs = self._devices()
        run = FileSystem("tmpfs")
        run.root.node.mode = stat.S_IFDIR | 0o700
        deep(run.root, "cordon/t1001")
        root = Mount(self.image, self.image.root, RDONLY | NODEV)
        self.guest = MountTable(root)
        for path, system, flags in (
            ("/proc", procfs.ProcFs(self, self._members, whole=True).system, NOSUID | NODEV | NOEXEC),
            ("/sys", self.sysfs, NOSUID | NODEV | NOEXEC),
            ("/sys/fs/cgroup", self.cgroups, NOSUID | NODEV | NOEXEC),
            ("/sys/kernel/security", self.securityfs, NOSUID | NODEV | NOEXEC),
            ("/dev", self.devtmpfs, NOSUID),
            ("/run", run, NOSUID | NODEV | NOEXEC),
            ("/tmp", FileSystem("tmpfs"), NOSUID | NODEV | NOEXEC),
            ("/scratch", self.scratch, NOSUID | NODEV),
            ("/agent", self.agent_disk, RDONLY | NOSUID | NODEV | NOEXEC),
        ):
            self.guest.attach(Mount(system, system.root, flags), self._at(self.guest, path))

    def _members(self) -> Iterable[Process]:
        """Whoever runs now; the guest fills `members` in later."""
        return self.members()

    def _at(self, table: MountTable, path: str) -> Place:
        """A place by its path, without anybody's rights."""
        here = table.over(Place(table.root, table.root.root))
        for part in path.strip("/").split("/"):
            if part:
                node = here.dentry.node
                found = node.children.get(part) or (node.find(_NOBODY, part) if node.find else None)
                if found is None:
                    raise error(errno.ENOENT)
                here = table.over(Place(here.mount, found))
        return here

    def _devices(self) -> FileSystem:
        system = FileSystem("devtmpfs")
        root = system.root
        for name, major, minor, mode in (
            ("null", 1, 3, 0o666), ("zero", 1, 5, 0o666), ("full", 1, 7, 0o666), ("random", 1, 8, 0o666),
            ("urandom", 1, 9, 0o666), ("tty", 5, 0, 0o666), ("mem", 1, 1, 0o640), ("kmsg", 1, 11, 0o644),
            ("console", 5, 1, 0o600), ("ttyS0", 4, 64, 0o600), ("tty0", 4, 0, 0o600), ("hwrng", 10, 183, 0o600),
            ("vport1p1", 240, 1, 0o600), ("userfaultfd", 10, 126, 0o600),
        ):  # fmt: skip
            self._special(device(root, name, major, minor, mode))
        root.node.children["mem"].node.opened = self._physical
        for name, number in (("vda", 0), ("vda1", 1), ("vda2", 2), ("vdb", 16)):
            device(root, name, 254, number, 0o600, block=True)
        link(root, "fd", "/proc/self/fd")
        return system

    @staticmethod
    def _special(node: Node) -> None:
        number = os.major(node.rdev), os.minor(node.rdev)
        node.special = SPECIALS.get(number, "")
        if number in {(4, 64), (4, 0), (5, 1)}:
            node.special = "tty"
        elif number == (1, 11):
            node.special = "kmsg"
        elif number[0] == 240:
            node.special = "port"
            node.opened = _busy

    def _physical(self, process: Process, _flags: int) -> None:
        process.need("SYS_RAWIO")
        self.unless_locked_down()

    # The sandbox ----------------------------------------------------------------------------------------------------

    def sandbox(self, config: Mapping[str, Any], members: Callable[[], Iterable[Process]]) -> MountTable:
        """The mounts of the container `config` describes."""
        linux = config["linux"]
        read_only = bool(config["root"]["readonly"])
        if read_only:
            table = MountTable(Mount(self.image, self.image.root, RDONLY | NOSUID | NODEV))
        else:
            upper = FileSystem("overlay")
            rootfs.build(upper)
            table = MountTable(Mount(upper, upper.root))
        for entry in config["mounts"]:
            self._mount(table, entry, members)
        for path in linux.get("maskedPaths", ()):
            self._mask(table, path)
        for path in linux.get("readonlyPaths", ()):
            try:
                place = self._at(table, path)
            except OSError:
                continue
            if not table.is_point(place) or place.dentry.node.is_dir:
                made = table.attach(Mount(place.mount.system, place.dentry, place.mount.flags | RDONLY), place)
                made.locked = True
        return table

    def _mount(self, table: MountTable, entry: Mapping[str, Any], members: Callable[[], Iterable[Process]]) -> None:
        options = entry["options"]
        flags = sum(FLAGS.get(one, 0) for one in options)
        target = entry["destination"]
        try:
            place = self._at(table, target)
        except OSError:
            deep(table.root.root, target)
            place = self._at(table, target)
        if entry["type"] == "proc":
            system = procfs.ProcFs(self, members, whole=False).system
            table.attach(Mount(system, system.root, flags), place)
        elif entry["type"] == "tmpfs":
            table.attach(Mount(made := self._tmpfs(target, options), made.root, flags), place)
        else:
            self._bind(table, entry["source"], place, flags, deep_too="rbind" in options)

    def _bind(self, table: MountTable, source: str, place: Place, flags: int, *, deep_too: bool) -> None:
        found = self._at(self.guest, source)
        made = table.attach(Mount(found.mount.system, found.dentry, flags), place)
        if deep_too:
            for below in self.guest.all:
                if below.parent is found.mount and below.at is not None and below is not found.mount:
                    table.attach(Mount(below.system, below.root, below.flags), Place(made, below.at))

    def _tmpfs(self, target: str, options: Sequence[str]) -> FileSystem:
        system = FileSystem("tmpfs")
        settings = dict(one.split("=", 1) for one in options if "=" in one)
        system.root.node.mode = stat.S_IFDIR | int(settings.get("mode", "1777"), 8)
        if target == "/dev":
            for (major, minor), name, mode in (
                ((1, 3), "null", 0o666), ((1, 5), "zero", 0o666), ((1, 7), "full", 0o666), ((1, 8), "random", 0o666),
                ((1, 9), "urandom", 0o666), ((5, 0), "tty", 0o666),
            ):  # fmt: skip
                self._special(device(system.root, name, major, minor, mode))
            for name, where in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
                link(system.root, name, f"/proc/self/{where}")
            link(system.root, "core", "/proc/kcore")
            link(system.root, "ptmx", "pts/ptmx")
        elif size := settings.get("size", "").removesuffix("m"):
            quota = Quota(int(size) << 20, int(settings.get("nr_inodes", "0")), errno.ENOSPC)
            system.root.node.quota = quota
            system.quota = quota
            self._tmp.append(quota)
        return system

    def _mask(self, table: MountTable, path: str) -> None:
        """Cover a file with /dev/null and a folder with nothing; a path that is not there needs no mask."""
        try:
            place = self._at(table, path)
        except OSError:
            return
        if place.dentry.node.is_dir:
            empty = FileSystem("tmpfs", read_only=True)
            empty.root.node.mode = stat.S_IFDIR | 0o1777
            table.attach(Mount(empty, empty.root, RDONLY, locked=True), place)
        else:
            null = self.devtmpfs.root.node.children["null"]
            table.attach(Mount(self.devtmpfs, null, RDONLY, locked=True), place)

    def landlock(self, table: MountTable, arguments: Sequence[str], groups: Mapping[int, str]) -> tuple[Landlock, ...]:
        """The rules the launcher puts itself under, from its arguments (fixtures/gold_image/launch.c)."""
        handled, grants = 0, dict[int, int]()
        words = list(arguments[1:])
        handled = (EXECUTE if "-e" in words else 0) | (WRITE_HANDLED if "-f" in words else 0)
        if not handled:
            return ()
        if table.root.system is self.image:
            lists = rootfs.image_programs(tuple(groups.items()))
        else:
            lists = rootfs.executable(table.root.root, dict(groups))
        for option, value in itertools.pairwise(words):
            if option == "-x" and handled & EXECUTE:
                name = value.rpartition("/")[2].replace("_", ":", 1)
                for node in lists["system" if name == "system" else name]:
                    grants[id(node)] = grants.get(id(node), 0) | EXECUTE
            elif option in {"-X", "-w"}:
                wanted = EXECUTE if option == "-X" else WRITE_TREE
                try:
                    place = self._at(table, value)
                except OSError:
                    continue
                node = place.dentry.node
                access = wanted if node.is_dir else wanted & (EXECUTE | WRITE_FILE)
                if wanted & handled:
                    grants[id(node)] = grants.get(id(node), 0) | access
        return (Landlock(handled, grants),)

    # Asked by handlers ----------------------------------------------------------------------------------------------

    def setting(self, name: str) -> str:
        """A sysctl's value."""
        return self.settings.get(name, "0")

    def set(self, name: str, value: str) -> None:
        """Change a sysctl; some go one way only."""
        if name == "kernel/modules_disabled" and self.settings[name] == "1" and value != "1":
            raise error(errno.EINVAL)
        if value:
            self.settings[name] = value

    def unless_locked_down(self) -> None:
        """Raise where lockdown forbids to look at the kernel or the machine."""
        if self.locked_down != "none":
            raise error(errno.EPERM)

    def hostname(self, _process: Process) -> str:
        """The machine's and the sandbox's name."""
        return self.vm_id

    def shared_memory(self) -> int:
        """Bytes that files in /tmp take of the task's memory."""
        return sum(quota.bytes for quota in self._tmp)

    def random(self, size: int) -> bytes:
        """The generator."""
        self._entropy += 1
        return noise(self.seed, self._entropy, size)

    def proc(self, _process: Process) -> FileSystem:
        """A new mount of /proc."""
        return procfs.ProcFs(self, self._members, whole=True).system

    def path_in(self, process: Process, place: Place) -> str:
        """A path as `process` sees it."""
        return full_path(place, process.mounts, process.root)

    def cgroup_of(self, process: Process) -> bytes:
        """/proc/PID/cgroup: relative to the process's cgroup namespace."""
        if process.namespaces.cgroup and process.cgroup == "/cordon/t1001":
            return b"0::/\n"
        return f"0::{'/../..' if process.namespaces.cgroup else process.cgroup}\n".encode()

    def mount_list(self, process: Process, kind: int) -> bytes:
        """/proc/PID/mountinfo and mounts."""
        rows = []
        for mount in process.mounts.all:
            where = full_path(Place(mount, mount.root), process.mounts, process.root)
            options = ",".join(
                [("ro" if mount.read_only else "rw"), *(n for n, f in FLAGS.items() if mount.flags & f and f != 1)]
            )
            parent = mount.parent.number if mount.parent else 1
            if kind == 0:
                rows.append(
                    f"{mount.number} {parent} 0:{mount.system.device} / {where} {options} - {mount.system.kind} none rw"
                )
            else:
                rows.append(f"none {where} {mount.system.kind} {options} 0 0")
        return ("\n".join(rows) + "\n").encode()

    def fill_cgroup(self, node: Node) -> None:
        """A control group that was made."""
        sysfs.fill_group(self, Dentry("", None, node))

    # Special files --------------------------------------------------------------------------------------------------

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
                from executor.sim.kernel.kernel import EndedError  # noqa: PLC0415 - the kernel imports the world

                raise EndedError
            raise error(errno.EPIPE)
        room = pipe.size - len(pipe.buffer)
        if room < min(len(data), 4096):
            if opened.flags & os.O_NONBLOCK:
                raise error(errno.EAGAIN)
            raise WaitError
        pipe.buffer += data[:room]
        return min(len(data), room)

    def read_device(self, k: Kernel, p: Process, node: Node, offset: int, size: int) -> bytes:
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

    def write_device(self, k: Kernel, p: Process, node: Node, data: bytes) -> int:
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

    # Network --------------------------------------------------------------------------------------------------------

    def network(self, process: Process) -> dict[tuple[int, Any], Any]:
        """Sockets of its network namespace, by address."""
        return self._networks.setdefault(process.namespaces.net, {})

    def is_own_address(self, host: str) -> bool:
        """Whether an address is the machine's own, within the machine."""
        return host in {"", "0.0.0.0", "::", "::1", "localhost"} or host.startswith("127.")  # noqa: S104 - compared

    @staticmethod
    def loopback_up(_process: Process) -> bool:
        """The runtime brings the sandbox's loopback up; the guest's own init does not."""
        return True

    def card_of(self, process: Process) -> Segment | None:
        """The card, as far as a process's network namespace has it."""
        return None if process.namespaces.net else self.segment

    def interfaces(self, process: Process) -> list[str]:
        """Names of network interfaces."""
        return ["lo", "eth0"] if self.card_of(process) else ["lo"]

    def routed(self, process: Process) -> Segment:
        """The card that leads beyond the machine; raises ENETUNREACH where there is none."""
        found = self.card_of(process)
        if found is None:
            raise error(errno.ENETUNREACH)
        return found

    def resolve(self, process: Process, host: str | None) -> str:
        """The address of a name; error numbers from 1000 down are the resolver's."""
        if not host or host == "localhost":
            return "127.0.0.1"
        if (host.replace(".", "").isdigit() and host.count(".") == 3) or ":" in host:
            return host
        segment = self.card_of(process)
        if segment is None:
            raise OSError(1000 - 3, "name resolution")
        labels = b"".join(bytes([len(part)]) + part for part in host.encode("idna").split(b"."))
        reply = segment.named(b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1") or b""
        if len(reply) < 16 or reply[3] & 15 or not reply[7]:
            raise OSError(1000 - 2, "name resolution")
        return ".".join(str(one) for one in reply[-4:])


def _busy(_process: Process, _flags: int) -> None:
    raise error(errno.EBUSY)


_NOBODY: Any = None
"""Where a look-up is nobody's."""

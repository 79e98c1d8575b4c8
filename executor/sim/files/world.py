"""The machine around the guest's processes: file systems, settings, what handlers ask of it."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from executor.guest.kernel import HARDENING
from executor.sim.calls.machine import noise
from executor.sim.files import machine_facts, procfs, rootfs, sysfs
from executor.sim.files.card import Network
from executor.sim.files.mounts import NODEV, NOEXEC, NOSUID, RDONLY, Mount, MountTable, Place, below, full_path
from executor.sim.files.nodes import Dentry, FileSystem, Node, Quota, deep, device, error, folder, link
from executor.sim.files.sandbox import FLAGS
from executor.sim.files.specials import (
    AGENT_DISK,
    COMMON,
    IMAGE_DISK,
    OF_THE_GUEST,
    SCRATCH_DISK,
    SpecialFiles,
    character_device,
)
from executor.sim.kernel.process import Process

if TYPE_CHECKING:
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


class World(SpecialFiles, Network):
    """One machine's state outside its processes."""

    def __init__(
        self, booted_ns: int, seed: int, vm_id: str, *, hardened: bool, segment: Segment | None = None
    ) -> None:
        """`hardened`: the agent has closed what boot needed (the control `lockdown`)."""
        super().__init__(segment)
        self.booted_ns: Final = booted_ns
        self.seed: Final = seed
        self.vm_id: Final = vm_id
        self.release: Final = RELEASE
        self.settings: dict[str, str] = {**machine_facts.SYSCTLS, **BOOT_SETTINGS}
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
        self.anon = FileSystem("anon")
        self.namespaces: Final = FileSystem("nsfs")
        memory = FileSystem("memfd")
        self.memory_mount: Final = Mount(memory, memory.root)
        self._entropy = 0
        self.temporary: list[Quota] = []
        """What of files in /tmp counts as the task's memory."""
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
            self.guest.attach(Mount(system, system.root, flags), self.at(self.guest, path))

    def _members(self) -> Iterable[Process]:
        """Whoever runs now; the guest fills `members` in later."""
        return self.members()

    def at(self, table: MountTable, path: str) -> Place:
        """A place by its path, without anybody's rights."""
        here = table.over(Place(table.root, table.root.root))
        for part in path.strip("/").split("/"):
            if part:
                here = below(table, here, part)
        return here

    def _devices(self) -> FileSystem:
        system = FileSystem("devtmpfs")
        root = system.root
        for name, major, minor, mode in (*((*one, 0o666) for one in COMMON), *OF_THE_GUEST):
            character_device(root, name, major, minor, mode)
        root.node.children["mem"].node.opened = self._physical
        for name, number in (("vda", 0), ("vda1", 1), ("vda2", 2), ("vdb", 16)):
            device(root, name, 254, number, 0o600, block=True)
        link(root, "fd", "/proc/self/fd")
        return system

    def _physical(self, process: Process, _flags: int) -> None:
        process.need("SYS_RAWIO")
        self.unless_locked_down()

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
        return sum(quota.bytes for quota in self.temporary)

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

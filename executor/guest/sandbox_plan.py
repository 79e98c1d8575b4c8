"""Turns a lease's terms into an OCI runtime configuration. Pure: no IO, the same terms give the same configuration.

Each control of the sandbox is one `if "<name>" not in weaken` here or in the modules beside, so that a drill can take
away exactly one (executor/weaken.py lists the names).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from executor.guest import artefact
from executor.guest.errors import DeniedError

TASK_UID: Final = 1000
LAUNCH: Final = "/opt/cordon/bin/launch"
WORKSPACE: Final = "/workspace"
CPU_PERIOD_US: Final = 100_000
FDS_TO_MAKE: Final = 128
"""Descriptors the runtime may have while it makes a container: it holds one for each masked path."""
TMP_MIB: Final = 64
"""Size of /tmp at most; it counts as the task's memory."""
MIB: Final = 1024 * 1024
DEFAULT_ENV: Final[Mapping[str, bytes]] = {
    "PATH": b"/usr/bin:/bin",
    "HOME": b"/workspace",
    "USER": b"task",
    "LANG": b"C.UTF-8",
}

ALL_CAPABILITIES: Final = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN"),
    *("CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT"),
    *("CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE"),
    *("CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL"),
    *("CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND"),
    *("CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
)
"""Every capability of Linux 6.1, for the drill that grants them."""

MASKED_PATHS: Final = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware"),
    *("/sys/devices/virtual/powercap",),  # so far what Docker masks; the rest is this project's
    *("/proc/kallsyms", "/proc/modules", "/proc/config.gz", "/proc/kmsg", "/proc/key-users", "/proc/cmdline"),
    *("/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/slabinfo", "/proc/vmallocinfo"),
    *("/proc/iomem", "/proc/ioports", "/proc/dma", "/proc/driver", "/proc/partitions", "/proc/diskstats"),
    *("/proc/swaps", "/proc/pagetypeinfo", "/proc/zoneinfo", "/proc/buddyinfo", "/proc/schedstat", "/proc/consoles"),
    *("/proc/mtrr", "/proc/vmstat", "/proc/softirqs", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"),
    *("/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/fs/binfmt_misc", "/proc/dynamic_debug"),
    *("/proc/bus", "/proc/execdomains", "/proc/tty", "/proc/pressure"),
)
READONLY_PATHS: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Limits:
    """A lease's limits, in the units of the channel's message; 0 means none was given."""

    cpu_quota: int = 100
    mem_quota_mb: int = 256
    disk_quota_mb: int = 256
    wallclock_timeout_s: int = 30
    fd_limit: int = 256
    pids: int = 64
    output_mb: int = 16


_LIMITS: Final = tuple(one.name for one in fields(Limits))


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that decides what the sandbox looks like."""

    capabilities: frozenset[str]
    groups: tuple[int, ...]
    """Supplementary groups: one for each capability, see the capability map."""
    exec_lists: tuple[str, ...]
    """Files with the paths that may be executed, one for each capability."""
    trees: tuple[str, ...]
    """Folders (or files) in the sandbox that may be written, see `scope`."""
    limits: Limits
    hostname: str
    weaken: frozenset[str] = field(default_factory=frozenset)
    resolver: str = ""
    """The guest's resolver file, when it has a network card."""
    artefacts: str = ""
    """Folder with the programs the lease brings along; empty when it names none."""

    def has(self, control: str) -> bool:
        """Whether `control` is in force."""
        return control not in self.weaken


def granted(given: object) -> Limits:
    """The limits in `given`, which has them under the same names: the channel's message, or the host's own type.

    Raises `DeniedError` for one that is not set: a mistake of the host, not a wish for no limit.
    """
    limits = {name: getattr(given, name) for name in _LIMITS}
    for name, limit in limits.items():
        if limit < 1:
            raise DeniedError("guest.limit_missing", f"the lease sets no {name}")
    return Limits(**limits)


def launch_arguments(terms: Terms) -> list[str]:
    """Arguments of the launcher: what Landlock lets the task execute and write."""
    args = [LAUNCH]
    if not terms.has("landlock"):
        return args
    if terms.has("capability_map"):
        args.append("-e")
        for path in terms.exec_lists:
            args += ["-x", path]
        if may_execute_own(terms):
            args += ["-X", WORKSPACE, "-X", "/tmp"]  # noqa: S108 - the sandbox's own
        if terms.artefacts:
            args += ["-X", artefact.PLACE]
    if terms.has("readonly_root"):
        args.append("-f")
        for tree in (*terms.trees, *_tmp(terms), "/dev"):
            args += ["-w", tree]
    return args


def may_execute_own(terms: Terms) -> bool:
    """Whether the task may execute files it made: only who may compile."""
    return "dev:compiler" in terms.capabilities or not terms.has("noexec")


def _tmp(terms: Terms) -> tuple[str, ...]:
    return ("/tmp",) if "fs:write_tmp" in terms.capabilities else ()  # noqa: S108 - the sandbox's own


def mounts(terms: Terms, workspace: str) -> list[dict[str, Any]]:
    """The mounts of the sandbox; `workspace` is the folder of the scratch disk that becomes /workspace."""
    inner = ["nosuid", "nodev"] + ([] if may_execute_own(terms) else ["noexec"])
    whole = WORKSPACE in terms.trees or not terms.has("readonly_root")
    found: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}
    ]
    if terms.has("masked_paths"):
        options = ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]
        found.append({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": options})
    else:
        found += [
            {"destination": "/dev", "type": "bind", "source": "/dev", "options": ["bind", "rw"]},
            {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "rw"]},
        ]
    found.append(
        {
            "destination": WORKSPACE,
            "type": "bind",
            "source": workspace,
            "options": ["bind", "rw" if whole else "ro", *inner],
        }
    )
    if not whole:
        found += [
            {
                "destination": tree,
                "type": "bind",
                "source": workspace + tree.removeprefix(WORKSPACE),
                "options": ["bind", "rw", *inner],
            }
            for tree in terms.trees
            if tree.startswith(f"{WORKSPACE}/")
        ]
    if terms.artefacts:
        # The one place beside the image from which a task may execute; it cannot be written from inside.
        options = ["bind", "ro", "nosuid", "nodev"]
        found.append({"destination": artefact.PLACE, "type": "bind", "source": terms.artefacts, "options": options})
    if terms.resolver and "net:egress" in terms.capabilities:
        options = ["bind", "ro", "nosuid", "nodev", "noexec"]
        found.append({"destination": "/etc/resolv.conf", "type": "bind", "source": terms.resolver, "options": options})
    if _tmp(terms):
        size = f"size={tmp_mib(terms.limits)}m"
        options = ["mode=1777", *([size, "nr_inodes=4096"] if terms.has("quota") else []), *inner]
        found.append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})  # noqa: S108
    return found


def tmp_mib(limits: Limits) -> int:
    """Size of /tmp, in MiB."""
    return min(TMP_MIB, max(1, limits.mem_quota_mb // 2))


def rlimits(limits: Limits) -> list[dict[str, Any]]:
    """Per-process limits; bytes where it is a size."""
    table = {
        **lease_rlimits(limits),
        "RLIMIT_NOFILE": max(limits.fd_limit, FDS_TO_MAKE),
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 64 * 1024,
        "RLIMIT_STACK": 8 * MIB,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 256,
        "RLIMIT_NICE": 0,
        "RLIMIT_RTPRIO": 0,
    }
    return [{"type": name, "hard": value, "soft": value} for name, value in table.items()]


def lowered(terms: Terms) -> dict[str, int]:
    """Those of `rlimits` that are lower than the runtime could live with: set once it is done, before the command."""
    low = terms.has("rlimits") and terms.limits.fd_limit < FDS_TO_MAKE
    return {"RLIMIT_NOFILE": terms.limits.fd_limit} if low else {}


def resources(limits: Limits) -> dict[str, Any]:
    """Limits of the task's control group."""
    memory = limits.mem_quota_mb * MIB
    return {
        "memory": {"limit": memory, "swap": memory},  # memory plus swap in one figure: no swap
        "cpu": {"quota": limits.cpu_quota * CPU_PERIOD_US // 100, "period": CPU_PERIOD_US},
        # Two more than granted: the launcher, and the runtime's own process while it sets up.
        "pids": {"limit": limits.pids + 2},
        "unified": {"memory.oom.group": "1"},
    }


def control_files(limits: Limits) -> dict[str, str]:
    """What `resources` comes to in the group's files, where limits are set after the runtime is done."""
    return {
        "memory.max": str(limits.mem_quota_mb * MIB),
        "memory.swap.max": "0",
        "cpu.max": f"{limits.cpu_quota * CPU_PERIOD_US // 100} {CPU_PERIOD_US}",
        "pids.max": str(limits.pids + 1),
    }


def lease_rlimits(limits: Limits) -> dict[str, int]:
    """Those of `rlimits` that a lease decides about."""
    return {"RLIMIT_NOFILE": limits.fd_limit, "RLIMIT_FSIZE": limits.disk_quota_mb * MIB}


def namespaces(terms: Terms) -> list[dict[str, str]]:
    """New namespaces of the sandbox; the guest's network only for who was granted egress."""
    kinds = ["mount", "cgroup"]
    if terms.has("namespaces"):
        kinds += ["pid", "ipc", "uts"]
        if "net:egress" not in terms.capabilities:
            kinds.append("network")
    else:
        kinds = ["mount"]
    return [{"type": kind} for kind in kinds]


def config(terms: Terms, *, root: str, workspace: str, cgroup: str, seccomp: Mapping[str, Any]) -> dict[str, Any]:
    """The OCI configuration of a sandbox whose first process is the launcher."""
    confined = terms.has("capabilities")
    kept: Sequence[str] = () if confined else ALL_CAPABILITIES
    uid = TASK_UID if terms.has("unprivileged_user") else 0
    process: dict[str, Any] = {
        "terminal": False,
        "user": {"uid": uid, "gid": uid, "umask": 0o022, "additionalGids": list(terms.groups)},
        "args": launch_arguments(terms),
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "capabilities": {kind: list(kept) for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        "noNewPrivileges": confined,
    }
    if terms.has("rlimits"):
        process["rlimits"] = rlimits(terms.limits)
    linux: dict[str, Any] = {"namespaces": namespaces(terms), "cgroupsPath": cgroup}
    if terms.has("cgroup"):
        linux["resources"] = resources(terms.limits)
    if terms.has("seccomp"):
        linux["seccomp"] = {key: value for key, value in seccomp.items() if key != "cordon"}
    if terms.has("masked_paths"):
        linux["maskedPaths"] = list(MASKED_PATHS)
        linux["readonlyPaths"] = list(READONLY_PATHS)
    found: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": root, "readonly": terms.has("readonly_root")},
        "mounts": mounts(terms, workspace),
        "linux": linux,
    }
    if terms.has("namespaces"):
        found["hostname"] = terms.hostname
    return found

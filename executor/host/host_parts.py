"""Judge the host itself: Python, machine, user, control groups, room, memory, namespaces. Pure."""

from __future__ import annotations

from typing import Final

from executor.host.facts import Folder, HostFacts
from executor.host.finding import GIB, Finding, dotted

PYTHON: Final = (3, 11)
ROOM: Final[dict[str, int]] = {"state": GIB // 2, "cache": 4 * GIB, "runtime": GIB // 2}
"""Bytes wanted: audit logs and results; gold image with its build, tools, snapshots; overlays of running VMs."""
ROOM_BUILT: Final = GIB
"""Bytes wanted in the cache when the gold image is there."""
MEMORY: Final = 2 * GIB
"""A pool of two 512 MiB guests, QEMU's own share, and the suite."""
NETWORK_TOOLS: Final = {"ip": "iproute2", "bridge": "iproute2", "nft": "nftables"}
"""Program -> Debian package that brings it."""


def python(facts: HostFacts) -> Finding:
    """The Python that runs us."""
    if facts.python[:2] < PYTHON:
        return Finding(
            "python", "fail", f"is {dotted(facts.python)}, 3.11 is the least", "install python3.11", "nothing works"
        )
    return Finding("python", "ok", dotted(facts.python))


def machine(facts: HostFacts) -> Finding:
    """The processor's kind."""
    if facts.machine not in ("x86_64", "amd64"):
        without = "policies, decisions, leases and audit work, and scenarios with --engine sim; no VM does"
        return Finding(
            "machine", "fail", f"is {facts.machine}; the gold image is for x86-64", "use an x86-64 host", without
        )
    return Finding("machine", "ok", facts.machine)


def user(facts: HostFacts) -> Finding:
    """Who we are."""
    if facts.root:
        return Finding("user", "ok", "root")
    without = "VMs run as you; drills of the network's walls need root and are counted as unmeasured"
    return Finding("user", "warn", f"{facts.user}, not root", "run as root, or with sudo", without)


def cgroup(facts: HostFacts) -> Finding:
    """Whether control groups of this host can hold QEMU; the guest has its own."""
    groups = facts.cgroup
    without = "QEMU is held by resource limits alone (address space, file size, threads of its account); limits inside \
the guest hold all the same"
    if groups.kind == "none":
        return Finding(
            "cgroup", "warn", "no control groups are mounted", "mount -t cgroup2 none /sys/fs/cgroup", without
        )
    if groups.why_not:
        mend = "run as the systemd unit (deploy/cordon.service), or under `systemd-run --scope -p Delegate=yes`"
        return Finding("cgroup", "warn", f"{groups.kind}: {groups.why_not}", mend, without)
    says = f"{groups.kind}: QEMU is held by groups of version {groups.version} (memory, cpu, pids)"
    return Finding("cgroup", "ok", f"{says}, and by resource limits")


def folder_room(folder: Folder, facts: HostFacts) -> Finding:
    """Room and right to write in one of our folders."""
    part, variable = f"{folder.what} folder", f"CORDON_{folder.what.upper()}"
    free = f"{folder.free / GIB:.1f} GiB free"
    if not folder.writable:
        mend = f"set {variable} to a folder {facts.user} may write to"
        return Finding(part, "fail", f"{folder.path} cannot be written", mend, _without_folder(folder))
    need = ROOM_BUILT if folder.what == "cache" and facts.image_built else ROOM[folder.what]
    if folder.free < need:
        mend = f"make room there, or set {variable} to a folder on a larger disk"
        says = f"{folder.path}: {free}, {need / GIB:.1f} GiB needed"
        return Finding(part, "fail", says, mend, _without_folder(folder))
    return Finding(part, "ok", f"{folder.path}, {free}")


def _without_folder(folder: Folder) -> str:
    return {
        "state": "decisions and policy tests work; nothing runs, since nothing runs unrecorded",
        "cache": "the gold image cannot be built; decisions and policy tests work, and --engine sim",
        "runtime": "no VM starts; decisions and policy tests work, and --engine sim",
    }[folder.what]


def memory(facts: HostFacts) -> Finding:
    """Memory for guests."""
    free = f"{facts.memory_free / GIB:.1f} GiB available"
    if facts.memory_free < MEMORY:
        without = "one VM at a time may work: pytest scenarios -n 1"
        return Finding("memory", "warn", f"{free}, {MEMORY / GIB:.0f} GiB wanted", "end what else is running", without)
    return Finding("memory", "ok", free)


def user_namespaces(facts: HostFacts) -> Finding:
    """What building the gold image without root needs."""
    if facts.user_namespaces:
        return Finding("user namespaces", "ok", "can be made")
    if facts.root:
        return Finding("user namespaces", "ok", "cannot be made; not needed as root")
    mend = "sudo sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    if facts.image_built:
        return Finding(
            "user namespaces", "warn", "cannot be made", mend, "the gold image is built, and cannot be built anew"
        )
    return Finding(
        "user namespaces", "fail", "cannot be made: the gold image cannot be built", mend, "build it as root"
    )


def network(facts: HostFacts) -> Finding:
    """What the walls of the network are built and tested with."""
    without = "tasks with net:egress are refused; drills with test hosts are counted as unmeasured"
    missing = sorted({package for tool, package in NETWORK_TOOLS.items() if tool not in facts.programs})
    if missing:
        mend = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        return Finding("network", "warn", f"missing: {' '.join(missing)}", mend, without)
    if not facts.namespaces:
        return Finding("network", "warn", "network namespaces cannot be made", "run as root", without)
    return Finding("network", "ok", "namespaces can be made; ip, bridge and nft are here")


def apparmor(facts: HostFacts) -> Finding:
    """Whether AppArmor stands in the way, and whether it holds QEMU."""
    if facts.apparmor == "off":
        return Finding("apparmor", "ok", "off: QEMU is held by its account, its filter, limits and groups")
    if facts.apparmor == "restricts" and not facts.root:
        mend = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        return Finding("apparmor", "warn", "forbids user namespaces to unknown programs", mend, "run as root instead")
    says = "on; root is not restricted" if facts.apparmor == "restricts" else "on"
    if facts.apparmor_loaded is False:
        mend = (
            "install -m 0644 deploy/apparmor/cordon-executor /etc/apparmor.d/ && "
            "apparmor_parser -r /etc/apparmor.d/cordon-executor"
        )
        without = "QEMU is held by its account, its filter, limits and groups; not by AppArmor"
        return Finding("apparmor", "warn", f"{says}; QEMU's profile is not loaded", mend, without)
    if facts.apparmor_loaded is None:
        return Finding("apparmor", "ok", f"{says}; whether QEMU's profile is loaded only root can see")
    where = "holds what `cordon serve` starts as the unit, or under `aa-exec -p cordon-executor`"
    return Finding("apparmor", "ok", f"{says}; QEMU's profile is loaded: it {where}")

"""Attempts to learn what a task must not know, and their harmless twins.

Masked files open and read as empty: a probe says `absent` then. A probe that gets bytes gets through.
"""

import ctypes
import errno
import os
import struct

import kit
from kit import need, probe, syscall


def own_status():
    need(b"Name:" in kit.read("/proc/self/status"))


def own_maps():
    need(b"-" in kit.read("/proc/self/maps"))


def own_memory():
    buffer = ctypes.create_string_buffer(b"mine")
    handle = os.open("/proc/self/mem", os.O_RDONLY)
    need(os.pread(handle, 4, ctypes.addressof(buffer)) == b"mine")


def public_facts():
    need(kit.read("/proc/meminfo") and kit.read("/proc/cpuinfo"))


def random_bytes():
    need(len(kit.read("/dev/urandom", 16)) == 16)


def own_environment():
    need(os.environ["HOME"] == "/workspace")


def workspace():
    with open(f"{kit.own_folder()}/mine", "w") as file:
        file.write("x")


def bytes_of(path, thing, wanted=b"", size=4096):
    """What a file holds; `thing` is absent when it is empty or without `wanted`."""
    found = kit.read(path, size)
    if not found.strip(b"\0\n ") or wanted not in found:
        raise kit.AbsentError(thing)
    return found[:60]


def names_in(path, thing):
    found = os.listdir(path)
    if not found:
        raise kit.AbsentError(thing)
    return found[:5]


def masked(mechanism, path, thing, twin=public_facts, wanted=b""):
    probe(mechanism, twin=twin)(lambda: bytes_of(path, thing, wanted))


@probe("kernel-symbols", twin=public_facts)
def kallsyms():
    """Per-CPU symbols come first and are small numbers; what matters are addresses of the kernel's own half."""
    with open("/proc/kallsyms", "rb") as file:
        if b"ffffffff" not in file.read(1 << 21):
            raise kit.AbsentError("kernel addresses")


@probe("kernel-memory-file", twin=own_memory)
def kcore():
    return bytes_of("/proc/kcore", "kernel memory", b"\x7fELF")


@probe("physical-memory", twin=own_memory)
def mem():
    handle = os.open("/dev/mem", os.O_RDONLY)
    os.read(handle, 16)


@probe("io-ports", twin=random_bytes)
def port():
    """Reads a device's IO port by a file: /dev/port where there is one, else a PCI device's own."""
    if os.path.exists("/dev/port"):
        return os.pread(os.open("/dev/port", os.O_RDONLY), 1, 0x70).hex()
    base = "/sys/bus/pci/devices"
    for device in sorted(os.listdir(base)):
        for number, line in enumerate(open(f"{base}/{device}/resource").read().splitlines()[:6]):
            start, _, flags = (int(word, 16) for word in line.split())
            if start and flags & 0x100:
                handle = os.open(f"{base}/{device}/resource{number}", os.O_RDONLY)
                return os.pread(handle, 1, 0).hex()
    raise kit.AbsentError("a device with ports")


@probe("memory-map-of-process-1", twin=own_maps)
def maps():
    return bytes_of("/proc/1/maps", "mappings")


@probe("memory-of-process-1", twin=own_memory)
def memory():
    handle = os.open("/proc/1/mem", os.O_RDONLY)
    first = int(kit.read("/proc/1/maps").split(b"-")[0], 16)
    return os.pread(handle, 4, first)


@probe("environment-of-process-1", twin=own_environment)
def environ():
    os.close(os.open("/proc/1/environ", os.O_RDONLY))


@probe("descriptors-of-process-1", twin=own_status)
def descriptors():
    os.listdir("/proc/1/fd")


@probe("auxiliary-vector-of-process-1", twin=own_status)
def auxv():
    """Where the program and its random canary lie."""
    return bytes_of("/proc/1/auxv", "addresses")


@probe("kernel-stack", twin=own_status)
def stack():
    return kit.read("/proc/self/stack")


@probe("system-call-of-process-1", twin=own_status)
def wchan():
    return kit.read("/proc/1/syscall")


@probe("physical-addresses-of-own-pages", twin=own_maps)
def pagemap():
    """Frame numbers, as rowhammer and side channels need them."""
    area = ctypes.create_string_buffer(b"x" * 8192)
    handle = os.open("/proc/self/pagemap", os.O_RDONLY)
    entry = struct.unpack("<Q", os.pread(handle, 8, ctypes.addressof(area) // 4096 * 8))[0]
    if not entry & (1 << 55) - 1:
        raise kit.AbsentError("frame numbers")
    return hex(entry)


@probe("other-processes", twin=own_status)
def processes():
    """Any process that is not the sandbox's own: the guest's agent, its init, kernel threads."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and kit.read(f"/proc/{name}/comm").strip() not in {b"launch", b"python3", b"true"}:
            return kit.read(f"/proc/{name}/comm")
    raise kit.AbsentError("other processes")


@probe("kernel-log-by-device", twin=random_bytes)
def kmsg():
    handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    return os.read(handle, 1024)[:40]


@probe("kernel-log-by-call", twin=public_facts)
def syslog():
    need(syscall(103, 3, ctypes.create_string_buffer(4096), 4096) > 0)


@probe("kernel-log-by-file", twin=public_facts)
def proc_kmsg():
    handle = os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    buffer = os.fstat(handle)
    if buffer.st_rdev:
        raise kit.AbsentError("the kernel's log")


masked("keyrings", "/proc/keys", "keys")
masked("key-owners", "/proc/key-users", "key owners")
masked("timers", "/proc/timer_list", "timers", wanted=b"Timer List")
masked("loaded-modules", "/proc/modules", "modules")
masked("boot-command-line", "/proc/cmdline", "the command line")
masked("kernel-mappings", "/proc/vmallocinfo", "mappings")
masked("slab-statistics", "/proc/slabinfo", "slabs")
masked("interrupt-counters", "/proc/interrupts", "interrupts")
masked("physical-layout", "/proc/iomem", "the physical layout")
masked("port-layout", "/proc/ioports", "the port layout")
masked("page-flags", "/proc/kpageflags", "page flags")


@probe("page-counts", twin=public_facts)
def page_counts():
    return bytes_of("/proc/kpagecount", "page counts", size=1 << 20)


masked("disk-statistics", "/proc/diskstats", "disks")
masked("partitions", "/proc/partitions", "partitions")
masked("scheduler-statistics", "/proc/schedstat", "scheduler statistics")
masked("memory-zones", "/proc/zoneinfo", "memory zones")
masked("memory-fragmentation", "/proc/buddyinfo", "free lists")
masked("memory-counters", "/proc/vmstat", "memory counters")
masked("soft-interrupts", "/proc/softirqs", "soft interrupts")
masked("consoles", "/proc/consoles", "consoles")
@probe("kernel-configuration", twin=public_facts)
def configuration():
    """How the kernel was built tells what to try: the kernel's own copy, or the one its package brings."""
    if os.path.exists("/proc/config.gz"):
        return bytes_of("/proc/config.gz", "the configuration")
    need(b"CONFIG_" in kit.read(f"/boot/config-{os.uname().release}"))


@probe("terminal-drivers", twin=public_facts)
def tty():
    return names_in("/proc/tty", "terminals")


@probe("pressure-of-the-whole-machine", twin=public_facts)
def pressure():
    return names_in("/proc/pressure", "pressure")


@probe("bus-devices", twin=public_facts)
def bus():
    return names_in("/proc/bus", "buses")


@probe("firmware-tables", twin=public_facts)
def firmware():
    return names_in("/sys/firmware", "firmware tables")


@probe("module-load-addresses", twin=public_facts)
def sections():
    for name in os.listdir("/sys/module"):
        path = f"/sys/module/{name}/sections/.text"
        if os.path.exists(path) and int(kit.read(path), 16):
            return kit.read(path)
    kit.fail(errno.ENOENT)


@probe("crash-note-address", twin=public_facts)
def vmcoreinfo():
    return kit.read("/sys/kernel/vmcoreinfo")


@probe("machine-identity", twin=public_facts)
def dmi():
    return names_in("/sys/class/dmi/id", "the machine's identity")


@probe("disk-read-raw", twin=workspace)
def disk():
    """The scratch disk itself: what earlier tasks left in freed blocks would be there."""
    handle = os.open("/dev/vda2", os.O_RDONLY)
    need(os.pread(handle, 2, 1080) == b"\x53\xef")


@probe("agent-disk-read-raw", twin=workspace)
def iso():
    handle = os.open("/dev/vdb", os.O_RDONLY)
    return os.pread(handle, 5, 32769)


@probe("agent-folder", twin=workspace)
def agent():
    """The agent's code, as far as the mount point shows anything."""
    return names_in("/proc/1/root/agent", "the agent's files")


@probe("scratch-folder", twin=workspace)
def scratch():
    """Workspaces of other sandboxes of this VM."""
    return names_in("/proc/1/root/scratch", "workspaces")


@probe("runtime-folder", twin=workspace)
def runtime():
    """The container's own configuration, with its seccomp profile and paths."""
    return names_in("/proc/1/root/run/cordon", "bundles")

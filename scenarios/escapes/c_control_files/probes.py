"""Attempts to write the kernel's control files, and their harmless twins.

A mask over a file takes a write and forgets it: every attempt therefore proves by the file system's type, or by reading
back, that it reached the kernel.
"""

import errno
import os
import struct

import kit
from kit import libc, need, probe

PROC, SYSFS, CGROUP2 = 0x9FA0, 0x62656572, 0x63677270


def kind(handle):
    """The type of the file system behind an open file."""
    buffer = bytearray(120)
    need(libc.fstatfs(handle, (kit.ctypes.c_char * 120).from_buffer(buffer)) == 0)
    return struct.unpack_from("<q", buffer)[0]


def put(path, data, flags=0, magic=PROC):
    """Write a control file; a write that ends anywhere but in the kernel's own file system is a refusal."""
    handle = os.open(path, os.O_WRONLY | flags)
    try:
        need(kind(handle) == magic)
        os.write(handle, data)
    finally:
        os.close(handle)


def same_again(path, flags=0, magic=PROC):
    """Write what is there already: the right is used, nothing changes."""
    put(path, kit.read(path).strip() or b"\n", flags, magic)


def read_sysctl():
    need(int(kit.read("/proc/sys/kernel/pid_max")))


def own_files():
    path = f"{kit.own_folder()}/file"
    with open(path, "a") as file:
        file.write("x")
    os.truncate(path, 0)
    os.symlink(path, path + ".link")


def own_score():
    need(int(kit.read("/proc/self/oom_score_adj")) <= 1000)


def own_cgroup():
    need(kit.read("/proc/self/cgroup"))


@probe("core-pattern", twin=read_sysctl)
def core_pattern():
    """A program the kernel runs as root whenever something dumps core."""
    put("/proc/sys/kernel/core_pattern", b"|/workspace/evil\n")
    need(b"/workspace/evil" in kit.read("/proc/sys/kernel/core_pattern"))
    put("/proc/sys/kernel/core_pattern", b"core\n")


@probe("modprobe-path", twin=read_sysctl)
def modprobe():
    put("/proc/sys/kernel/modprobe", b"/workspace/evil\n")
    need(b"/workspace/evil" in kit.read("/proc/sys/kernel/modprobe"))
    put("/proc/sys/kernel/modprobe", b"/bin/false\n")


@probe("hotplug-helper", twin=read_sysctl)
def hotplug():
    put("/proc/sys/kernel/hotplug", b"/workspace/evil\n")
    put("/proc/sys/kernel/hotplug", b"\n")


@probe("uevent-helper", twin=read_sysctl)
def uevent():
    put("/sys/kernel/uevent_helper", b"/workspace/evil\n", magic=SYSFS)
    put("/sys/kernel/uevent_helper", b"\n", magic=SYSFS)


@probe("uevent-made-up", twin=own_files)
def uevent_trigger():
    """Makes the kernel announce a device again."""
    put("/sys/class/mem/null/uevent", b"change", magic=SYSFS)


MOUNT, UMOUNT, FINIT_MODULE = 165, 166, 313


@probe("binfmt-misc", twin=read_sysctl)
def binfmt():
    """Has the kernel start a program for files of a made-up kind, for whoever executes one."""
    place = "/proc/sys/fs/binfmt_misc"
    try:
        kit.syscall(MOUNT, b"none", place.encode(), b"binfmt_misc", 0, 0)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        handle = os.open("/opt/cordon/modules/binfmt_misc.ko", os.O_RDONLY)
        kit.syscall(FINIT_MODULE, handle, b"", 0)
        kit.syscall(MOUNT, b"none", place.encode(), b"binfmt_misc", 0, 0)
    put(f"{place}/register", b":drill:E::drill::/bin/false:", magic=0x42494E4D)
    put(f"{place}/drill", b"-1", magic=0x42494E4D)
    kit.syscall(UMOUNT, place.encode(), 0)


@probe("sysrq-trigger", twin=read_sysctl)
def sysrq():
    put("/proc/sysrq-trigger", b"h")


@probe("oom-score-of-process-1", twin=own_score)
def oom_init():
    put("/proc/1/oom_score_adj", b"999")


@probe("oom-score-lowered", twin=own_score)
def oom_self():
    put("/proc/self/oom_score_adj", b"-1000")


@probe("sysctl-write", twin=read_sysctl)
def sysctl():
    same_again("/proc/sys/kernel/panic_on_oops")


@probe("sysctl-append", twin=own_files)
def sysctl_append():
    same_again("/proc/sys/kernel/sysrq", os.O_APPEND)


@probe("sysctl-truncate", twin=own_files)
def sysctl_truncate():
    """truncate(2) needs no descriptor; where it is let through, the write is tried too."""
    os.truncate("/proc/sys/kernel/panic", 0)
    same_again("/proc/sys/kernel/panic", os.O_TRUNC)


@probe("sysctl-through-a-symlink", twin=own_files)
def sysctl_symlink():
    link = f"{kit.own_folder()}/link"
    os.symlink("/proc/sys/vm/overcommit_memory", link)
    same_again(link)


@probe("sysctl-reopened-by-descriptor", twin=own_files)
def sysctl_reopen():
    """Opened for reading, opened again for writing by its descriptor's name."""
    first = os.open("/proc/sys/vm/swappiness", os.O_RDONLY)
    same_again(f"/proc/self/fd/{first}")


@probe("sysctl-reopened-without-access", twin=own_files)
def sysctl_path():
    """Opened as a mere path, which no access check sees, then by its descriptor's name."""
    first = os.open("/proc/sys/vm/dirty_ratio", os.O_PATH)
    same_again(f"/proc/self/fd/{first}")


@probe("sysctl-through-another-task", twin=own_files)
def sysctl_task_root():
    """The same file by the way of a thread's root."""
    same_again(f"/proc/self/task/{os.getpid()}/root/proc/sys/vm/laptop_mode")


@probe("drop-caches", twin=read_sysctl)
def drop_caches():
    """Makes every other task on the kernel slow."""
    put("/proc/sys/vm/drop_caches", b"1")


@probe("interrupt-affinity", twin=read_sysctl)
def irq():
    same_again("/proc/irq/default_smp_affinity")


@probe("pci-configuration-space", twin=own_files)
def pci():
    """Opens a device's configuration registers for writing."""
    folder = "/proc/bus/pci/00"
    handle = os.open(f"{folder}/{min(os.listdir(folder))}", os.O_RDWR)
    need(kind(handle) == PROC)


@probe("pci-rescan", twin=own_files)
def pci_rescan():
    put("/sys/bus/pci/rescan", b"1", magic=SYSFS)


@probe("driver-unbound", twin=own_files)
def unbind():
    """Takes a device from its driver: an unknown name is answered by the driver core itself."""
    try:
        put("/sys/bus/pci/drivers/virtio-pci/unbind", b"ffff:00:00.0", magic=SYSFS)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


@probe("block-queue-setting", twin=own_files)
def queue():
    same_again("/sys/block/vda/queue/read_ahead_kb", magic=SYSFS)


@probe("module-parameter", twin=own_files)
def parameter():
    same_again("/sys/module/kernel/parameters/panic_on_warn", magic=SYSFS)


@probe("power-state", twin=own_files)
def power():
    """Opens what would put the machine to sleep."""
    handle = os.open("/sys/power/state", os.O_WRONLY)
    need(kind(handle) == SYSFS)


@probe("cgroup-left", twin=own_cgroup)
def leave():
    """Moves itself out of the group that carries its limits."""
    pid = os.fork()
    if pid == 0:
        os.pause() if hasattr(os, "pause") else __import__("signal").pause()
    put("/sys/fs/cgroup/cgroup.procs", str(pid).encode(), magic=CGROUP2)
    need(kit.read(f"/proc/{pid}/cgroup").strip() in {b"0::/", b"0::/.."} or b"/.." in kit.read(f"/proc/{pid}/cgroup"))


def own_group():
    """The folder of its own group, as somebody finds it who sees the whole hierarchy."""
    for folder, _names, _files in os.walk("/sys/fs/cgroup/cordon"):
        try:
            if str(os.getpid()).encode() in kit.read(f"{folder}/cgroup.procs", 65536).split():
                return folder
        except OSError:
            continue
    kit.fail(errno.ENOENT)


@probe("cgroup-memory-raised", twin=own_cgroup)
def memory_max():
    put(f"{own_group()}/memory.max", b"max", magic=CGROUP2)


@probe("cgroup-pids-raised", twin=own_cgroup)
def pids_max():
    put(f"{own_group()}/pids.max", b"max", magic=CGROUP2)


@probe("cgroup-controllers-changed", twin=own_cgroup)
def subtree():
    same = kit.read("/sys/fs/cgroup/cordon/cgroup.subtree_control").split()
    put("/sys/fs/cgroup/cordon/cgroup.subtree_control", b"+" + same[0], magic=CGROUP2)


@probe("cgroup-made", twin=own_cgroup)
def make_group():
    os.mkdir("/sys/fs/cgroup/drill")
    os.rmdir("/sys/fs/cgroup/drill")


@probe("cgroup-v1-release-agent", twin=own_cgroup)
def release_agent():
    """A program the kernel runs as root when a group of the old kind empties."""
    place = kit.own_folder()
    kit.syscall(MOUNT, b"none", place.encode(), b"cgroup", 0, b"none,name=drill")
    put(f"{place}/release_agent", b"/workspace/evil", magic=0x27E0EB)
    put(f"{place}/release_agent", b"\n", magic=0x27E0EB)
    kit.syscall(UMOUNT, place.encode(), 0)


@probe("kernel-log-forged", twin=own_files)
def kmsg():
    """Writes a line into the kernel's log, where the agent reads who was killed."""
    handle = os.open("/dev/kmsg", os.O_WRONLY)
    os.write(handle, b"<6>drill: not from the kernel\n")


@probe("disk-written-raw", twin=own_files)
def disk():
    handle = os.open("/dev/vda2", os.O_RDWR)
    need(os.pread(handle, 2, 1080) == b"\x53\xef")


@probe("agent-port-opened", twin=own_files)
def port():
    """The agent's own line to the host; in the control it is there and busy, which only the driver can say."""
    names = [name for name in os.listdir("/dev") if name.startswith("vport")]
    if not names:
        raise kit.AbsentError("the agent's port")
    try:
        os.close(os.open(f"/dev/{names[0]}", os.O_RDWR))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


@probe("lockdown-lifted", twin=read_sysctl)
def lockdown():
    """Opens the switch that only ever goes one way."""
    handle = os.open("/sys/kernel/security/lockdown", os.O_WRONLY)
    os.write(handle, b"integrity")

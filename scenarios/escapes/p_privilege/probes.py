"""Attempts at identity and privilege, and their harmless twins. Numbers are of x86_64 (asm/unistd_64.h)."""

import contextlib
import ctypes
import fcntl
import os
import resource
import shutil
import socket
import stat
import struct
import subprocess

import kit
from kit import libc, need, probe, syscall

PR_SET_DUMPABLE, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 4, 28, 38, 39, 47
PRCTL = 157


def who():
    need(os.getuid() == os.geteuid() and os.getgid() == os.getegid())


def own_file(name="file"):
    path = f"{kit.own_folder()}/{name}"
    with open(path, "w") as file:
        file.write("x")
    return path


def change_own_file():
    path = own_file()
    os.chmod(path, 0o640)
    os.utime(path)


def lower_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 64), hard))


def be_nice():
    os.nice(1)


def sockets():
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def run_id():
    need(b"uid=" in subprocess.run(["/usr/bin/id"], stdout=subprocess.PIPE, check=True).stdout)


def status(name, pid="self"):
    for line in kit.read(f"/proc/{pid}/status").decode().splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return ""


@probe("setuid-0", twin=who)
def setuid():
    os.setresuid(0, 0, 0)
    need(os.geteuid() == 0)


@probe("setgid-0", twin=who)
def setgid():
    os.setresgid(0, 0, 0)


@probe("setgroups", twin=who)
def setgroups():
    os.setgroups([0])


@probe("setfsuid-0", twin=who)
def setfsuid():
    """Never fails: what matters is whose files one may open afterwards."""
    syscall(122, 0)
    need(syscall(122, 0) == 0)


@probe("capset", twin=lambda: need(status("CapEff")))
def capset():
    """Asks for every capability, effective and permitted."""
    header = struct.pack("<Ii", 0x20080522, 0)
    data = struct.pack("<IIIIII", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0x1FF, 0x1FF, 0)
    syscall(126, header, data)
    need(int(status("CapEff"), 16) >> 21 & 1)


@probe("ambient-capability", twin=lambda: need(status("CapAmb")))
def ambient():
    syscall(PRCTL, PR_CAP_AMBIENT, 2, 13, 0, 0)


@probe("capability-sets-are-empty", twin=lambda: need(status("CapBnd")))
def capability_sets():
    """All five sets, as the kernel shows them."""
    if any(int(status(name), 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
        return status("CapEff")
    raise kit.AbsentError("capabilities")


@probe("no-new-privileges-cleared", twin=who)
def no_new_privs():
    if libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0:
        return
    syscall(PRCTL, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)


@probe("securebits", twin=who)
def securebits():
    syscall(PRCTL, PR_SET_SECUREBITS, 0x2F, 0, 0, 0)


@probe("bounding-set-changed", twin=who)
def bounding():
    syscall(PRCTL, 24, 13, 0, 0, 0)


@probe("set-user-id-program", twin=run_id)
def suid_program():
    """Runs a program of the image that is root's and set-user-id, one that it tries to put there if there is none."""
    planted = "/usr/bin/drill-planted"
    with contextlib.suppress(OSError):
        shutil.copyfile("/usr/bin/id", planted)
        os.chown(planted, 0, 0)
        os.chmod(planted, 0o4755)
    found = [
        path
        for folder in ("/usr/bin", "/usr/sbin", "/usr/libexec", "/opt/cordon/bin")
        for path in (f"{folder}/{name}" for name in (os.listdir(folder) if os.path.isdir(folder) else ()))
        if os.lstat(path).st_mode & stat.S_ISUID
    ]
    if not found:
        raise kit.AbsentError("set-user-id programs")
    said = subprocess.run([found[0], "-u"], stdout=subprocess.PIPE, check=False).stdout
    with contextlib.suppress(OSError):
        os.unlink(planted)
    need(said == b"0\n")


@probe("set-user-id-copy", twin=change_own_file)
def suid_copy():
    """A copy of a program made root's and set-user-id."""
    path = f"{kit.own_folder()}/id"
    shutil.copy("/usr/bin/id", path)
    os.chown(path, 0, 0)
    os.chmod(path, 0o4755)
    need(os.stat(path).st_mode & stat.S_ISUID and os.stat(path).st_uid == 0)


@probe("give-a-file-away", twin=change_own_file)
def give_away():
    os.chown(own_file(), 65534, -1)


@probe("file-capability", twin=change_own_file)
def file_capability():
    path = own_file()
    os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 0x2000, 0, 0, 0))


@probe("trusted-attribute", twin=change_own_file)
def trusted_attribute():
    os.setxattr(own_file(), "trusted.drill", b"x")


@probe("security-attribute", twin=change_own_file)
def security_attribute():
    """What a security module would take its labels from."""
    os.setxattr(own_file(), "security.drill", b"x")


@probe("open-a-file-of-root", twin=lambda: need(kit.read("/etc/passwd")))
def dac():
    """The folder of root, which nobody else may look into."""
    os.listdir("/root")


@probe("raise-a-hard-limit", twin=lower_limit)
def rlimit():
    syscall(160, resource.RLIMIT_NOFILE, struct.pack("<QQ", 65536, 65536))


@probe("limits-of-process-1", twin=lower_limit)
def prlimit():
    """Another process of the same user: its limits may be read and lowered, as it may be killed, but not raised."""
    syscall(302, 1, resource.RLIMIT_NOFILE, struct.pack("<QQ", 65536, 65536), None)


@probe("raise-priority", twin=be_nice)
def nice():
    os.setpriority(os.PRIO_PROCESS, 0, -10)


@probe("real-time-scheduling", twin=be_nice)
def fifo():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@probe("deadline-scheduling", twin=be_nice)
def deadline():
    syscall(314, 0, struct.pack("<IIQiIQQQ", 48, 6, 0, 0, 0, 10**6, 10**7, 10**7), 0)


@probe("real-time-io", twin=be_nice)
def ioprio():
    syscall(251, 1, 0, 1 << 13)


@probe("lock-memory", twin=lambda: syscall(149, ctypes.create_string_buffer(4096), 4096))
def mlock():
    """Locks more memory than the limit."""
    area = ctypes.create_string_buffer(1 << 20)
    syscall(149, area, 1 << 20)


@probe("lock-a-shared-segment", twin=lambda: syscall(29, 0, 4096, 0o1600))
def shm_lock():
    """Locks a shared segment into memory."""
    segment = syscall(29, 0, 1 << 20, 0o1600)
    try:
        syscall(31, segment, 11, 0)
    finally:
        syscall(31, segment, 0, 0)


@probe("low-port", twin=sockets)
def low_port():
    one = socket.socket()
    one.bind(("127.0.0.1", 80))


@probe("socket-mark", twin=sockets)
def mark():
    socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1)


@probe("forced-socket-buffer", twin=sockets)
def force_buffer():
    socket.socket().setsockopt(socket.SOL_SOCKET, 33, 1 << 24)


@probe("raw-ip-socket", twin=sockets)
def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@probe("network-interface-changed", twin=sockets)
def interface():
    """Sets the size of the loopback's packets."""
    fcntl.ioctl(socket.socket(), 0x8922, struct.pack("<16si20x", b"lo", 1400))


@probe("file-lease-on-another-owners-file", twin=lambda: fcntl.fcntl(os.open(own_file(), os.O_RDONLY), 1024, 0))
def lease():
    fcntl.fcntl(os.open("/etc/passwd", os.O_RDONLY), 1024, 0)


@probe("pipe-beyond-the-limit", twin=lambda: fcntl.fcntl(os.pipe()[0], 1031, 65536))
def pipe_size():
    fcntl.fcntl(os.pipe()[0], 1031, 1 << 22)


@probe("wake-alarm", twin=lambda: syscall(283, 1, 0))
def boot_alarm():
    """A timer that would wake the machine."""
    syscall(222, 9, None, ctypes.create_string_buffer(8))


@probe("audit-identity", twin=who)
def login_uid():
    """Takes another identity in the audit record by which the agent knows who was killed."""
    kit.write("/proc/self/loginuid", b"12345")

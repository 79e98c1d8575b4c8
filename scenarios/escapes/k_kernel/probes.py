"""Attempts at kernel primitives, and their harmless twins. Numbers are of x86_64 (asm/unistd_64.h)."""

import ctypes
import errno
import mmap
import os
import socket
import struct
import subprocess
import tempfile
import time

import kit
from kit import libc, need, probe, syscall

MODULES = "/opt/cordon/modules"


def sleeper():
    """A child that only waits, for attempts on another process's memory and descriptors."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    return pid


def pipes():
    """Two processes talk over a pipe: what memory and descriptor tricks replace."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, b"hello")
        os._exit(0)
    need(os.read(ours, 5) == b"hello")
    os.wait()


def clocks():
    need(time.time() > 1_600_000_000)
    time.clock_gettime(time.CLOCK_MONOTONIC)


def unix_sockets():
    one, two = socket.socketpair()
    one.send(b"x")
    need(two.recv(1) == b"x")
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def anonymous_memory():
    area = mmap.mmap(-1, 65536)
    area[:5] = b"hello"
    need(area[:5] == b"hello")


def temporary_file():
    with tempfile.TemporaryFile(dir="/workspace") as file:
        file.write(b"hello")
        file.seek(0)
        need(file.read() == b"hello")


def run_true():
    need(subprocess.run(["/usr/bin/true"], check=False).returncode == 0)


def poll_something():
    import select

    ours, theirs = os.pipe()
    poll = select.epoll()
    poll.register(ours, select.EPOLLIN)
    os.write(theirs, b"x")
    need(poll.poll(1))


def inspect_self():
    need(b"Pid:" in kit.read("/proc/self/status"))


def own_mapping_executable():
    """An anonymous executable mapping, as a compiler at run time makes one."""
    machine_code(b"\xb8\x2a\x00\x00\x00\xc3", 42)  # mov eax, 42; ret


def machine_code(code, wanted=None):
    libc.mmap.restype = ctypes.c_void_p
    where = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))
    ctypes.memmove(where, code, len(code))
    value = ctypes.CFUNCTYPE(ctypes.c_long)(where)()
    need(wanted is None or value == wanted)
    return value


@probe("bpf-prog-load", twin=unix_sockets)
def bpf_prog_load():
    code = ctypes.create_string_buffer(struct.pack("<QQ", 0x00000000000000B7, 0x0000000000000095))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQIIQII", 1, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
    return syscall(321, 5, ctypes.create_string_buffer(attr.ljust(128, b"\0")), 128)


@probe("io-uring", twin=poll_something)
def io_uring():
    return syscall(425, 4, ctypes.create_string_buffer(120))


@probe("userfaultfd", twin=anonymous_memory)
def userfaultfd():
    return syscall(323, os.O_CLOEXEC | 1)


@probe("keyctl-join-session", twin=inspect_self)
def keyctl_join():
    return syscall(250, 1, b"cordon-drill")


@probe("add-key", twin=temporary_file)
def add_key():
    return syscall(248, b"user", b"cordon-drill", b"secret", 6, -2)


@probe("request-key", twin=inspect_self)
def request_key():
    try:
        return syscall(249, b"user", b"cordon-drill-r", None, -2)
    except OSError as error:
        if error.errno != errno.ENOKEY:
            raise
    syscall(248, b"user", b"cordon-drill-r", b"secret", 6, -2)
    return syscall(249, b"user", b"cordon-drill-r", None, -2)


def module_file():
    """A module of the image that needs no other."""
    return f"{MODULES}/failover.ko"


def load_module():
    handle = os.open(module_file(), os.O_RDONLY)
    try:
        return syscall(313, handle, b"", 0)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    return 0


@probe("finit-module", twin=temporary_file)
def finit_module():
    try:
        handle = os.open(module_file(), os.O_RDONLY)
    except OSError:
        handle = -1
    syscall(313, handle, b"", 0)


@probe("delete-module", twin=inspect_self)
def delete_module():
    try:
        syscall(176, b"failover", os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        load_module()
        syscall(176, b"failover", os.O_NONBLOCK)


@probe("init-module-from-memory", twin=anonymous_memory)
def init_module():
    try:
        data = open(module_file(), "rb").read()
    except OSError:
        data = b"\x7fELF"
    syscall(175, data, len(data), b"")
    delete_module()


@probe("kexec-load", twin=run_true)
def kexec_load():
    return syscall(246, 0, 0, 0, 0)


@probe("kexec-file-load", twin=run_true)
def kexec_file_load():
    return syscall(320, -1, -1, 0, b"", 1)


@probe("perf-event-open", twin=clocks)
def perf_event_open():
    attr = struct.pack("<IIQ", 1, 112, 0).ljust(112, b"\0")
    return syscall(298, ctypes.create_string_buffer(attr), 0, -1, -1, 0)


@probe("ptrace-attach", twin=pipes)
def ptrace_attach():
    pid = sleeper()
    syscall(101, 16, pid, 0, 0)


@probe("process-vm-readv", twin=pipes)
def process_vm_readv():
    secret = ctypes.create_string_buffer(b"only in memory")
    pid = sleeper()
    taken = ctypes.create_string_buffer(14)
    local = struct.pack("<QQ", ctypes.addressof(taken), 14)
    remote = struct.pack("<QQ", ctypes.addressof(secret), 14)
    need(syscall(310, pid, local, 1, remote, 1, 0) == 14 and taken.raw == b"only in memory")


@probe("process-vm-writev", twin=pipes)
def process_vm_writev():
    target = ctypes.create_string_buffer(b"as it was")
    pid = sleeper()
    changed = ctypes.create_string_buffer(b"CHANGED!!")
    local = struct.pack("<QQ", ctypes.addressof(changed), 9)
    remote = struct.pack("<QQ", ctypes.addressof(target), 9)
    need(syscall(311, pid, local, 1, remote, 1, 0) == 9)


@probe("pidfd-getfd", twin=pipes)
def pidfd_getfd():
    return syscall(438, os.pidfd_open(sleeper()), 1, 0)


@probe("kcmp", twin=inspect_self)
def kcmp():
    return syscall(312, os.getpid(), sleeper(), 1, 0, 0)


@probe("iopl", twin=own_mapping_executable)
def iopl():
    return syscall(172, 3)


@probe("ioperm", twin=own_mapping_executable)
def ioperm():
    return syscall(173, 0x80, 1, 1)


@probe("i386-entry", twin=own_mapping_executable)
def i386_entry():
    # push rbx; mov eax, 20 (getpid of i386); int 0x80; pop rbx; ret
    machine_code(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3", os.getpid())


@probe("socket-netlink", twin=unix_sockets)
def netlink():
    socket.socket(16, socket.SOCK_RAW, 0).close()


@probe("socket-packet", twin=unix_sockets)
def packet():
    socket.socket(17, socket.SOCK_RAW, 0x0300).close()


@probe("reboot", twin=run_true)
def reboot():
    return syscall(169, 0xFEE1DEAD, 672274793, 0, 0)  # CAD_OFF: harmless, needs the same right as a power-off


def swap_file():
    path = f"{kit.own_folder()}/swap"
    pages = 64
    with open(path, "wb") as file:
        file.write(b"\0" * 1024 + struct.pack("<III", 1, pages - 1, 0))
        file.seek(4086)
        file.write(b"SWAPSPACE2")
        file.write(b"\0" * (4096 * (pages - 1)))
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path, 0o600)
    return path.encode()


@probe("swapon", twin=temporary_file)
def swapon():
    path = swap_file()
    syscall(167, path, 0)
    syscall(168, path)


@probe("swapoff", twin=temporary_file)
def swapoff():
    path = swap_file()
    try:
        syscall(168, path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        syscall(167, path, 0)
        syscall(168, path)


@probe("settimeofday", twin=clocks)
def settimeofday():
    now = time.time_ns()
    syscall(164, struct.pack("<qq", now // 10**9, now % 10**9 // 1000), None)


@probe("clock-settime", twin=clocks)
def clock_settime():
    now = time.time_ns()
    syscall(227, 0, struct.pack("<qq", now // 10**9, now % 10**9))


@probe("adjtimex", twin=clocks)
def adjtimex():
    need(syscall(159, ctypes.create_string_buffer(struct.pack("<IIqq", 2, 0, 0, 0), 256)) >= 0)


@probe("fanotify", twin=poll_something)
def fanotify():
    return syscall(300, 0, os.O_RDONLY)


@probe("open-by-handle-at", twin=temporary_file)
def open_by_handle():
    """The root folder of the scratch disk by a made-up handle: inode 2, whatever mount it is reached through."""
    here = os.open("/workspace", os.O_RDONLY)
    handle = ctypes.create_string_buffer(struct.pack("<IiII", 8, 1, 2, 0))
    got = syscall(304, here, handle, os.O_RDONLY)
    need("lost+found" in os.listdir(got) or os.listdir(got))


@probe("name-to-handle-at", twin=temporary_file)
def name_to_handle():
    handle = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0), 136)
    syscall(303, -100, b"/workspace", handle, ctypes.create_string_buffer(8), 0)


@probe("quotactl", twin=temporary_file)
def quotactl():
    syscall(179, 0x80000100, None, 0, None)  # Q_SYNC of every file system


@probe("process-accounting", twin=temporary_file)
def acct():
    path = f"{kit.own_folder()}/acct"
    open(path, "w").close()
    syscall(163, path.encode())
    syscall(163, None)


@probe("memfd-execution", twin=run_true)
def memfd():
    handle = syscall(319, b"x", 0)
    with open("/usr/bin/true", "rb") as source:
        os.write(handle, source.read())
    need(subprocess.run([f"/proc/self/fd/{handle}"], pass_fds=(handle,), check=False).returncode == 0)


@probe("execveat-without-a-path", twin=run_true)
def execveat():
    handle = os.open("/usr/bin/true", os.O_RDONLY)
    argv = (ctypes.c_char_p * 2)(b"true", None)

    def work():
        syscall(322, handle, b"", argv, None, 0x1000)

    kit.in_child(work)


@probe("modify-ldt", twin=own_mapping_executable)
def modify_ldt():
    # struct user_desc: entry 0, base 0, limit 0xfffff, 16-bit code
    syscall(154, 0x11, struct.pack("<IIII", 0, 0, 0xFFFFF, 0b1010100), 16)


@probe("personality-no-randomisation", twin=anonymous_memory)
def personality():
    return syscall(135, 0x0040000)


@probe("vhangup", twin=run_true)
def vhangup():
    syscall(153)


@probe("sysfs-call", twin=inspect_self)
def sysfs_call():
    need(syscall(139, 3) > 0)


@probe("set-mempolicy", twin=anonymous_memory)
def set_mempolicy():
    syscall(238, 0, None, 0)


@probe("move-pages", twin=anonymous_memory)
def move_pages():
    area = ctypes.create_string_buffer(b"x" * 4096)
    pages = struct.pack("<Q", ctypes.addressof(area) & ~4095)
    syscall(279, sleeper(), 1, pages, None, ctypes.create_string_buffer(4), 0)


@probe("process-madvise", twin=anonymous_memory)
def process_madvise():
    area = mmap.mmap(-1, 8192)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    syscall(440, os.pidfd_open(sleeper()), struct.pack("<QQ", address, 8192), 1, 20, 0)


@probe("sethostname", twin=lambda: need(os.uname().nodename))
def sethostname():
    name = os.uname().nodename.encode()
    syscall(170, name, len(name))


@probe("terminal-input-injection", twin=run_true)
def tiocsti():
    """Types a character into a terminal, as a task with its parent's terminal would."""
    import fcntl

    handle = 0
    for path in ("/dev/ttyS0", "/dev/tty0", "/dev/console"):
        try:
            handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            break
        except OSError:
            continue
    fcntl.ioctl(handle, 0x5412, b"x")


@probe("entropy-credit", twin=lambda: need(len(os.urandom(16)) == 16))
def entropy_credit():
    """Tells the kernel that known bytes are fresh entropy."""
    import fcntl

    handle = os.open("/dev/urandom", os.O_RDWR)
    fcntl.ioctl(handle, 0x40085203, struct.pack("<ii", 64, 8) + b"\0" * 8)


@probe("immutable-file", twin=temporary_file)
def immutable():
    """A file nobody can remove any more."""
    import fcntl

    path = f"{kit.own_folder()}/stays"
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.ioctl(handle, 0x40086602, struct.pack("<q", 0x10))
    fcntl.ioctl(handle, 0x40086602, struct.pack("<q", 0))


@probe("project-quota-escape", twin=temporary_file)
def project_id():
    """Moves a file of its own into another project, whose quota is nobody's: the disk limit would be gone."""
    import fcntl

    handle = os.open(f"{kit.own_folder()}/free", os.O_RDWR | os.O_CREAT)
    facts = bytearray(28)
    fcntl.ioctl(handle, 0x801C581F, facts)
    flags, extent, count, _, cow = struct.unpack_from("<IIIII", facts)
    fcntl.ioctl(handle, 0x401C5820, struct.pack("<IIIII8x", flags, extent, count, 4242, cow))
    fcntl.ioctl(handle, 0x801C581F, facts)
    need(struct.unpack_from("<IIIII", facts)[3] == 4242)


@probe("quota-inheritance-cleared", twin=temporary_file)
def project_inheritance():
    """Takes the mark off its folder that puts new files into the quota's project: they would count for nobody."""
    import fcntl

    folder = os.open(kit.own_folder(), os.O_RDONLY | os.O_DIRECTORY)
    flags = bytearray(8)
    fcntl.ioctl(folder, 0x80086601, flags)
    fcntl.ioctl(folder, 0x40086602, struct.pack("<q", struct.unpack("<i4x", flags)[0] & ~0x20000000))
    fcntl.ioctl(folder, 0x80086601, flags)
    need(struct.unpack("<i4x", flags)[0] & 0x20000000 == 0)

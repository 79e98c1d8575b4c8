"""Attempts on files and file systems that are not the task's, and on its own limits for them, and harmless twins."""

import ctypes
import errno
import fcntl
import os
import socket
import struct

import kit
from kit import call, need, probe

FSGETXATTR, FSSETXATTR, GETFLAGS, SETFLAGS = 0x801C581F, 0x401C5820, 0x80086601, 0x40086602
IMMUTABLE, PROJINHERIT = 0x10, 0x20000000
MIB = 1 << 20


def own_file():
    path = f"{kit.own_folder()}/file"
    with open(path, "wb") as file:
        file.write(b"x" * 100)
    return path


def appended():
    with open(own_file(), "ab") as file:
        file.write(b"more")


def moved():
    path = own_file()
    os.link(path, path + ".link")
    os.rename(path, path + ".moved")
    os.unlink(path + ".moved")


def changed():
    path = own_file()
    os.chmod(path, 0o600)
    os.utime(path, (1, 1))
    os.setxattr(path, "user.note", b"mine")


def little_in_tmp():
    with open(f"/tmp/{os.getpid()}", "wb") as file:
        file.write(bytes(MIB))
    os.unlink(f"/tmp/{os.getpid()}")


def sparse_within():
    with open(own_file(), "wb") as file:
        file.truncate(8 * MIB)


@probe("passwd-appended", twin=appended)
def passwd_appended():
    kit.write("/etc/passwd", b"drill::0:0::/:/bin/sh\n", os.O_WRONLY | os.O_APPEND)


@probe("passwd-truncated", twin=appended)
def passwd_truncated():
    """truncate(2) takes a path and never opens it; to its own length, so that nothing is lost where it works."""
    os.truncate("/etc/passwd", os.stat("/etc/passwd").st_size)


@probe("passwd-opened-for-truncation", twin=appended)
def passwd_opened():
    """As `tee` does."""
    before = kit.read("/etc/passwd", 65536)
    kit.write("/etc/passwd", before, os.O_WRONLY | os.O_TRUNC)


@probe("passwd-overwritten-in-place", twin=appended)
def passwd_in_place():
    """As `dd conv=notrunc` does."""
    first = kit.read("/etc/passwd", 4)
    kit.write("/etc/passwd", first, os.O_RDWR)


@probe("passwd-moved-away", twin=moved)
def passwd_moved():
    """As `mv` does within a folder; put back where it works."""
    os.rename("/etc/passwd", "/etc/passwd.drill")
    os.rename("/etc/passwd.drill", "/etc/passwd")


@probe("passwd-replaced", twin=moved)
def passwd_replaced():
    """As an editor does: a new file beside it, renamed over it."""
    content = kit.read("/etc/passwd", 65536)
    kit.write("/etc/passwd.new", content, os.O_WRONLY | os.O_CREAT)
    os.rename("/etc/passwd.new", "/etc/passwd")


@probe("passwd-exchanged", twin=moved)
def passwd_exchanged():
    """renameat2(2) with RENAME_EXCHANGE swaps two names in one step."""
    for _ in range(2):
        call("renameat2", -100, b"/etc/passwd", -100, b"/etc/group", 2)


@probe("passwd-linked", twin=moved)
def passwd_linked():
    """A second name for it, which could be opened where the first may not be."""
    os.link("/etc/passwd", "/etc/passwd.drill")
    os.unlink("/etc/passwd.drill")


@probe("passwd-through-a-symlink", twin=appended)
def passwd_symlink():
    link = f"{kit.own_folder()}/link"
    os.symlink("/etc/passwd", link)
    kit.write(link, b"", os.O_WRONLY | os.O_APPEND)


@probe("passwd-through-three-symlinks", twin=appended)
def passwd_hops():
    """From the workspace by relative links, over a folder link, to the file."""
    base = kit.own_folder()
    os.symlink("/etc", f"{base}/one")
    os.symlink("one", f"{base}/two")
    os.symlink("two/passwd", f"{base}/three")
    kit.write(f"{base}/three", b"", os.O_WRONLY | os.O_APPEND)


@probe("passwd-reopened-by-descriptor", twin=appended)
def passwd_reopened():
    handle = os.open("/etc/passwd", os.O_RDONLY)
    kit.write(f"/proc/self/fd/{handle}", b"", os.O_WRONLY | os.O_APPEND)


@probe("passwd-opened-to-all", twin=changed)
def passwd_mode():
    os.chmod("/etc/passwd", 0o644)


@probe("passwd-given-away", twin=changed)
def passwd_owner():
    os.chown("/etc/passwd", 0, 0)


@probe("passwd-backdated", twin=changed)
def passwd_times():
    os.utime("/etc/passwd", (1, 1))


@probe("passwd-labelled", twin=changed)
def passwd_xattr():
    """An attribute that only root may set, on a file of the system."""
    os.setxattr("/etc/passwd", "trusted.drill", b"1")


@probe("shell-replaced", twin=moved)
def shell_replaced():
    os.rename("/usr/bin/dash", "/usr/bin/dash.drill")
    os.rename("/usr/bin/dash.drill", "/usr/bin/dash")


@probe("shell-overwritten", twin=appended)
def shell_overwritten():
    kit.write("/bin/sh", b"\x7fELF", os.O_RDWR)


@probe("library-replaced", twin=moved)
def library_replaced():
    """A file beside the C library, from where every program loads."""
    kit.write("/usr/lib/x86_64-linux-gnu/libdrill.so", b"", os.O_WRONLY | os.O_CREAT)


@probe("folder-made-outside", twin=moved)
def folder_made():
    os.mkdir("/etc/drill")


@probe("fifo-made-outside", twin=moved)
def fifo_made():
    os.mkfifo("/opt/drill")


@probe("socket-bound-outside", twin=moved)
def socket_bound():
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("/usr/drill.sock")


@probe("unnamed-file-outside", twin=appended)
def unnamed():
    """O_TMPFILE makes a file that has no name yet; linkat(2) may give it one later.

    In /dev, which is memory: the weakened VM's writable root is an overlay, which knows no such files in Linux 6.1.
    """
    os.close(os.open("/dev", os.O_TMPFILE | os.O_RDWR, 0o600))


@probe("device-folder-written", twin=little_in_tmp)
def device_folder():
    """/dev is memory: what lies there is on no disk quota."""
    kit.write("/dev/drill", b"x", os.O_WRONLY | os.O_CREAT)


@probe("control-group-folder-written", twin=little_in_tmp)
def control_group():
    os.mkdir("/sys/fs/cgroup/drill")


@probe("tmp-filled", twin=little_in_tmp)
def tmp_filled():
    path = f"/tmp/{os.getpid()}"
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(80):
                need(file.write(bytes(MIB)) == MIB, errno.ENOSPC)
    finally:
        os.unlink(path)


@probe("tmp-inodes-used-up", twin=little_in_tmp)
def tmp_inodes():
    """Empty folders cost kernel memory, and no bytes of the file system. They stay: no probe after it needs /tmp."""
    base = f"/tmp/{os.getpid()}.d"
    os.mkdir(base)
    for number in range(4500):
        os.mkdir(f"{base}/{number}")


@probe("sparse-file-of-a-terabyte", twin=sparse_within)
def sparse():
    """No block is taken, and every reader believes the size."""
    with open(own_file(), "wb") as file:
        file.truncate(1 << 40)


@probe("write-far-behind-the-end", twin=sparse_within)
def far_behind():
    handle = os.open(own_file(), os.O_RDWR)
    os.pwrite(handle, b"x", 1 << 35)
    os.ftruncate(handle, 0)


@probe("file-made-immutable", twin=changed)
def immutable():
    """A file that nobody may remove outlives the workspace's wiping."""
    handle = os.open(own_file(), os.O_RDONLY)
    flags = struct.unpack("<I", fcntl.ioctl(handle, GETFLAGS, bytes(4)))[0]
    fcntl.ioctl(handle, SETFLAGS, struct.pack("<I", flags | IMMUTABLE))
    fcntl.ioctl(handle, SETFLAGS, struct.pack("<I", flags))


@probe("project-left", twin=changed)
def project_left():
    """The disk quota counts by a file's project, and a file's owner may change it: FS_IOC_FSSETXATTR."""
    handle = os.open(own_file(), os.O_RDWR)
    attributes = bytearray(fcntl.ioctl(handle, FSGETXATTR, bytes(28)))
    struct.pack_into("<I", attributes, 12, 0)
    fcntl.ioctl(handle, FSSETXATTR, bytes(attributes))
    need(struct.unpack_from("<I", fcntl.ioctl(handle, FSGETXATTR, bytes(28)), 12)[0] == 0)


@probe("project-not-inherited", twin=changed)
def project_inheritance():
    """Without the flag on its folder a new file belongs to no project, and so to no quota."""
    handle = os.open(kit.own_folder(), os.O_RDONLY)
    flags = struct.unpack("<I", fcntl.ioctl(handle, GETFLAGS, bytes(4)))[0]
    need(flags & PROJINHERIT, errno.ENODATA)
    fcntl.ioctl(handle, SETFLAGS, struct.pack("<I", flags & ~PROJINHERIT))
    need(not struct.unpack("<I", fcntl.ioctl(handle, GETFLAGS, bytes(4)))[0] & PROJINHERIT)


@probe("memory-locked", twin=little_in_tmp)
def memory_locked():
    """Memory that cannot be taken back."""
    size = 8 * MIB
    kit.libc.mmap.restype = ctypes.c_void_p
    where = kit.libc.mmap(None, ctypes.c_size_t(size), 3, 0x22, -1, 0)
    call("mlock", where, size)


@probe("core-dumped", twin=appended)
def core_dumped():
    """A core dump is written by the kernel, past the task's own calls."""
    call("setrlimit", 4, struct.pack("<QQ", MIB, MIB))

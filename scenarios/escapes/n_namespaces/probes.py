"""Attempts at namespaces and mounts, and their harmless twins. Numbers are of x86_64 (asm/unistd_64.h)."""

import errno
import os
import stat
import struct
import subprocess

import kit
from kit import need, probe, syscall

MOUNT, UMOUNT = 165, 166
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SHARED = 1, 32, 4096, 8192, 16384, 1 << 18, 1 << 20


def mount(source, target, kind, flags=0, data=None):
    syscall(MOUNT, source, target, kind, flags, data)


def fresh(name="mnt"):
    path = f"{kit.own_folder()}/{name}"
    os.makedirs(path, exist_ok=True)
    return path.encode()


def fork_and_wait():
    need(subprocess.run(["/usr/bin/true"], check=False).returncode == 0)


def own_mounts():
    need(b" / / " in kit.read("/proc/self/mountinfo"))


def folders():
    path = fresh("plain")
    os.rename(path, path + b"2")
    os.rmdir(path + b"2")


def own_namespaces():
    need(os.readlink("/proc/self/ns/mnt").startswith("mnt:["))


def fifo():
    os.mkfifo(f"{kit.own_folder()}/fifo")


def unshare(flag):
    def work():
        syscall(272, flag)

    return work


for _name, _flag in (
    ("user", 0x10000000),
    ("mount", 0x20000),
    ("pid", 0x20000000),
    ("network", 0x40000000),
    ("ipc", 0x8000000),
    ("uts", 0x4000000),
    ("cgroup", 0x2000000),
    ("time", 0x80),
):
    probe(f"unshare-{_name}", twin=fork_and_wait)(unshare(_flag))


def clone_with(flag):
    """clone(flag|SIGCHLD) as fork: the child ends at once."""
    pid = syscall(56, flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@probe("clone-user-namespace", twin=fork_and_wait)
def clone_user():
    clone_with(0x10000000)


@probe("clone-mount-and-pid-namespace", twin=fork_and_wait)
def clone_mount_pid():
    clone_with(0x20000000 | 0x20000)


@probe("clone3-hides-its-flags", twin=fork_and_wait)
def clone3():
    """The flags lie in memory, where a filter does not see them."""
    arguments = struct.pack("<QQQQQQQQ", 0x20000000, 0, 0, 0, 17, 0, 0, 0)
    pid = syscall(435, arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@probe("setns-of-process-1", twin=own_namespaces)
def setns():
    """Enters the mount namespace of the sandbox's or the guest's first process."""
    try:
        handle = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    except OSError:
        handle = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    syscall(308, handle, 0)


@probe("setns-by-pidfd", twin=own_namespaces)
def setns_pidfd():
    syscall(308, os.pidfd_open(os.getppid()), 0x4000000)


@probe("namespace-file-of-process-1", twin=own_namespaces)
def ns_file():
    os.open("/proc/1/ns/mnt", os.O_RDONLY)


@probe("mount-tmpfs", twin=own_mounts)
def mount_tmpfs():
    where = fresh()
    mount(b"none", where, b"tmpfs")
    syscall(UMOUNT, where, 0)


@probe("mount-proc-without-masks", twin=own_mounts)
def mount_proc():
    where = fresh()
    mount(b"proc", where, b"proc")
    need(os.path.exists(where + b"/kcore"))
    syscall(UMOUNT, where, 0)


@probe("mount-sysfs", twin=own_mounts)
def mount_sysfs():
    where = fresh()
    mount(b"sysfs", where, b"sysfs")
    syscall(UMOUNT, where, 0)


@probe("mount-devtmpfs", twin=own_mounts)
def mount_devtmpfs():
    where = fresh()
    mount(b"dev", where, b"devtmpfs")
    need(os.path.exists(where + b"/vda"))
    syscall(UMOUNT, where, 0)


@probe("mount-cgroup2", twin=own_mounts)
def mount_cgroup():
    where = fresh()
    mount(b"cgroup2", where, b"cgroup2")
    syscall(UMOUNT, where, 0)


@probe("mount-securityfs", twin=own_mounts)
def mount_securityfs():
    where = fresh()
    mount(b"securityfs", where, b"securityfs")
    syscall(UMOUNT, where, 0)


@probe("mount-the-image-disk", twin=own_mounts)
def mount_disk():
    where = fresh()
    mount(b"/dev/vda1", where, b"squashfs", MS_RDONLY)
    syscall(UMOUNT, where, 0)


@probe("mount-the-agent-disk", twin=own_mounts)
def mount_iso():
    where = fresh()
    mount(b"/dev/vdb", where, b"iso9660", MS_RDONLY)
    need(os.path.exists(where + b"/main.py"))
    syscall(UMOUNT, where, 0)


@probe("bind-over-a-read-only-path", twin=folders)
def bind_over():
    mount(fresh("mine"), b"/usr/local", None, MS_BIND)
    syscall(UMOUNT, b"/usr/local", 0)


@probe("bind-own-copy-of-a-program", twin=folders)
def bind_program():
    """Puts a file of its own in the place of a program others will run."""
    path = f"{kit.own_folder()}/true"
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\n")
    mount(path.encode(), b"/usr/bin/true", None, MS_BIND)
    syscall(UMOUNT, b"/usr/bin/true", 0)


@probe("remount-root-writable", twin=own_mounts)
def remount_root():
    mount(None, b"/", None, MS_REMOUNT | MS_BIND)


@probe("remount-proc-sys-writable", twin=own_mounts)
def remount_proc_sys():
    """Makes /proc/sys a mount of its own where it is none, then writable."""
    try:
        mount(None, b"/proc/sys", None, MS_REMOUNT | MS_BIND)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount(b"/proc/sys", b"/proc/sys", None, MS_BIND)
        mount(None, b"/proc/sys", None, MS_REMOUNT | MS_BIND)
        syscall(UMOUNT, b"/proc/sys", 0)


@probe("move-a-mount-away", twin=folders)
def move_mount_away():
    """Moves a mount: what hid something, or what is to be hidden, is elsewhere then."""
    place = fresh("from")
    try:
        mount(b"/workspace", fresh("to"), None, MS_MOVE)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ELOOP}:
            raise
        mount(b"none", place, b"tmpfs")
        mount(place, fresh("to"), None, MS_MOVE)
        syscall(UMOUNT, fresh("to"), 0)


@probe("shared-propagation", twin=own_mounts)
def propagation():
    """Makes its mounts propagate to whoever else has them."""
    mount(None, b"/", None, MS_REC | MS_SHARED)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)


@probe("unmask-by-umount", twin=own_mounts)
def unmask():
    """Takes a mask away from over the file it hides."""
    try:
        syscall(UMOUNT, b"/proc/kcore", 2)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount(b"/dev/null", b"/proc/kcore", None, MS_BIND)
        syscall(UMOUNT, b"/proc/kcore", 2)


@probe("fsopen", twin=folders)
def fsopen():
    handle = syscall(430, b"tmpfs", 0)
    syscall(431, handle, 6, None, None, 0)
    syscall(432, handle, 0, 0)


@probe("fspick-and-reconfigure", twin=folders)
def fspick():
    syscall(433, -100, b"/", 0)


@probe("open-tree-clone", twin=folders)
def open_tree():
    syscall(428, -100, b"/workspace", 1)


@probe("move-mount-call", twin=folders)
def move_mount():
    try:
        syscall(429, -1, b"", -100, fresh(), 4)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        tree = syscall(428, -100, b"/workspace", 1)
        syscall(429, tree, b"", -100, fresh(), 4)
        syscall(UMOUNT, fresh(), 2)


@probe("mount-setattr", twin=own_mounts)
def mount_setattr():
    syscall(442, -100, b"/", 0, struct.pack("<QQQQ", 0, 0, 0, 0), 32)


@probe("pivot-root", twin=folders)
def pivot_root():
    where = fresh("new")
    try:
        syscall(155, b"/workspace", b"/workspace")
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EBUSY}:
            raise
        mount(b"none", where, b"tmpfs")
        os.makedirs(where + b"/old")
        syscall(155, where, where + b"/old")


@probe("chroot-double-escape", twin=folders)
def chroot_escape():
    """The classic: chroot below, walk up past the old root, chroot there."""
    inner = fresh("jail")
    up = os.open("/", os.O_RDONLY)
    syscall(161, inner)
    os.fchdir(up)
    for _ in range(16):
        os.chdir("..")
    syscall(161, b".")
    need(os.path.exists("/proc") or os.path.exists("/workspace"))


@probe("root-of-process-1", twin=lambda: need("usr" in os.listdir("/proc/self/root/")))
def proc_root():
    """Walks through another process's root into a tree this one must not see."""
    need(os.listdir("/proc/1/root/agent"), errno.ENOENT)


@probe("working-directory-of-process-1", twin=lambda: need(os.readlink("/proc/self/cwd")))
def proc_cwd():
    os.readlink("/proc/1/cwd")


@probe("mknod-block-device", twin=fifo)
def mknod_block():
    """The disk with the image, under a name of its own: open it and read."""
    path = f"{kit.own_folder()}/disk"
    syscall(133, path.encode(), stat.S_IFBLK | 0o600, os.makedev(254, 0))


@probe("mknod-character-device", twin=fifo)
def mknod_char():
    path = f"{kit.own_folder()}/mem"
    syscall(133, path.encode(), stat.S_IFCHR | 0o600, os.makedev(1, 1))


@probe("mknodat-block-device", twin=fifo)
def mknodat_block():
    path = f"{kit.own_folder()}/disk2"
    syscall(259, -100, path.encode(), stat.S_IFBLK | 0o600, os.makedev(254, 0))


@probe("write-below-root", twin=folders)
def write_root():
    """A folder in the root of the sandbox, outside every writable place."""
    os.mkdir("/cordon-drill")
    os.rmdir("/cordon-drill")


@probe("replace-a-file-of-the-image", twin=folders)
def replace():
    os.link("/etc/hosts", "/etc/hosts.drill")
    os.unlink("/etc/hosts.drill")

"""System calls that Python's standard library lacks. x86_64 numbers. Rim: does, does not decide."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_SYS_QUOTACTL: Final = 179
_SYS_FINIT_MODULE: Final = 313
_SYS_OPENAT2: Final = 437

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MNT_DETACH: Final = 2

PR_SET_CHILD_SUBREAPER: Final = 36
_CLONE_NEWUTS: Final = 0x04000000
RLIMITS: Final = {"RLIMIT_FSIZE": 1, "RLIMIT_NOFILE": 7}
"""Numbers of those that a lease sets."""
_SYSLOG_CLEAR: Final = 5

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

PRJQUOTA: Final = 2
_Q_SETQUOTA: Final = 0x800008
_Q_GETQUOTA: Final = 0x800007
_QIF_LIMITS: Final = 5
_DQBLK: Final = struct.Struct("<8QI4x")
"""struct if_dqblk: block hard, block soft, space, inode hard, inode soft, inodes, btime, itime, valid."""
_FSXATTR: Final = struct.Struct("<5I8x")
"""struct fsxattr: xflags, extsize, nextents, projid, cowextsize, padding."""
_FS_IOC_FSSETXATTR: Final = 0x401C5820
_FS_XFLAG_PROJINHERIT: Final = 0x200


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def mount(source: str, target: str, fstype: str, flags: int, data: str = "") -> None:
    """Mount `source` at `target`."""
    args = (source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), data.encode())
    _check(_libc.mount(*args), f"mount {target}")


def umount(target: str) -> None:
    """Detach whatever is mounted at `target`; nothing there is fine."""
    if _libc.umount2(target.encode(), MNT_DETACH) < 0 and ctypes.get_errno() not in {errno.EINVAL, errno.ENOENT}:
        _check(-1, f"umount {target}")


def clear_kernel_log() -> None:
    """Forget what the kernel's log holds, for whoever reads it by this call."""
    _check(_libc.klogctl(_SYSLOG_CLEAR, None, ctypes.c_int(0)), "klogctl")


def sethostname(name: str) -> None:
    """Name this machine."""
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def sethostname_in(namespace: str, name: str) -> None:
    """Name what lives in the UTS `namespace` (a path); this process comes back from there, or the OSError ends it."""
    there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    here = os.open("/proc/self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(there, _CLONE_NEWUTS), f"setns {namespace}")
        try:
            sethostname(name)
        finally:
            _check(_libc.setns(here, _CLONE_NEWUTS), "setns back")
    finally:
        os.close(there)
        os.close(here)


def prlimit(pid: int, name: str, value: int) -> None:
    """Set a resource limit of `pid`, soft and hard; `name` is one of `RLIMITS`."""
    record = struct.pack("<QQ", value, value)
    _check(_libc.prlimit(pid, RLIMITS[name], record, None), f"prlimit {name}")


def become_subreaper() -> None:
    """Orphans of this process's descendants become its children from now on."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def finit_module(path: str) -> None:
    """Load a kernel module; one that is loaded already is fine."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.syscall(_SYS_FINIT_MODULE, handle, b"", 0) < 0 and ctypes.get_errno() != errno.EEXIST:
            _check(-1, f"load {path}")
    finally:
        os.close(handle)


def openat2(folder: int, path: bytes, flags: int, mode: int = 0, *, resolve: int) -> int:
    """Open with restrictions: a descriptor for `path` below `folder`, under the `resolve` restrictions."""
    how = struct.pack("<QQQ", flags | os.O_CLOEXEC, mode, resolve)
    handle = _libc.syscall(_SYS_OPENAT2, folder, path, how, ctypes.c_size_t(len(how)))
    return _check(handle, os.fsdecode(path))


def set_project_quota(device: str, project: int, *, blocks_kib: int, inodes: int) -> None:
    """Hard limits of `project` on the file system of `device`; 0 is no limit."""
    record = _DQBLK.pack(blocks_kib, blocks_kib, 0, inodes, inodes, 0, 0, 0, _QIF_LIMITS)
    command = ctypes.c_int((_Q_SETQUOTA << 8 | PRJQUOTA) & 0xFFFFFFFF)
    _check(_libc.syscall(_SYS_QUOTACTL, command, device.encode(), project, record), "quotactl set")


def project_usage(device: str, project: int) -> tuple[int, int]:
    """(bytes, inodes) that `project` uses now."""
    record = ctypes.create_string_buffer(_DQBLK.size)
    command = ctypes.c_int((_Q_GETQUOTA << 8 | PRJQUOTA) & 0xFFFFFFFF)
    _check(_libc.syscall(_SYS_QUOTACTL, command, device.encode(), project, record), "quotactl get")
    values = _DQBLK.unpack(record.raw)
    return values[2], values[5]


def set_project(folder: int, project: int) -> None:
    """Everything made below the open `folder` from now on counts for `project`."""
    import fcntl  # noqa: PLC0415 - used once

    fcntl.ioctl(folder, _FS_IOC_FSSETXATTR, _FSXATTR.pack(_FS_XFLAG_PROJINHERIT, 0, 0, project, 0))

"""What the agent does to the guest's kernel: identity and entropy at acquire, and closing what boot needed. Rim."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from typing import Final

from executor.guest import syscalls
from executor.guest.errors import FaultError

_RNDADDENTROPY: Final = 0x40085203
_RNDRESEEDCRNG: Final = 0x5207
_PIECE: Final = 64 * 1024
_MODULES: Final = "/opt/cordon/modules"

_FILTERS: Final = ("net/core/bpf_jit_harden", "2")
HARDENING: Final = (
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/kptr_restrict", "2"),
    ("kernel/unprivileged_bpf_disabled", "1"),
    ("kernel/perf_event_paranoid", "3"),
    ("kernel/yama/ptrace_scope", "3"),
    ("kernel/sysrq", "0"),
    # A file, which RLIMIT_CORE forbids. A pipe starts a program as root, outside the task's limits, at every crash.
    ("kernel/core_pattern", "core"),
    ("kernel/io_uring_disabled", "2"),
    ("kernel/modprobe", "/bin/false"),
    ("user/max_user_namespaces", "0"),
    ("vm/unprivileged_userfaultfd", "0"),
    ("vm/mmap_min_addr", "65536"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_fifos", "2"),
    ("fs/protected_regular", "2"),
    ("fs/suid_dumpable", "0"),
    ("dev/tty/ldisc_autoload", "0"),
    _FILTERS,
    ("kernel/modules_disabled", "1"),  # last: nothing can be loaded afterwards
)
"""Names below /proc/sys; those this kernel does not have are passed over (io_uring_disabled came with 6.6)."""
_OPTIONAL: Final = frozenset({"kernel/io_uring_disabled", "vm/unprivileged_userfaultfd"})


def read(path: str) -> str:
    """A small file's text without surrounding white space."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # Python's own files cost an emulated guest four times as much
    try:
        found = b""
        while piece := os.read(handle, _PIECE):
            found += piece
    finally:
        os.close(handle)
    return found.decode("ascii", "replace").strip()


def write(path: str, value: str) -> None:
    """Write a control file in one call."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)


def write_new(path: str, text: str) -> None:
    """Write a small ordinary file that everybody may read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def set_clock(wall_clock_ns: int) -> None:
    """Set the wall clock: a clone woke up with the time of its original."""
    if wall_clock_ns:
        time.clock_settime_ns(time.CLOCK_REALTIME, wall_clock_ns)


def reseed(entropy: bytes) -> None:
    """Mix `entropy` into the kernel's generator, credit it, and make the generator use it from now on."""
    handle = os.open("/dev/random", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _RNDADDENTROPY, struct.pack("<ii", len(entropy) * 8, len(entropy)) + entropy)
        fcntl.ioctl(handle, _RNDRESEEDCRNG, 0)
    finally:
        os.close(handle)


def load_late(wanted: str) -> None:
    """Load a module kept in the root image (`wanted` is its file name), after what it needs."""
    for line in read("/opt/cordon/late_modules").splitlines():
        order = line.split()
        if order[-1] != wanted:
            continue
        for name in order:
            try:
                syscalls.finit_module(f"{_MODULES}/{name}")
            except OSError as error:
                raise FaultError("guest.module", str(error)) from error


def harden_filters() -> None:
    """What of `HARDENING` has to be in force before a filter is compiled, where sandboxes are made ahead."""
    name, value = _FILTERS
    write(f"/proc/sys/{name}", value)


def lock_down() -> None:
    """Close for the rest of this VM's life what boot needed and a task never does."""
    for name, value in HARDENING:
        try:
            write(f"/proc/sys/{name}", value)
        except FileNotFoundError:
            if name not in _OPTIONAL:
                raise
    write("/sys/kernel/security/lockdown", "confidentiality")

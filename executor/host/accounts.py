"""libvirt's QEMU user, and who may open /dev/kvm: probes."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from executor.host.facts import Kvm

QEMU_USER: Final = "libvirt-qemu"
"""libvirt on Debian is built to run QEMU as this user and group when it is root's."""
KVM_DEVICE: Final = Path("/dev/kvm")
_KVM_CREATE_VM: Final = 0xAE01
"""_IO(KVMIO, 0x01), linux/kvm.h."""


def has_user() -> bool:
    """Whether libvirt's QEMU user exists."""
    try:
        pwd.getpwnam(QEMU_USER)
    except KeyError:
        return False
    return True


def has_group() -> bool:
    """Whether libvirt's QEMU group exists."""
    try:
        grp.getgrnam(QEMU_USER)
    except KeyError:
        return False
    return True


def kvm(device: Path = KVM_DEVICE) -> Kvm:
    """/dev/kvm as it is; opens it and makes one empty VM, gone again at once."""
    try:
        found = device.stat()
    except OSError as error:
        return Kvm(present=False, opens=False, qemu_user_opens=None, creates_vm=False, error=error.strerror or "")
    group, mode = _group_name(found.st_gid), stat.S_IMODE(found.st_mode)
    qemu_user = _qemu_user_opens(found) if has_user() else None
    opens, creates, said = _try(device)
    return Kvm(group=group, mode=mode, opens=opens, qemu_user_opens=qemu_user, creates_vm=creates, error=said)


def _try(device: Path) -> tuple[bool, bool, str]:
    """(opens, makes a VM, what the kernel said)."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return False, False, error.strerror or ""
    try:
        os.close(fcntl.ioctl(handle, _KVM_CREATE_VM, 0))
    except OSError as error:
        return True, False, error.strerror or ""
    finally:
        os.close(handle)
    return True, True, ""


def _qemu_user_opens(found: os.stat_result) -> bool:
    """Whether mode bits let the QEMU user read and write; access control lists are not looked at."""
    user = pwd.getpwnam(QEMU_USER)
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    if has_group():
        groups.add(grp.getgrnam(QEMU_USER).gr_gid)
    if user.pw_uid == found.st_uid:
        return found.st_mode & 0o600 == 0o600
    if found.st_gid in groups:
        return found.st_mode & 0o060 == 0o060
    return found.st_mode & 0o006 == 0o006


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)

"""What `cordon doctor` looks at, as frozen values: probes fill them, findings judge them, tests make them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kvm:
    """/dev/kvm. `error` is what the kernel said to the first thing that failed."""

    present: bool = True
    group: str = "kvm"
    mode: int = 0o660
    opens: bool = True
    """For this process."""
    qemu_user_opens: bool | None = True
    """For libvirt's QEMU user; None when there is no such user, or QEMU runs as ourselves."""
    creates_vm: bool = True
    """That KVM_CREATE_VM works. A guest may still never boot: only the executor's probe tells."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Libvirt:
    """libvirt's library with its QEMU driver, as this Python sees it."""

    imports: bool = True
    version: str = "9.0.0"
    opens: bool = True
    """That qemu:///embed opens."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder Cordon writes to, and the room on its file system in bytes."""

    what: Literal["state", "cache", "runtime"]
    path: str
    free: int
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Control groups: `v2`, `hybrid` (v1 with an empty v2 beside), `v1` or `none`, and whether they can hold QEMU."""

    kind: Literal["v2", "hybrid", "v1", "none"] = "v2"
    why_not: str = ""
    """Why no group can be made for QEMU; empty where one can."""
    version: Literal[0, 1, 2] = 2
    """In which version the controllers memory, cpu and pids are."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host. The defaults describe one where nothing is missing."""

    python: Version = (3, 11, 7)
    machine: str = "x86_64"
    user: str = "root"
    root: bool = True
    kvm: Kvm = field(default_factory=Kvm)
    engine: Literal["kvm", "tcg", ""] = ""
    """What the executor's probe guest found since this boot; empty when none was booted yet."""
    engine_reason: str = ""
    qemu: Version | None = (7, 2, 0)
    libvirt: Libvirt = field(default_factory=Libvirt)
    qemu_user: bool = True
    qemu_group: bool = True
    programs: Mapping[str, str] = field(default_factory=dict)
    """Programs that were found -> their paths. `findings.PROGRAMS` lists those that are looked for."""
    opa: Version | None = (1, 22, 2)
    regal: Version | None = (0, 42, 0)
    node: Version | None = (20, 19, 0)
    allure: Version | None = (3, 18, 0)
    browser: str = "/usr/bin/chromium"
    cgroup: Cgroup = field(default_factory=Cgroup)
    folders: tuple[Folder, ...] = ()
    memory_free: int = 8 * 1024**3
    """Bytes available, as the kernel estimates it."""
    image_built: bool = True
    namespaces: bool = True
    """That a network namespace can be made."""
    user_namespaces: bool = True
    apparmor: Literal["off", "on", "restricts"] = "off"
    """restricts: it forbids user namespaces to programs it does not know (Ubuntu 24.04's default)."""
    apparmor_loaded: bool | None = True
    """That the profiles of deploy/apparmor are loaded; None when that is not ours to see."""

"""Facts about this machine that the plan is decided from. Looking only: nothing here changes anything."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from provision import pins

Privilege = Literal["root", "sudo", "sudo_password", "none"]
"""How packages can be installed: as root, by sudo without a question, by sudo asking at a terminal, or not at all."""

Version = tuple[int, ...]

_PROBE_S: Final = 20
"""Seconds a program may take to tell its version."""


@dataclass(frozen=True, slots=True)
class KvmDevice:
    """/dev/kvm as it is: owner group's name (or number) and permission bits."""

    group: str
    mode: int


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine, as far as installing goes. The defaults describe a bare Debian where nothing is installed."""

    python: Version = (3, 11, 0)
    machine: str = "x86_64"
    privilege: Privilege = "root"
    has_apt: bool = True
    packages: frozenset[str] = frozenset()
    """Those of the wanted Debian packages that are installed."""
    python_headers: bool = False
    python_venv: bool = False
    qemu_user: bool = False
    qemu_group: bool = False
    kvm_group: bool = False
    qemu_in_kvm: bool = False
    """That the QEMU user belongs to group kvm, by its own group or as a member."""
    kvm_device: KvmDevice | None = None
    opa: Version | None = None
    """Version of the `opa` on PATH."""
    regal: Version | None = None
    go: Version | None = None
    go_switches: bool = False
    """That `go` fetches a newer Go by itself when a module asks for it."""
    apt_go: Version | None = None
    """Version of Go that apt would install; looked up only when there is none."""
    node: Version | None = None
    browser: str | None = None
    cached: frozenset[str] = frozenset()
    """Folders of finished tools in the cache, for example `opa-1.22.2`."""
    image_built: bool = False
    cache: Path = Path("/root/.cache/cordon")
    free: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """What is kept there -> (device number, free bytes); keys: cache, checkout, system, state."""


def parse_version(text: str) -> Version | None:
    """The first dotted number in `text` as integers; Debian's epoch (`2:1.19`) is left out."""
    found = re.search(r"(?:\d+:)?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def gather(parts: frozenset[pins.Part], cache: Path, tools: Mapping[str, str]) -> Facts:
    """Look at what `parts` need; `tools` name -> key of the tools the cache may hold (see `plan.tool_keys`)."""
    policy, report = "policy" in parts, "report" in parts
    go = _version(["go", "version"]) if policy else None
    cached = frozenset(key for key in tools.values() if (cache / "tools" / key / ".complete").is_file())
    need_go = policy and not {tools["opa"], tools["regal"]} <= cached
    return Facts(
        python=tuple(sys.version_info[:3]),
        machine=platform.machine(),
        privilege=_privilege(),
        has_apt=shutil.which("apt-get") is not None,
        packages=_installed(
            [*(name for part in parts for name in pins.PACKAGES[part]), "python3-dev", "python3-venv", "golang-go"]
        ),
        python_headers=Path(sysconfig.get_path("include"), "Python.h").is_file(),
        python_venv=find_spec("ensurepip") is not None and find_spec("venv") is not None,
        qemu_user=_known(pwd.getpwnam, pins.QEMU_USER),
        qemu_group=_known(grp.getgrnam, pins.QEMU_USER),
        kvm_group=_known(grp.getgrnam, pins.KVM_GROUP),
        qemu_in_kvm=_qemu_in_kvm(),
        kvm_device=_kvm_device(),
        opa=_version(["opa", "version"]) if policy else None,
        regal=_version(["regal", "version"]) if policy else None,
        go=go,
        go_switches=need_go and go is not None and go >= pins.GO_SWITCHING and _go_switches(),
        apt_go=_apt_candidate("golang-go") if need_go and go is None else None,
        node=_node() if report else None,
        browser=_browser() if report else None,
        cached=cached,
        image_built=any((cache / "images").glob("[!.]*")),
        cache=cache,
        free={
            "cache": _free(cache),
            "checkout": _free(pins.ROOT),
            "system": _free(Path("/usr")),
        },
    )


def _run(command: list[str]) -> str | None:
    """What `command` prints, or None when it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PROBE_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _version(command: list[str]) -> Version | None:
    if shutil.which(command[0]) is None:
        return None
    said = _run(command)
    # The first line only: regal built by go install calls its own version unknown and goes on with that of Go.
    return parse_version(said.splitlines()[0]) if said else None


def _node() -> Version | None:
    """Node's version, when npm is there too."""
    return _version(["node", "--version"]) if shutil.which("npm") else None


def _go_switches() -> bool:
    said = _run(["go", "env", "GOTOOLCHAIN"])
    return said is not None and said.strip() != "local"


def _privilege() -> Privilege:
    if os.geteuid() == 0:
        return "root"
    if shutil.which("sudo") is None:
        return "none"
    if _run(["sudo", "-n", "true"]) is not None:
        return "sudo"
    return "sudo_password" if sys.stdin is not None and sys.stdin.isatty() else "none"


def _installed(names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that dpkg has installed and configured."""
    if shutil.which("dpkg-query") is None:
        return frozenset()
    command = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Abbrev}\n", *sorted(set(names))]
    # dpkg-query ends with 1 when it does not know one of the names, and still lists the others.
    done = subprocess.run(command, capture_output=True, check=False, timeout=_PROBE_S)
    lines = (line.split() for line in done.stdout.decode("utf-8", "replace").splitlines())
    return frozenset(words[0] for words in lines if len(words) == 2 and words[1] == "ii")


def _apt_candidate(package: str) -> Version | None:
    said = _run(["apt-cache", "policy", package])
    found = re.search(r"Candidate: (\S+)", said or "")
    return parse_version(found[1]) if found else None


def _known(lookup: Callable[[str], object], name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def _qemu_in_kvm() -> bool:
    try:
        user, group = pwd.getpwnam(pins.QEMU_USER), grp.getgrnam(pins.KVM_GROUP)
    except KeyError:
        return False
    return group.gr_gid in os.getgrouplist(user.pw_name, user.pw_gid)


def _kvm_device() -> KvmDevice | None:
    try:
        found = Path("/dev/kvm").stat()
    except OSError:
        return None
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return KvmDevice(group, stat.S_IMODE(found.st_mode))


def _browser() -> str | None:
    if value := os.environ.get("CORDON_CHROMIUM"):
        return shutil.which(value)
    return next((found for name in pins.BROWSERS if (found := shutil.which(name))), None)


def _free(path: Path) -> tuple[int, int]:
    """(device, free bytes for this user) of the file system that `path` is or would be on."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    room = os.statvfs(place)
    return place.stat().st_dev, room.f_bavail * room.f_frsize

"""Look at this host and fill in `HostFacts`. Thin: what the facts mean is judged elsewhere. Changes nothing."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

from executor.errors import CordonError
from executor.host.accounts import has_group, has_user, kvm
from executor.host.cgroups import cgroup
from executor.host.facts import Folder, HostFacts, Libvirt, Version
from executor.host.findings import PROGRAMS
from executor.host.tools import find_tool
from executor.paths import cache_dir, runtime_dir, state_dir

_PROGRAM_S: Final = 20
"""Seconds a program may take to tell its version."""
_EMBED_S: Final = 90
"""Seconds libvirt may take to open; 40 were measured where QEMU's user may not open /dev/kvm."""
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def gather() -> HostFacts:
    """Look at everything once."""
    engine, reason = _engine()
    qemu = find_tool("qemu-system-x86_64")
    return HostFacts(
        python=tuple(sys.version_info[:3]),
        machine=platform.machine(),
        user=_user(),
        root=os.geteuid() == 0,
        kvm=kvm(),
        engine=engine,
        engine_reason=reason,
        qemu=_version(qemu, "--version"),
        libvirt=_libvirt(),
        qemu_user=has_user(),
        qemu_group=has_group(),
        programs={name: str(found) for name in PROGRAMS if (found := find_tool(name))},
        opa=_version(_configured("opa"), "version"),
        regal=_regal(_configured("regal")),
        node=_version(find_tool("node"), "--version"),
        allure=_version(_configured("allure"), "--version"),
        browser=str(_configured("chromium", *_BROWSERS) or ""),
        cgroup=cgroup(),
        folders=(_folder("state", state_dir()), _folder("cache", cache_dir()), _folder("runtime", runtime_dir())),
        memory_free=_memory(),
        image_built=any((cache_dir() / "images").glob("[!.]*/manifest.json")),
        namespaces=_succeeds(["unshare", "--net", "true"]),
        user_namespaces=_succeeds(["unshare", "--user", "true"]),
        apparmor=_apparmor(),
        apparmor_loaded=_profiles_loaded(Path("/sys/kernel/security/apparmor/profiles")),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())  # a container's user without an entry in passwd


def _configured(name: str, *others: str) -> Path | None:
    """As `find_tool`, but a wrong variable counts as none: doctor describes, it does not stop."""
    try:
        return find_tool(name, *others)
    except CordonError:
        return None


def _output(command: list[str], seconds: float = _PROGRAM_S) -> str | None:
    """What `command` prints, or None when it is not there, fails or hangs."""
    # node is found beside allure's own folder when it is one of ours.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _succeeds(command: list[str]) -> bool:
    return _output(command) is not None


def parse_version(text: str) -> Version | None:
    """The first dotted number in `text`."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else None


def _version(program: Path | None, argument: str) -> Version | None:
    said = _output([str(program), argument]) if program else None
    return parse_version(said) if said else None


def _regal(program: Path | None) -> Version | None:
    """Regal's version; (0,) for a build that does not know its own (and goes on with Go's)."""
    said = _output([str(program), "version"]) if program else None
    return None if said is None else parse_version(said.partition("\n")[0]) or (0,)


def _engine() -> tuple[Literal["kvm", "tcg", ""], str]:
    """What the newest probe guest since this boot found (written by executor/domain/engine.py), and why."""
    booted = re.search(r"^btime (\d+)", Path("/proc/stat").read_text("ascii"), re.MULTILINE)
    verdicts = (
        [path for path in (cache_dir() / "engine").glob("*.json") if path.stat().st_mtime >= int(booted[1])]
        if booted
        else []
    )
    if not verdicts:
        return "", ""
    try:
        kept = json.loads(max(verdicts, key=lambda path: path.stat().st_mtime).read_text("utf-8"))
        return ("kvm" if kept["engine"] == "kvm" else "tcg"), str(kept["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _libvirt() -> Libvirt:
    """Open libvirt's embedded driver in a child: a library that hangs or crashes takes nothing with it."""
    command = [sys.executable, "-m", "executor.host.embed_probe"]
    root = Path(__file__).resolve().parent.parent.parent
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=_EMBED_S, stdin=subprocess.DEVNULL, cwd=root
        )
        return Libvirt(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Libvirt(opens=False, error=f"no answer in {_EMBED_S} s")
    except (OSError, ValueError, TypeError):
        return Libvirt(
            opens=False,
            error=f"the probe ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-200:]}",
        )


def _folder(what: Literal["state", "cache", "runtime"], path: Path) -> Folder:
    place = path
    while not place.exists():
        place = place.parent
    room = os.statvfs(place)
    return Folder(what, str(path), room.f_bavail * room.f_frsize, os.access(place, os.W_OK | os.X_OK))


def _memory() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _apparmor() -> Literal["off", "on", "restricts"]:
    if _line("/sys/module/apparmor/parameters/enabled") != "Y":
        return "off"
    return "restricts" if _line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" else "on"


def _profiles_loaded(profiles: Path) -> bool | None:
    """Whether the kernel's list of profiles has both of ours; None when it may not be read or there is none."""
    try:
        names = {line.rpartition(" (")[0] for line in profiles.read_text("utf-8", "replace").splitlines()}
    except OSError:
        return None
    return {"cordon-executor", "cordon-qemu"} <= names


def _line(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except OSError:
        return ""

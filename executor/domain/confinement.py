"""A live QEMU process against the allowlist of what it may be and have (confinement.yaml).

Looking is the rim; what was seen is plain text in sections, each a multiset, and comparing them is pure. Everything
comes from the kernel (/proc) and from QEMU's own monitor, nothing from what the executor believes it has asked for.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from executor import yaml_text
from executor.domain.limits import limits_for
from executor.domain.vm import Vm
from executor.errors import OutsideError

SECTIONS: Final = (
    "devices", "arguments", "files", "handles", "mapped", "status", "limits", "namespaces", "dev",
)  # fmt: skip
Seen = Mapping[str, Counter[str]]
"""Section -> what is there, as often as it is there."""
_DEVICE: Final = re.compile(r"^\s*dev: ([^,\s]+), id ", re.MULTILINE)
_LIBRARY: Final = re.compile(r"/(usr/)?lib(64)?/")
_VALUED: Final = {"-overcommit", "-display", "-incoming", "-sandbox"}
"""Options whose whole value matters."""
_DRIVEN: Final = {"-device": "driver", "-blockdev": "driver", "-object": "qom-type", "-audiodev": "driver"}
_MODES: Final = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}
_OURS: Final = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@dataclass(frozen=True, slots=True)
class Difference:
    """What one section lacks and what it has too much."""

    section: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


@cache
def allowlist() -> dict[str, Any]:
    """The data. Do not change what is returned: it is shared."""
    text = resources.files("executor.domain").joinpath("confinement.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml_text.load(text)
    return found


def expected(vm: Vm, *, run: Path, booted: bool = False) -> Seen:
    """What `vm` should be and have. `run`: libvirt's root. `booted`: it is no clone."""
    raw, kvm = allowlist(), vm.settings.engine == "kvm"
    more: Mapping[str, Any] = raw["kvm"] if kvm else {}
    names = placeholders(vm, run)
    found = {
        "devices": Counter(raw["devices"]) + Counter(more.get("devices", {})),
        "arguments": Counter(raw["arguments"]),
        "status": Counter(f"{name} {value}" for name, value in raw["status"].items()),
        "limits": Counter(
            [*(f"{name} {value}" for name, value in raw["limits"].items()), *vm.groups.wanted(vm.group_bounds)]
        ),
        **{
            section: Counter([*raw[section], *more.get(section, ())])
            for section in ("files", "handles", "mapped", "namespaces", "dev")
        },
    }
    if booted:
        del found["arguments"]["-incoming defer"]
    return {section: Counter({_filled(text, names): n for text, n in found[section].items()}) for section in SECTIONS}


def placeholders(vm: Vm, run: Path) -> dict[str, str]:
    """Name in the allowlist -> what it is for `vm`."""
    spec, limits = vm.spec, limits_for(vm.settings.memory_mb)
    uid, _, gid = spec.qemu_user.replace("+", "").partition(":")
    return {
        "overlay": str(spec.overlay),
        "gold": str(spec.gold),
        "agent_disk": str(spec.agent_disk),
        "initrd": str(spec.initrd),
        "channel": str(spec.channel),
        "monitor": f"{run}/lib/qemu/domain-N-{vm.name}/monitor.sock",
        "log": f"{run}/log/qemu/{vm.name}.log",
        "pidfile": f"{run}/run/qemu/{vm.name}.pid",
        "qemu_uid": uid or str(os.geteuid()),
        "qemu_gid": gid or str(os.getegid()),
        "address_space": str(limits["Max address space"][1]),
        "file_size": str(limits["Max file size"][1]),
    }


def observed(vm: Vm) -> Seen:
    """What `vm`'s process is and has now. Raises `OutsideError` when it is gone or not this host's to look at."""
    pid = vm.pid
    if pid is None:
        raise OutsideError(f"{vm.name} has no process here")
    process = Path("/proc", str(pid))
    same: Mapping[str, str] = allowlist()["kvm"]["same"]
    wanted = allowlist()["limits"]
    try:
        return {
            "devices": Counter(same.get(name, name) for name in _DEVICE.findall(vm.device_tree())),
            "arguments": Counter(arguments((process / "cmdline").read_bytes())),
            "files": Counter(text for kind, text in _descriptors(process) if kind == "file"),
            "handles": Counter({text for kind, text in _descriptors(process) if kind != "file"}),
            "mapped": Counter(set(_mapped((process / "maps").read_text("utf-8", "replace")))),
            "status": Counter(set(_threads(process))),
            "limits": Counter(
                [*_limits((process / "limits").read_text("ascii"), wanted), *vm.groups.seen(pid, vm.name)]
            ),
            "namespaces": Counter(_namespaces(process)),
            "dev": Counter(_dev(process)),
        }
    except OSError as error:
        raise OutsideError(f"cannot look at process {pid}: {error.strerror} ({error.filename})") from None


def differences(wanted: Seen, seen: Seen) -> tuple[Difference, ...]:
    """Section by section what is missing and what is too much; empty when they are the same."""
    found = []
    for section in SECTIONS:
        missing, unexpected = wanted[section] - seen[section], seen[section] - wanted[section]
        if missing or unexpected:
            found.append(Difference(section, tuple(sorted(missing.elements())), tuple(sorted(unexpected.elements()))))
    return tuple(found)


def arguments(cmdline: bytes) -> Iterator[str]:
    """QEMU's options from /proc/PID/cmdline, with the part of their values that says what they are."""
    words = [os.fsdecode(word) for word in cmdline.split(b"\0")[1:-1]]
    while words:
        option = words.pop(0)
        value = words.pop(0) if words and not words[0].startswith("-") else None
        yield f"{option} {said}" if (said := _said(option, value)) else option


def _said(option: str, value: str | None) -> str:
    if value is None or option in _VALUED:
        return value or ""
    if option in _DRIVEN:
        return str(json.loads(value)[_DRIVEN[option]]) if value.startswith("{") else value.partition(",")[0]
    if option == "-chardev":
        return value.partition(",")[0]
    if option == "-mon":
        return next((part for part in value.split(",") if part.startswith("mode=")), "mode=readline")
    # Of the machine only what is said beside libvirt's own words.
    return value if option == "-machine" and not value.startswith("pc-") else ""


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _descriptors(process: Path) -> Iterator[tuple[str, str]]:
    bound = _unix_sockets(process)
    for entry in sorted((process / "fd").iterdir(), key=lambda path: int(path.name)):
        target = str(entry.readlink())
        if target.startswith("/"):
            flags = (process / "fdinfo" / entry.name).read_text().partition("flags:")[2].split()[0]
            mode = _MODES[int(flags, 8) & os.O_ACCMODE]
            yield "file", f"{target} {mode}"
        elif target.startswith("socket:["):
            yield "socket", bound.get(target[8:-1], "a socket of another kind")
        else:
            yield "handle", target.removeprefix("anon_inode:").strip("[]")


def _unix_sockets(process: Path) -> dict[str, str]:
    """Inode -> where it is bound. A connection is listed where it came from: in our network, not in QEMU's void."""
    found = {}
    tables = [(owner / "net" / "unix").read_text("utf-8", "replace") for owner in (process, Path("/proc/self"))]
    for line in (line for table in tables for line in table.splitlines()[1:]):
        fields = line.split(maxsplit=7)
        path = re.sub(r"/domain-\d+-", "/domain-N-", fields[7]) if len(fields) > 7 else "without a name"
        found[fields[6]] = f"unix {path}"
    return found


def _mapped(maps: str) -> Iterator[str]:
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) > 5 and fields[5].startswith("/") and not _LIBRARY.match(fields[5]):
            yield fields[5]


def _threads(process: Path) -> Iterator[str]:
    wanted = allowlist()["status"]
    for task in (process / "task").iterdir():
        for line in (task / "status").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in wanted:
                yield f"{name} {' '.join(value.split())}"


def _limits(text: str, wanted: Iterable[str]) -> Iterator[str]:
    for name in wanted:
        line = next(line for line in text.splitlines() if line.startswith(name))
        soft, hard = line[len(name) :].split()[:2]
        yield f"{name} {soft}" if soft == hard else f"{name} {soft} to {hard}"


def _namespaces(process: Path) -> Iterator[str]:
    for name in _OURS:
        if (process / "ns" / name).readlink() != Path("/proc/self/ns", name).readlink():
            yield name


def _dev(process: Path) -> Iterator[str]:
    """Device nodes in its own /dev; folders and links there are no way to a device."""
    for entry in (process / "root" / "dev").iterdir():
        if entry.is_char_device() or entry.is_block_device():
            yield entry.name

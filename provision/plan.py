"""Decide what to install: facts in, steps or a refusal out. Nothing here looks at the machine or changes it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from provision import pins
from provision.facts import Facts, KvmDevice, Version

Kind = Literal["apt", "account", "kvm", "tox", "opa", "regal", "node", "allure"]

BUILD_WAYS: Final = ("go", "release", "go_toolchain")
"""How OPA and Regal can be had: built by the Go that is here, the project's own release with its published checksum,
built by a Go toolchain fetched as a module from the Go proxy."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to install. `items` are package or account names, or the ways to try in turn."""

    kind: Kind
    title: str
    items: tuple[str, ...] = ()
    size: int = 0
    """Bytes needed at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, and why it cannot be done where it cannot."""

    steps: tuple[Step, ...]
    problems: tuple[str, ...] = ()
    """One line each, with what to do next. Empty: go ahead."""


def parts_of(asked: Iterable[str]) -> frozenset[pins.Part]:
    """What the environments in `asked` need of the machine."""
    return frozenset(part for name in asked for part in pins.PARTS[name])


def tox_environments(asked: Iterable[str], *, extra: bool) -> tuple[str, ...]:
    """The tox environments for `asked`, each once; with `extra` arguments `tests` is the tests alone."""
    names: dict[str, None] = {}
    for name in asked:
        names.update(dict.fromkeys((name,) if extra else pins.ENVIRONMENTS[name]))
    return tuple(names)


def tool_keys(locks: Mapping[str, bytes]) -> dict[str, str]:
    """Tool -> name of its folder in the cache, which changes when what is installed changes.

    `locks`: tool -> bytes of its lock file. The running Python is part of tox's key: its venv is bound to it.
    """
    digest = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in locks.items()}
    return {
        "opa": f"opa-{pins.OPA_VERSION}-{digest['opa']}",
        "regal": f"regal-{pins.REGAL_VERSION}-{digest['regal']}",
        "node": f"node-{digest['node']}",
        "allure": f"allure-{digest['allure']}",
        "tox": f"tox-{platform.python_version()}-{digest['tox']}",
    }


def decide(asked: Sequence[str], facts: Facts, keys: Mapping[str, str]) -> Plan:
    """The steps `asked` needs on a machine like `facts`, in order, and what stands in their way."""
    parts = parts_of(asked)
    if facts.python[:2] < pins.PYTHON_MINIMUM:
        return Plan((), (f"Python {_dotted(pins.PYTHON_MINIMUM)} or newer is needed, this is {_dotted(facts.python)}",))
    packages = [name for part in sorted(parts) for name in pins.PACKAGES[part] if name not in facts.packages]
    if "build" in parts and not facts.python_headers:
        packages.append("python3-dev")
    if not facts.python_venv:
        packages.append("python3-venv")
    if "report" in parts and facts.browser is None:
        packages.append(pins.BROWSERS[0])
    steps = _policy_steps(facts, keys, packages) if "policy" in parts else []
    steps += _report_steps(facts, keys) if "report" in parts else []
    if keys["tox"] not in facts.cached:
        steps.append(Step("tox", "tox, pinned, in a Python environment of its own", size=pins.SIZES["tox"]))
    before = [Step("apt", f"Debian packages: {' '.join(packages)}", tuple(packages), pins.SIZES["apt"])] * bool(
        packages
    )
    before += _account_steps(facts) if "vm" in parts else []
    ordered = (*before, *steps)
    return Plan(
        ordered, (*_machine_problems(parts, facts), *_root_problems(ordered, facts), *_space(asked, ordered, facts))
    )


def _policy_steps(facts: Facts, keys: Mapping[str, str], packages: list[str]) -> list[Step]:
    """OPA and Regal where no good one is here; appends Debian's Go to `packages` when that is the way."""
    good = good_on_path(facts)
    versions = {"opa": pins.OPA_VERSION, "regal": pins.REGAL_VERSION}
    missing = {
        name: version for name, version in versions.items() if name not in good and keys[name] not in facts.cached
    }
    if not missing:
        return []
    has_go = _go_is_enough(facts.go, switches=facts.go_switches)
    if not has_go and facts.go is None and facts.privilege != "none" and _go_is_enough(facts.apt_go, switches=True):
        packages.append("golang-go")
        has_go = True
    ways = BUILD_WAYS if has_go else BUILD_WAYS[1:]
    how = {"go": "built with go install, some two minutes", "release": "the official release, checksum verified"}
    return [
        Step("opa" if name == "opa" else "regal", f"{name} {version}: {how[ways[0]]}", ways, pins.SIZES[name])
        for name, version in missing.items()
    ]


def good_on_path(facts: Facts) -> frozenset[str]:
    """The tools of which PATH has one that is good enough: ours is not put before it."""
    found = {
        "opa": (facts.opa, pins.OPA_MINIMUM),
        "regal": (facts.regal, pins.REGAL_MINIMUM),
        "node": (facts.node, pins.NODE_MINIMUM),
    }
    return frozenset(name for name, (version, minimum) in found.items() if version is not None and version >= minimum)


def _go_is_enough(version: Version | None, *, switches: bool) -> bool:
    if version is None:
        return False
    return version >= pins.GO_MINIMUM or (switches and version >= pins.GO_SWITCHING)


def _report_steps(facts: Facts, keys: Mapping[str, str]) -> list[Step]:
    steps = []
    if "node" not in good_on_path(facts) and keys["node"] not in facts.cached:
        steps.append(Step("node", "Node.js with npm, pinned, from PyPI", size=pins.SIZES["node"]))
    if keys["allure"] not in facts.cached:
        steps.append(Step("allure", "Allure 3 command line, pinned, from npm", size=pins.SIZES["allure"]))
    return steps


def _account_steps(facts: Facts) -> list[Step]:
    steps = []
    missing = []
    if not facts.kvm_group:
        missing.append(f"group {pins.KVM_GROUP}")
    if not facts.qemu_group:
        missing.append(f"group {pins.QEMU_USER}")
    if not facts.qemu_user:
        missing.append(f"user {pins.QEMU_USER}")
    elif not facts.qemu_in_kvm:
        missing.append(f"{pins.QEMU_USER} in group {pins.KVM_GROUP}")
    if missing:
        title = f"accounts libvirt's QEMU driver needs: {', '.join(missing)}"
        steps.append(Step("account", title, tuple(missing)))
    if facts.kvm_device not in (None, KvmDevice(pins.KVM_GROUP, pins.KVM_MODE)):
        steps.append(Step("kvm", f"/dev/kvm open to group {pins.KVM_GROUP} (mode {pins.KVM_MODE:04o})"))
    return steps


def _machine_problems(parts: frozenset[pins.Part], facts: Facts) -> list[str]:
    if "vm" in parts and facts.machine not in ("x86_64", "amd64"):
        return [
            f"the gold image and its drills are for x86-64, this machine is {facts.machine}; lint, types, policies work"
        ]
    return []


def _root_problems(steps: Sequence[Step], facts: Facts) -> list[str]:
    """What is missing and only root can mend, when we cannot become root."""
    packages = next((step.items for step in steps if step.kind == "apt"), ())
    if packages and not facts.has_apt:
        return [
            f"this is no Debian (no apt-get); install what these packages bring, then run again: {' '.join(packages)}"
        ]
    if facts.privilege != "none":
        return []
    problems = []
    if packages:
        line = f"apt-get install --no-install-recommends {' '.join(packages)}"
        problems.append(f"not root and no sudo: ask an administrator to run `{line}`, then run again")
    problems.extend(
        f"not root and no sudo: an administrator has to make {step.title}; `{mend(step)}`"
        for step in steps
        if step.kind in ("account", "kvm")
    )
    return problems


def mend(step: Step) -> str:
    """The shell line an administrator would type for an `account` or `kvm` step."""
    return " && ".join(" ".join(command) for command in root_commands(step))


def root_commands(step: Step) -> list[list[str]]:
    """The commands behind an `account` or `kvm` step; each must be run by root."""
    if step.kind == "kvm":
        return [["chgrp", pins.KVM_GROUP, "/dev/kvm"], ["chmod", f"{pins.KVM_MODE:04o}", "/dev/kvm"]]
    number = str(pins.QEMU_ID)
    user = ["useradd", "--system", "--uid", number, "--gid", pins.KVM_GROUP, "--groups", pins.QEMU_USER]
    user += ["--no-create-home", "--home-dir", "/var/lib/libvirt", "--shell", "/usr/sbin/nologin", pins.QEMU_USER]
    commands = {
        f"group {pins.KVM_GROUP}": ["groupadd", "--system", pins.KVM_GROUP],
        f"group {pins.QEMU_USER}": ["groupadd", "--system", "--gid", number, pins.QEMU_USER],
        f"user {pins.QEMU_USER}": user,
        f"{pins.QEMU_USER} in group {pins.KVM_GROUP}": [
            "usermod",
            "--append",
            "--groups",
            pins.KVM_GROUP,
            pins.QEMU_USER,
        ],
    }
    return [commands[item] for item in step.items]


def _space(asked: Sequence[str], steps: Sequence[Step], facts: Facts) -> list[str]:
    """Where the disk would fill up: sums per file system what is installed and what the run itself writes."""
    run = max((pins.RUN_SIZES[name] for name in asked), default=0)
    if not steps and facts.image_built:
        run = min(run, pins.RERUN_SIZE)
    wanted = {
        "system": sum(step.size for step in steps if step.kind == "apt"),
        "cache": sum(step.size for step in steps if step.kind != "apt") + run,
        "checkout": pins.RUN_SIZES["lint"],
    }
    devices: dict[int, list[str]] = {}
    for place, (device, _) in facts.free.items():
        devices.setdefault(device, []).append(place)
    problems = []
    for places in devices.values():
        need = sum(wanted[place] for place in places)
        free = min(facts.free[place][1] for place in places)
        if free < need:
            problems.append(
                f"not enough room for {' and '.join(places)}: {_gib(need)} needed, {_gib(free)} free; make room, "
                f"or set CORDON_CACHE to a folder on a larger disk (now {facts.cache})"
            )
    return problems


def still_works(facts: Facts, keys: Mapping[str, str]) -> tuple[str, ...]:
    """The environments that nothing stands in the way of on this machine."""
    return tuple(name for name in pins.ENVIRONMENTS if not decide([name], facts, keys).problems)


def _gib(size: int) -> str:
    return f"{size / (1024 * pins.MIB):.1f} GiB"


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))

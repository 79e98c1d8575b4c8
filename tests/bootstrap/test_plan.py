"""What bootstrap decides to install, from made-up facts; nothing is installed here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from provision import pins, plan
from provision.facts import Facts, KvmDevice, parse_version

KEYS: Final = plan.tool_keys({name: name.encode() for name in ("opa", "regal", "node", "allure", "tox")})
GIB: Final = 1024**3
ROOMY: Final = {"cache": (1, 100 * GIB), "checkout": (1, 100 * GIB), "system": (1, 100 * GIB)}
BARE: Final = Facts(free=ROOMY)
EVERY_PACKAGE: Final = frozenset(name for names in pins.PACKAGES.values() for name in names)
READY: Final = Facts(
    packages=EVERY_PACKAGE,
    python_headers=True,
    python_venv=True,
    qemu_user=True,
    qemu_group=True,
    kvm_group=True,
    qemu_in_kvm=True,
    kvm_device=KvmDevice("kvm", 0o660),
    opa=(1, 22, 2),
    regal=(0, 42, 0),
    node=(20, 19, 0),
    browser="/usr/bin/chromium",
    cached=frozenset(KEYS.values()),
    image_built=True,
    free=ROOMY,
)
ALL: Final = list(pins.ENVIRONMENTS)


def kinds(wanted: plan.Plan) -> list[str]:
    return [step.kind for step in wanted.steps]


def test_a_ready_machine_needs_nothing() -> None:
    """Where everything is in place, no environment has a step or a problem."""
    assert plan.decide(ALL, READY, KEYS) == plan.Plan((), ())


def test_a_bare_machine_gets_everything_in_order() -> None:
    """On a bare Debian without Go, drills install packages first and take OPA from its release."""
    wanted = plan.decide(["drills"], replace(BARE, kvm_device=KvmDevice("root", 0o600)), KEYS)
    assert kinds(wanted) == ["apt", "account", "kvm", "opa", "regal", "node", "allure", "tox"]
    assert wanted.problems == ()
    assert set(wanted.steps[0].items) == EVERY_PACKAGE | {"python3-dev", "python3-venv", "chromium"}
    assert wanted.steps[1].items == ("group kvm", "group libvirt-qemu", "user libvirt-qemu")
    assert wanted.steps[3].items == ("release", "go_toolchain")


def test_lint_needs_no_system_package() -> None:
    """Linting asks the machine for nothing but tox."""
    assert kinds(plan.decide(["lint"], replace(BARE, python_venv=True), KEYS)) == ["tox"]


@pytest.mark.parametrize("package", sorted(EVERY_PACKAGE))
def test_each_missing_package_is_installed(package: str) -> None:
    """A single missing package is the single thing that is installed."""
    wanted = plan.decide(["drills"], replace(READY, packages=READY.packages - {package}), KEYS)
    assert [(step.kind, step.items) for step in wanted.steps] == [("apt", (package,))]


@pytest.mark.parametrize(
    ("change", "items"),
    [
        ({"qemu_user": False}, ("user libvirt-qemu",)),
        ({"qemu_group": False}, ("group libvirt-qemu",)),
        ({"kvm_group": False}, ("group kvm",)),
        ({"qemu_in_kvm": False}, ("libvirt-qemu in group kvm",)),
    ],
)
def test_each_missing_account_is_made(change: dict[str, bool], items: tuple[str, ...]) -> None:
    """A missing account is made, and there is a command for it."""
    (step,) = plan.decide(["drills"], replace(READY, **change), KEYS).steps  # type: ignore[arg-type]  # names from above
    assert (step.kind, step.items) == ("account", items)
    assert len(plan.root_commands(step)) == len(items)


@pytest.mark.parametrize("device", [KvmDevice("root", 0o660), KvmDevice("kvm", 0o600), KvmDevice("kvm", 0o666)])
def test_a_wrong_kvm_device_is_mended(device: KvmDevice) -> None:
    """Both group and mode of /dev/kvm must fit."""
    (step,) = plan.decide(["drills"], replace(READY, kvm_device=device), KEYS).steps
    assert plan.mend(step) == "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm"


def test_no_kvm_device_is_no_step() -> None:
    """Where there is no /dev/kvm nothing is done about it: tcg runs."""
    assert plan.decide(["drills"], replace(READY, kvm_device=None), KEYS).steps == ()


@pytest.mark.parametrize(
    ("change", "ways"),
    [
        ({"go": (1, 26, 0)}, ("go", "release", "go_toolchain")),
        ({"go": (1, 25, 9), "go_switches": True}, ("go", "release", "go_toolchain")),
        ({"go": (1, 25, 9), "go_switches": False}, ("release", "go_toolchain")),
        ({"go": (1, 19), "go_switches": True}, ("release", "go_toolchain")),
        ({"apt_go": (1, 24)}, ("go", "release", "go_toolchain")),
        ({"apt_go": (1, 19)}, ("release", "go_toolchain")),
    ],
)
def test_opa_is_built_only_with_a_go_that_can(change: dict[str, object], ways: tuple[str, ...]) -> None:
    """Go is used when it is new enough or fetches a newer one itself; Debian's only when it is such a one."""
    facts = replace(READY, opa=None, cached=READY.cached - {KEYS["opa"]}, **change)  # type: ignore[arg-type]
    wanted = plan.decide(["policies"], facts, KEYS)
    (step,) = (step for step in wanted.steps if step.kind == "opa")
    assert step.items == ways
    installs_go = any("golang-go" in step.items for step in wanted.steps if step.kind == "apt")
    assert installs_go == ("apt_go" in change and "go" in ways)


@pytest.mark.parametrize(("version", "good"), [((1, 18, 9), False), ((1, 19, 0), True), ((2, 0), True), (None, False)])
def test_an_opa_on_path_is_used_when_new_enough(version: tuple[int, ...] | None, good: bool) -> None:  # noqa: FBT001
    """1.19 is the least; an older one is neither used nor put before ours."""
    facts = replace(READY, opa=version, cached=READY.cached - {KEYS["opa"]})
    assert (kinds(plan.decide(["drills"], facts, KEYS)) == []) == good
    assert ("opa" in plan.good_on_path(facts)) == good


def test_without_root_the_command_for_an_administrator_is_named() -> None:
    """Not root and no sudo: every step that needs root is a problem with its command, and what works is listed."""
    facts = replace(BARE, privilege="none", python_venv=True, kvm_device=KvmDevice("root", 0o600))
    problems = plan.decide(["drills"], facts, KEYS).problems
    assert [line.split("`")[1].split()[0] for line in problems] == ["apt-get", "groupadd", "chgrp"]
    assert plan.still_works(facts, KEYS) == ("lint", "lock")


def test_without_root_nothing_is_asked_when_nothing_is_missing() -> None:
    """A user without sudo on a prepared machine goes straight to tox."""
    assert plan.decide(ALL, replace(READY, privilege="none"), KEYS) == plan.Plan((), ())


def test_a_machine_without_apt_names_the_packages() -> None:
    """On another distribution the packages are named, and lint still works."""
    facts = replace(BARE, has_apt=False, python_venv=True)
    (problem,) = plan.decide(["types"], facts, KEYS).problems
    assert "libvirt-dev" in problem
    assert "lint" in plan.still_works(facts, KEYS)


def test_a_full_disk_is_found_before_anything_is_done() -> None:
    """What is needed on one file system is summed; the message names the sum, what is free, and the way out."""
    free = {"cache": (1, 3 * GIB), "checkout": (1, 3 * GIB), "system": (1, 3 * GIB)}
    (problem,) = plan.decide(["drills"], replace(BARE, free=free), KEYS).problems
    assert "cache and checkout and system" in problem
    assert "3.0 GiB free" in problem
    assert "CORDON_CACHE" in problem
    assert "lint" in plan.still_works(replace(BARE, free=free), KEYS)


def test_a_small_system_disk_does_not_blame_the_cache() -> None:
    """Each file system is judged by what goes there."""
    free = {**ROOMY, "system": (2, 0)}
    (problem,) = plan.decide(["drills"], replace(BARE, free=free), KEYS).problems
    assert problem.startswith("not enough room for system:")


def test_another_processor_is_refused_with_what_works() -> None:
    """There is no gold image for arm64; what needs no VM goes on."""
    facts = replace(READY, machine="aarch64")
    assert "aarch64" in plan.decide(["drills"], facts, KEYS).problems[0]
    assert plan.still_works(facts, KEYS) == ("policies", "report", "lint", "types", "lock")


def test_extra_words_go_to_the_environment_of_that_name() -> None:
    """`tests -- -k x` is pytest's business alone: ruff would not understand it."""
    assert plan.tox_environments(["tests"], extra=False) == ("tests", "policies", "lint", "types")
    assert plan.tox_environments(["tests"], extra=True) == ("tests",)
    assert plan.tox_environments(["lint", "tests"], extra=False) == ("lint", "tests", "policies", "types")


def test_a_changed_lock_is_a_new_tool() -> None:
    """The key of each tool changes with its lock, and only with its own."""
    locks = {name: name.encode() for name in ("opa", "regal", "node", "allure", "tox")}
    for name in locks:
        changed = plan.tool_keys({**locks, name: b"other"})
        assert [tool for tool in KEYS if changed[tool] != KEYS[tool]] == [name]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("Version: 1.22.2", (1, 22, 2)),
        ("v20.19.0", (20, 19, 0)),
        ("2:1.19~1", (1, 19)),
        ("Version: unknown", None),
    ],
)
def test_versions_are_read_from_what_programs_say(text: str, version: tuple[int, ...] | None) -> None:
    """The first dotted number counts; Debian's epoch does not."""
    assert parse_version(text) == version

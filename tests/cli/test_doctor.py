"""What doctor says of made-up hosts: each fault its finding, its mend, and what works all the same."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cordon.commands import doctor
from executor.host import host_parts, probes
from executor.host.cgroups import CONTROLLERS, Homes, homes, own_group, read_mounts, why_not
from executor.host.facts import Cgroup, Folder, HostFacts, Kvm, Libvirt
from executor.host.finding import Finding
from executor.host.findings import PROGRAMS, drills_can_run, judge

GIB: Final = 1024**3
FOLDERS: Final = (
    Folder("state", "/var/lib/cordon", 100 * GIB),
    Folder("cache", "/root/.cache/cordon", 100 * GIB),
    Folder("runtime", "/run/cordon", 100 * GIB),
)
WHOLE: Final = HostFacts(
    programs={name: f"/usr/bin/{name}" for name in PROGRAMS}, folders=FOLDERS, engine="kvm", engine_reason="booted"
)


def without(name: str) -> dict[str, str]:
    return {program: path for program, path in WHOLE.programs.items() if program != name}


def flaws(facts: HostFacts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.status != "ok"]


def test_a_whole_host_has_no_flaw() -> None:
    """Where nothing is missing every line is ok, nothing is to be mended, and drills can run."""
    findings = judge(WHOLE)
    assert {(finding.status, finding.mend, finding.without) for finding in findings} == {("ok", "", "")}
    assert drills_can_run(findings)
    assert len({finding.part for finding in findings}) == len(findings)


FLAWS: Final = {
    "old python": (replace(WHOLE, python=(3, 10, 2)), "python", "fail", "3.10.2", "python3.11"),
    "arm": (replace(WHOLE, machine="aarch64"), "machine", "fail", "aarch64", "x86-64"),
    "not root": (replace(WHOLE, root=False, user="ann"), "user", "warn", "ann, not root", "sudo"),
    "no kvm": (replace(WHOLE, kvm=Kvm(present=False)), "kvm", "warn", "no /dev/kvm", "nested"),
    "kvm closed": (
        replace(WHOLE, kvm=Kvm(opens=False, error="Permission denied")),
        "kvm",
        "warn",
        "Permission denied",
        "usermod -aG kvm",
    ),
    "kvm closed to qemu": (
        replace(WHOLE, kvm=Kvm(group="root", mode=0o600, qemu_user_opens=False)),
        "kvm",
        "warn",
        "group root, mode 0600",
        "chgrp kvm",
    ),
    "kvm makes no vm": (replace(WHOLE, kvm=Kvm(creates_vm=False, error="EINVAL")), "kvm", "warn", "EINVAL", "dmesg"),
    "kvm boots no guest": (
        replace(WHOLE, engine="tcg", engine_reason="no Ready in 20 s"),
        "kvm",
        "warn",
        "no Ready in 20 s",
        "hardware",
    ),
    "no qemu": (replace(WHOLE, qemu=None), "qemu", "fail", "not installed", "bootstrap.py"),
    "no qemu-img": (replace(WHOLE, programs=without("qemu-img")), "qemu", "fail", "qemu-img", "bootstrap.py"),
    "no libvirt": (
        replace(WHOLE, libvirt=Libvirt(imports=False, error="No module named 'libvirt'")),
        "libvirt",
        "fail",
        "No module",
        "bootstrap.py",
    ),
    "libvirt closed": (
        replace(WHOLE, libvirt=Libvirt(opens=False, error="Failed to parse user")),
        "libvirt",
        "fail",
        "Failed to parse user",
        "bootstrap.py",
    ),
    "no account": (replace(WHOLE, qemu_user=False), "accounts", "fail", "user libvirt-qemu", "bootstrap.py"),
    "no image tool": (
        replace(WHOLE, programs=without("mmdebstrap"), image_built=False),
        "gold image",
        "fail",
        "mmdebstrap",
        "apt-get install --no-install-recommends mmdebstrap",
    ),
    "no image tool, image built": (
        replace(WHOLE, programs=without("sqfstar")),
        "gold image",
        "warn",
        "is built, but",
        "squashfs-tools",
    ),
    "no xorriso": (replace(WHOLE, programs=without("xorriso")), "agent disk", "fail", "xorriso", "xorriso"),
    "no opa": (replace(WHOLE, opa=None), "opa", "fail", "not installed", "bootstrap.py"),
    "old opa": (replace(WHOLE, opa=(1, 18, 2)), "opa", "fail", "1.18.2, 1.19 is the least", "bootstrap.py"),
    "no regal": (replace(WHOLE, regal=None), "regal", "warn", "not installed", "bootstrap.py policies"),
    "old node": (replace(WHOLE, node=(18, 20, 4)), "report", "fail", "18.20.4", "bootstrap.py"),
    "no allure": (replace(WHOLE, allure=None), "report", "fail", "Allure", "bootstrap.py"),
    "no browser": (replace(WHOLE, browser=""), "browser", "fail", "no Chromium", "chromium"),
    "hybrid cgroups": (
        replace(WHOLE, cgroup=Cgroup("hybrid", "no hierarchy has the controllers memory, cpu and pids", 0)),
        "cgroup",
        "warn",
        "hybrid: no hierarchy has the controllers",
        "systemd",
    ),
    "no cgroups": (replace(WHOLE, cgroup=Cgroup("none")), "cgroup", "warn", "no control groups", "mount"),
    "no delegation": (
        replace(WHOLE, cgroup=Cgroup(why_not="/sys/fs/cgroup/x is not delegated (the systemd unit has Delegate=)")),
        "cgroup",
        "warn",
        "is not delegated",
        "Delegate=yes",
    ),
    "little memory": (replace(WHOLE, memory_free=GIB), "memory", "warn", "1.0 GiB available", "end what else"),
    "no user namespaces": (
        replace(WHOLE, user_namespaces=False, root=False, user="ann", image_built=False),
        "user namespaces",
        "fail",
        "cannot be made",
        "sysctl",
    ),
    "no nft": (replace(WHOLE, programs=without("nft")), "network", "warn", "nftables", "nftables"),
    "no network namespaces": (replace(WHOLE, namespaces=False), "network", "warn", "cannot be made", "root"),
    "apparmor without our profile": (
        replace(WHOLE, apparmor="on", apparmor_loaded=False),
        "apparmor",
        "warn",
        "QEMU's profile is not loaded",
        "apparmor_parser -r",
    ),
    "apparmor": (
        replace(WHOLE, apparmor="restricts", root=False, user="ann"),
        "apparmor",
        "warn",
        "forbids",
        "apparmor_restrict",
    ),
}


@pytest.mark.parametrize("case", FLAWS.values(), ids=FLAWS.keys())
def test_each_flaw_is_named_with_its_mend_and_what_still_works(case: tuple[HostFacts, str, str, str, str]) -> None:
    """The part, how bad it is, the words that tell it, a way to mend it, and what works all the same."""
    facts, part, status, says, mend = case
    (found,) = [finding for finding in flaws(facts) if finding.part == part]
    assert found.status == status
    assert says in found.says
    assert mend in found.mend
    assert found.without
    assert drills_can_run(judge(facts)) == (status == "warn")


@pytest.mark.parametrize("what", ["state", "cache", "runtime"])
@pytest.mark.parametrize("change", [{"free": 1000}, {"writable": False}])
def test_a_folder_without_room_or_right_fails(what: str, change: dict[str, int]) -> None:
    """Each folder is judged by itself; the way out names its variable."""
    folders = tuple(replace(folder, **change) if folder.what == what else folder for folder in FOLDERS)  # type: ignore[arg-type]
    (found,) = flaws(replace(WHOLE, folders=folders))
    assert (found.part, found.status) == (f"{what} folder", "fail")
    assert f"CORDON_{what.upper()}" in found.mend
    assert "decisions and policy tests work" in found.without


def test_a_built_image_needs_less_room() -> None:
    """The room for building is not asked for twice."""
    tight = tuple(replace(folder, free=2 * GIB) for folder in FOLDERS)
    assert host_parts.ROOM["cache"] > 2 * GIB
    assert flaws(replace(WHOLE, folders=tight)) == []
    assert [finding.part for finding in flaws(replace(WHOLE, folders=tight, image_built=False))] == ["cache folder"]


def test_what_only_root_needs_is_not_asked_of_others() -> None:
    """Accounts and QEMU's right to /dev/kvm matter when libvirt is root's; user namespaces when it is not."""
    facts = replace(WHOLE, root=False, user="ann", qemu_user=False, qemu_group=False, kvm=Kvm(qemu_user_opens=False))
    assert [finding.part for finding in flaws(facts)] == ["user"]
    assert flaws(replace(WHOLE, user_namespaces=False, apparmor="restricts")) == []


def test_the_lines_say_it_all_and_stay_lines() -> None:
    """Text form: one line a part, mend and remainder below, a sum at the end, nothing untrusted raw."""
    facts = replace(WHOLE, opa=None, kvm=Kvm(opens=False, error="bad\x1b[2J\nnews"))
    lines = doctor.render(judge(facts), colour=False)
    assert "\x1b" not in "\n".join(lines)
    assert sum(line.startswith(("ok  ", "warn", "fail")) for line in lines) == len(judge(facts))
    assert any(line.strip().startswith("mend it: python3 bootstrap.py") for line in lines)
    assert any(line.strip().startswith("without: nothing is ever allowed") for line in lines)
    assert lines[-1] == "Drills cannot run here yet: opa."


def test_colour_changes_nothing_but_colour() -> None:
    """The words are the same with and without."""
    plain, coloured = (doctor.render(judge(WHOLE), colour=colour) for colour in (False, True))
    assert [line.replace("\x1b[32m", "").replace("\x1b[0m", "") for line in coloured] == plain
    assert coloured != plain


@pytest.mark.parametrize(
    ("facts", "status"), [(WHOLE, 0), (replace(WHOLE, opa=None), 1), (replace(WHOLE, regal=None), 0)]
)
def test_the_exit_status_says_whether_drills_can_run(
    facts: HostFacts, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when everything the drills need is there, also with warnings; 1 otherwise; --json says the same."""
    monkeypatch.setattr(doctor, "gather", lambda: facts)
    assert doctor.run(argparse.Namespace(json=True)) == status
    said = json.loads(capsys.readouterr().out)
    assert said["drills"] == (status == 0)
    assert {finding["part"] for finding in said["findings"]} == {finding.part for finding in judge(facts)}


def test_the_real_host_can_be_looked_at() -> None:
    """The probes answer on whatever machine runs this test, and every part is judged."""
    findings = judge(probes.gather())
    assert [finding.part for finding in findings] == [finding.part for finding in judge(WHOLE)]


@pytest.mark.parametrize(
    ("mountinfo", "kind"),
    [
        ("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", ("v2", "/sys/fs/cgroup")),
        ("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", ("v1", "")),
        (
            (
                "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
                "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            ),
            ("hybrid", "/sys/fs/cgroup/unified"),
        ),
        ("1 1 8:1 / / rw - ext4 /dev/sda1 rw\n", ("none", "")),
        ("", ("none", "")),
    ],
)
def test_control_groups_are_told_apart(mountinfo: str, kind: tuple[str, str]) -> None:
    """Unified, legacy, both, neither: from the mount table."""
    assert read_mounts(mountinfo) == kind


def test_the_own_group_is_the_unified_one() -> None:
    """Lines of version 1 are not ours."""
    assert own_group("12:cpu:/a\n0::/user.slice/x\n") == "/user.slice/x"
    assert own_group("12:cpu:/a\n") == "/"


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        ("cordon-qemu (enforce)\ncordon-executor (enforce)\n/usr/bin/man (enforce)\n", True),
        ("cordon-executor (enforce)\n", False),
        ("not-cordon-qemu (enforce)\ncordon-executor (enforce)\n", False),
        (None, None),
    ],
)
def test_loaded_profiles_are_seen(tmp_path: Path, text: str | None, loaded: bool | None) -> None:  # noqa: FBT001 - a case
    """Both of ours, by their whole names; a list that may not be read says nothing."""
    if text is not None:
        (tmp_path / "profiles").write_text(text)
    assert probes._profiles_loaded(tmp_path / "profiles") is loaded


@pytest.mark.parametrize(("loaded", "said"), [(True, "QEMU's profile is loaded"), (None, "only root can see")])
def test_apparmor_that_applies_is_said(loaded: bool | None, said: str) -> None:  # noqa: FBT001 - a case
    """Where AppArmor is on, doctor says which profile applies."""
    finding = host_parts.apparmor(replace(WHOLE, apparmor="on", apparmor_loaded=loaded))
    assert finding.status == "ok"
    assert said in finding.says


SECOND = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
FIRST = "".join(
    f"3{n} 31 0:2{n} / /cg/{part} rw - cgroup cgroup rw,{part}\n"
    for n, part in enumerate(("memory", "cpu,cpuacct", "pids"))
)
UNIT = "/system.slice/cordon.service"
ALL = frozenset({"cpu", "memory", "pids", "io"})


@pytest.mark.parametrize(
    ("mountinfo", "membership", "second_has", "expected"),
    [
        (SECOND, f"0::{UNIT}\n", ALL, Homes(2, dict.fromkeys(CONTROLLERS, Path(f"/sys/fs/cgroup{UNIT}")))),
        (SECOND, "0::/a/cordon-executor\n", ALL, Homes(2, dict.fromkeys(CONTROLLERS, Path("/sys/fs/cgroup/a")))),
        (SECOND, "0::/a\n", frozenset({"memory", "pids"}), Homes()),
        (
            FIRST + "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n",
            "9:pids:/\n5:memory:/box/x\n3:cpu,cpuacct:/y\n0::/\n",
            frozenset(),
            Homes(1, {"memory": Path("/cg/memory/box/x"), "cpu": Path("/cg/cpu,cpuacct/y"), "pids": Path("/cg/pids")}),
        ),
        (FIRST.replace("/ /cg/memory", "/box /cg/memory"), "9:pids:/\n5:memory:/box/x\n3:cpu:/y\n", frozenset(),
            Homes(1, {"memory": Path("/cg/memory/x"), "cpu": Path("/cg/cpu,cpuacct/y"), "pids": Path("/cg/pids")})),
        (FIRST, "5:memory:/\n", frozenset(), Homes()),
        ("", "", frozenset(), Homes()),
    ],
)  # fmt: skip
def test_our_groups_are_found_in_either_version(
    mountinfo: str, membership: str, second_has: frozenset[str], expected: Homes
) -> None:
    """Version 2 where it has every controller, version 1 where that has; of a hierarchy mounted in part, that part."""
    assert homes(mountinfo, membership, second_has) == expected
    if expected == Homes():
        assert why_not(expected)

"""AppArmor's profile of QEMU: it compiles, and lets QEMU have what the allowlist has and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from executor.domain import confinement

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "deploy/apparmor/cordon-executor"
TEXT = PROFILE.read_text(encoding="utf-8")
RUN = "/var/lib/cordon/run"


def rules() -> list[tuple[str, str]]:
    """(path pattern, permissions) of what QEMU's profile allows."""
    body = TEXT.partition("profile cordon-qemu")[2]
    found = re.findall(r"^\s*(?:owner )?([/@]\S*) ([rwkmlix]+),", body, re.MULTILINE)
    return [(pattern.replace("@{CORDON_RUN}", RUN), modes) for pattern, modes in found]


def matches(pattern: str, path: str) -> bool:
    """AppArmor's own globs: `**` over folders, `*` within one, `{a,b}`."""
    expression = ""
    for part in re.split(r"(\*\*|\*|\{[^}]*\})", pattern):
        if part == "**":
            expression += ".+"
        elif part == "*":
            expression += "[^/]*"
        elif part.startswith("{"):
            expression += "(" + "|".join(map(re.escape, part[1:-1].split(","))) + ")"
        else:
            expression += re.escape(part)
    return re.fullmatch(expression, path) is not None


def allowed(path: str) -> set[str]:
    """What QEMU may do with `path`."""
    return {mode for pattern, modes in rules() if matches(pattern, path) for mode in modes}


NAMES = {
    "{log}": f"{RUN}/r-12345678/lv/log/qemu/vm-1.log",
    "{pidfile}": f"{RUN}/r-12345678/lv/run/qemu/vm-1.pid",
    "{gold}": f"{RUN}/images/0123/gold.qcow2",
    "{agent_disk}": f"{RUN}/images/agents/0123.iso",
    "{overlay}": f"{RUN}/r-12345678/vm-1/overlay.qcow2",
}


def test_every_file_of_the_allowlist_is_allowed_as_it_is_opened() -> None:
    """Under AppArmor QEMU opens what it opens without: nothing breaks."""
    raw = confinement.allowlist()
    for line in [*raw["files"], *raw["kvm"]["files"]]:
        path, modes = line.rsplit(" ", 1)
        assert set(modes) <= allowed(NAMES.get(path, path)), line
    for path in (f"{RUN}/images/0123/vmlinuz", f"{RUN}/images/0123/golden-1.save", f"{RUN}/images/0123/initrd.img"):
        assert "r" in allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/root/.ssh/id_ed25519",
        "/var/lib/cordon/keys/issuer/current.key",
        "/var/lib/cordon/logs/svf_audit/00000001.jsonl",
        "/dev/sda",
        "/dev/mem",
        "/proc/1/mem",
        f"{RUN}/r-12345678/lock",
        f"{RUN}/r-12345678/vm-1/console.log",
        "/bin/sh",
    ],
)
def test_nothing_else_of_the_host_is_allowed(path: str) -> None:
    """Keys, the record, other devices, programs: not named, so denied."""
    assert allowed(path) == set()


def test_gold_image_is_not_written_and_nothing_is_executed() -> None:
    """Shared files are for reading; QEMU runs no program, has no capability and no network."""
    assert "w" not in allowed(NAMES["{gold}"]) | allowed(NAMES["{agent_disk}"])
    assert not [modes for _, modes in rules() if "x" in modes]
    body = TEXT.partition("profile cordon-qemu")[2]
    assert not re.search(r"^\s*(capability|network|mount|ptrace|change_profile)\b", body, re.MULTILINE)


def test_unit_asks_for_it_and_qemu_gets_narrower() -> None:
    """The unit starts under the executor's profile where it is loaded; QEMU's is stacked on it: no new privileges."""
    assert "AppArmorProfile=-cordon-executor" in (ROOT / "deploy/cordon.service").read_text(encoding="utf-8")
    assert "/usr/bin/qemu-system-x86_64 px -> &cordon-qemu," in TEXT


def test_it_compiles() -> None:
    """By AppArmor's own parser, where it is installed; otherwise by its brackets and line ends."""
    if parser := shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        done = subprocess.run([parser, "-Q", "-K", "-S", PROFILE], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    lines = [line.partition("#")[0].strip() for line in TEXT.splitlines()]
    assert all(line.endswith((",", "{", "}")) or line.startswith("@{") for line in lines if line)
    blocks = [line for line in lines if line.endswith("{") or line == "}"]
    assert [line == "}" for line in blocks] == [False, True, False, True]

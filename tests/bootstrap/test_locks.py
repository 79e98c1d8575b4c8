"""The locks hold what pyproject.toml asks for, every line with its digest, and the pins agree with each other."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from provision import pins
from requirements.lock import LOCKS

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
GROUPS: Final = PROJECT["dependency-groups"]
ASKED: Final = {
    "tests": [*PROJECT["project"]["dependencies"], *GROUPS["tests"]],
    "types": [*PROJECT["project"]["dependencies"], *GROUPS["tests"], *GROUPS["types"]],
    "lint": GROUPS["lint"],
    "tox": GROUPS["tox"],
    "node": GROUPS["node"],
    "build": GROUPS["build"],
}


def locked(name: str) -> dict[str, str]:
    """Package -> version in a lock."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def names(requirements: Iterable[str]) -> set[str]:
    """Normalised names (PEP 503) of requirement strings."""
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def test_every_lock_is_known_and_used() -> None:
    """What `tox -e lock` writes, what lies in requirements/, and what this test looks at are the same."""
    files = {path.stem for path in (ROOT / "requirements").glob("*.lock")}
    assert files == set(LOCKS) == set(ASKED)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_lock_holds_what_is_asked_for(name: str) -> None:
    """A package added to pyproject.toml without `tox -e lock` turns this red."""
    assert names(ASKED[name]) - set(locked(name)) == set(), "run `tox -e lock` and commit requirements/"


@pytest.mark.parametrize("name", sorted(ASKED))
def test_every_package_has_a_digest(name: str) -> None:
    """No line without at least one SHA-256."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    assert [block.split()[0] for block in blocks if block.strip() and "--hash=sha256:" not in block] == []


def test_mypy_sees_the_versions_the_tests_run() -> None:
    """What is in both locks has one version."""
    tests, types = locked("tests"), locked("types")
    assert {name: (tests[name], types[name]) for name in tests if types.get(name) != tests[name]} == {}


def test_source_packages_are_built_with_the_locked_setuptools() -> None:
    """The build constraint is the version the tests' environment has."""
    assert locked("build")["setuptools"] == locked("tests")["setuptools"]


@pytest.mark.parametrize(("tool", "version"), [("opa", pins.OPA_VERSION), ("regal", pins.REGAL_VERSION)])
def test_the_go_modules_pin_the_version_that_is_announced(tool: str, version: str) -> None:
    """provision/pins.py, go.mod and go.sum name the same version."""
    folder = ROOT / "tools" / tool
    module = f"github.com/open-policy-agent/{tool}"
    assert f"{module} v{version} " in (folder / "go.mod").read_text("utf-8")
    assert f"{module} v{version} h1:" in (folder / "go.sum").read_text("utf-8")


def test_the_announced_versions_are_good_enough_for_ourselves() -> None:
    """What bootstrap installs is not below what it asks of others."""
    assert tuple(map(int, pins.OPA_VERSION.split("."))) >= pins.OPA_MINIMUM
    assert tuple(map(int, pins.REGAL_VERSION.split("."))) >= pins.REGAL_MINIMUM


def test_allure_is_pinned_and_runs_no_install_script() -> None:
    """package.json names one exact version, the lock the same, and every package has its digest."""
    folder = ROOT / "tools" / "allure"
    (wanted,) = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"].values()
    packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", wanted)
    assert packages["node_modules/allure"]["version"] == wanted
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if entry.get("hasInstallScript")] == []

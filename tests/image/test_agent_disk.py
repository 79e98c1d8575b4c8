"""The agent disk."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from executor.image import agent_disk


def test_two_builds_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built in two caches, disk and digest are identical."""
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("CORDON_CACHE", str(tmp_path / name))
        disk = agent_disk.ensure_agent_disk()
        found.append((disk.digest, hashlib.sha256(disk.path.read_bytes()).hexdigest()))
    assert found[0] == found[1]


def test_the_disk_holds_what_its_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extracted, every file has the digest the manifest names, and there is no other file."""
    monkeypatch.setenv("CORDON_CACHE", str(tmp_path / "cache"))
    disk = agent_disk.ensure_agent_disk()
    out = tmp_path / "out"
    argv = ["xorriso", "-osirrox", "on", "-indev", str(disk.path), "-extract", "/", str(out)]
    subprocess.run(argv, check=True, capture_output=True)
    manifest = out / "manifest.json"
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == disk.digest
    listed = json.loads(manifest.read_text())["files"]
    on_disk = {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file() and path != manifest
    }
    assert on_disk == listed
    assert {"main.py", "executor/guest/seccomp.json", "executor/channel/frame.py"} <= set(listed)
    assert disk.path.stat().st_mode & 0o777 == 0o444

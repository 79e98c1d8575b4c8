"""The agent disk: an ISO 9660 image of the guest agent, so that the guest cannot change it and the gold image need not.

    /main.py  /manifest.json  /executor/guest/*  /executor/channel/{frame,channel_pb2}.py

Byte code for the guest's Python is put beside the sources when this Python is the same release (3.11): it saves the
guest half a second of compiling under emulation. The manifest names every file's digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from executor import paths
from executor.errors import ImageError
from executor.image import cache
from executor.image.recipe import PROJECT, input_digest

MANIFEST: Final = "manifest.json"
ISO: Final = "agent.iso"
SCHEMA: Final = "cordon.agent_manifest/1"
GUEST_PYTHON: Final = (3, 11)
"""Python of the gold image (Debian bookworm)."""
_EPOCH: Final = 1700000000
_GUEST: Final = PROJECT / "executor" / "guest"
_CHANNEL: Final = PROJECT / "executor" / "channel"
_DATA: Final = (".py", ".json")


@dataclass(frozen=True, slots=True)
class AgentDisk:
    """A finished agent disk, read-only."""

    path: Path
    digest: str
    """Hex SHA-256 over the disk's manifest; the agent reports it in `Ready`."""


def ensure_agent_disk() -> AgentDisk:
    """The agent disk of this checkout; built when the cache does not hold it (about a second)."""
    sources = disk_files()
    names = "".join(f"{name}\n" for name in sources)
    python = f"{sys.implementation.cache_tag}-{importlib.util.MAGIC_NUMBER.hex()}"
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    key = hashlib.sha256(f"{names}{input_digest(tuple(sources.values()))}{python}{own}".encode()).hexdigest()
    folder = cache.publish(paths.cache_dir() / "agents", key, lambda work: _build(work, sources), marker=ISO)
    return AgentDisk(folder / ISO, hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest())


def disk_files() -> dict[str, Path]:
    """Name on the disk -> source, sorted: the agent, its data, and what it shares with the host."""
    guest = {f"executor/guest/{path.name}": path for path in _GUEST.iterdir() if path.suffix in _DATA}
    shared = {f"executor/channel/{name}": _CHANNEL / name for name in ("frame.py", "channel_pb2.py")}
    start = guest.pop("executor/guest/start.py")
    return dict(sorted({"main.py": start, **guest, **shared}.items()))


def _build(work: Path, sources: dict[str, Path]) -> None:
    if shutil.which("xorriso") is None:
        raise ImageError("the agent disk needs xorriso: sudo apt-get install xorriso")
    tree = work / "tree"
    for name, source in sources.items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    # The host's packages have their own, larger __init__ files; the guest needs the names only.
    for package in ("executor", "executor/channel"):
        (tree / package / "__init__.py").write_text("", encoding="utf-8")
    if sys.version_info[:2] == GUEST_PYTHON:
        _compile(tree)
    _write_manifest(tree)
    shutil.copyfile(tree / MANIFEST, work / MANIFEST)
    for path in [*tree.rglob("*"), tree]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_EPOCH, _EPOCH))
    argv = [
        "xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "CORDON_AGENT", "-o", str(work / ISO),
        "--modification-date=2023111422132000", "--set_all_file_dates", "2023111422132000", str(tree),
    ]  # fmt: skip
    search = os.environ.get("PATH", "/usr/bin:/bin")
    env = {"PATH": search, "SOURCE_DATE_EPOCH": str(_EPOCH), "TZ": "UTC", "LC_ALL": "C"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ImageError(f"xorriso failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    (work / ISO).chmod(0o444)
    (work / MANIFEST).chmod(0o444)
    cache.remove_tree(tree)


def _compile(tree: Path) -> None:
    """Byte code that is never checked against its source: both lie on a disk nobody can write."""
    argv = [
        sys.executable, "-I", "-m", "compileall", "-q", "-j1", "--invalidation-mode", "unchecked-hash",
        "-s", str(tree), "-p", "/agent", str(tree),
    ]  # fmt: skip
    # A process of its own with a fixed hash seed: what byte code looks like depends on what was interned before.
    done = subprocess.run(argv, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"the agent does not compile: {done.stdout.strip()[-500:]}")


def _write_manifest(tree: Path) -> None:
    files = {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if path.is_file()
    }
    record = {"schema": SCHEMA, "files": files}
    (tree / MANIFEST).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")

"""build/drills: what a run leaves there, and what becomes of what the run before it has left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from harness.report import records, trend

BUILD: Final = Path("build/drills")
SUMMARY: Final = BUILD / "summary.json"
ATTESTATION: Final = BUILD / "attestation.json"
JUNIT: Final = BUILD / "junit.xml"
HISTORY: Final = BUILD / "history.jsonl"
SABOTAGE: Final = BUILD / "sabotage.json"
TREND: Final = BUILD / trend.FILE
RECORDS: Final = BUILD / records.FILE
KEPT: Final = frozenset({HISTORY.name, TREND.name, "state"})
"""Names below build/drills that a run leaves in place; `state` is cleaned by the plugin, process by process."""
_LAST: Final = ".last"
"""Where the results of the run before are until this one has begun: a mistyped option must not cost them."""


def set_aside(folder: Path = BUILD) -> None:
    """Empty `folder` but for what is kept between runs; `put_back` undoes it, `let_go` makes it final."""
    let_go(folder)
    last = folder / _LAST
    last.mkdir(parents=True)
    for entry in _results(folder):
        entry.rename(last / entry.name)


def put_back(folder: Path = BUILD) -> None:
    """Have everything again as it was before `set_aside`."""
    for entry in _results(folder):
        _remove(entry)
    for entry in (folder / _LAST).iterdir():
        entry.rename(folder / entry.name)
    let_go(folder)


def let_go(folder: Path = BUILD) -> None:
    """Remove what was set aside, if anything was."""
    if (folder / _LAST).exists():
        _remove(folder / _LAST)


def _results(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.name not in {*KEPT, _LAST}] if folder.exists() else []


def _remove(entry: Path) -> None:
    """Remove a file, a folder, or a link and not what it leads to."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()

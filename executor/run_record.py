"""What a run leaves in the state folder: `outgoing/staging_runs/<lease_id>/` with its report and its rollback pack."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from executor.intent import Intent
from executor.outcome import CollectedFile, Outcome
from executor.reporting.run_report import publish
from executor.rollback.pack import Pack, complete, create
from executor.sentinel.change import read_change

WORKSPACE = "/workspace"
NOT_THERE = "No such file or directory"
"""How the guest says that a path to be collected is gone: strerror of ENOENT."""


def pre_images(intent: Intent) -> dict[str, bytes | None]:
    """What is in the workspace before anything runs: path -> content, None where a patch will make a file."""
    before: dict[str, bytes | None] = {file.path: file.content for file in intent.files if _kept(file.path)}
    if intent.patch:
        for path in sorted(read_change(intent.patch).paths):
            before.setdefault(f"{WORKSPACE}/{path}", None)
    return before


def _kept(path: str) -> bool:
    """Whether a rollback could put it back: what lies elsewhere goes with the machine, whatever the policies allow."""
    return path.startswith(f"{WORKSPACE}/")


def post_images(pack: Pack, files: Iterable[CollectedFile]) -> dict[str, bytes | None]:
    """The collected files as the pack wants them; what could not be handed back counts as not looked at."""
    after: dict[str, bytes | None] = {}
    for file in files:
        if not _kept(file.path):
            continue
        if not file.refused:
            after[file.path] = file.content
        elif file.refused == NOT_THERE:
            after[file.path] = None
    known = {f"{WORKSPACE}/{entry.path}" for entry in pack.before}
    return {path: content for path, content in after.items() if content is not None or path in known}


class RunRecord:
    """Writes run folders below a state folder."""

    def __init__(self, state: Path) -> None:
        """`state`: the state folder."""
        self._runs = state / "outgoing" / "staging_runs"

    def before(self, lease_id: str, intent: Intent) -> Pack:
        """The rollback pack's first half. Raises `OutsideError`."""
        self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self._runs / lease_id
        folder.mkdir(exist_ok=True, mode=0o700)
        modes = {file.path: file.mode for file in intent.files}
        return create(folder, pre_images(intent), intent.scope.paths_write, modes)

    def after(self, pack: Pack, files: Iterable[CollectedFile]) -> Pack:
        """The rollback pack's second half: what the run changed."""
        return complete(pack, post_images(pack, files))

    def publish(self, lease_id: str, outcome: Outcome, pack: Pack | None) -> dict[str, Any]:
        """The run's files and its report; what `report_event.PUBLISHED` says of them. Raises `OutsideError`."""
        self._runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return publish(self._runs / lease_id, outcome, pack=pack).event_data()

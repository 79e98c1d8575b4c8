"""What a run's rollback pack is made of: the workspace, and nothing that goes with the machine anyway."""

from __future__ import annotations

from pathlib import Path

from executor.intent import Command, FileIn, Intent
from executor.outcome import CollectedFile
from executor.run_record import RunRecord


def test_files_in_tmp_are_no_part_of_the_pack(tmp_path: Path) -> None:
    """Policies may be changed to let them be named: a pack that refused them broke the run with its machine taken."""
    files = (FileIn("/tmp/in", b"in"), FileIn("/workspace/a", b"a"))  # noqa: S108 - the sandbox's own
    intent = Intent("drill-tmp", "drill", (Command(("true",)),), files=files)
    record = RunRecord(tmp_path)
    pack = record.before("0" * 32, intent)
    assert [entry.path for entry in pack.before] == ["a"]
    after = (
        CollectedFile("/tmp/out", 0o644, b"out"),  # noqa: S108 - as above
        CollectedFile("/tmp/gone", 0, b"", "not there"),  # noqa: S108 - as above
        CollectedFile("/workspace/b", 0o644, b"b"),
    )
    assert [change.path for change in record.after(pack, after).changes] == ["b"]

"""A step in several processes: real ones, with files of their own."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.drills.side_by_side import side_by_side
from harness.errors import ReportError
from harness.report.whole_file import read_json, write_json

SCHEMA = "cordon.test/1"
WRITES = "import json, sys; json.dump({'schema': 'cordon.test/1', 'part': int(sys.argv[2])}, open(sys.argv[1], 'w'))"
STANDS = """\
import os, signal, sys, time
def ended(*_):
    open(sys.argv[2], 'w').close()
    sys.exit(1)
signal.signal(signal.SIGINT, ended)
os.kill(os.getppid(), signal.SIGUSR1)
while True:
    time.sleep(60)
"""


def read(path: Path) -> dict[str, Any]:
    return read_json(path, SCHEMA, "a part")


def test_every_part_is_read_in_order_and_no_file_stays(tmp_path: Path) -> None:
    """What the processes wrote comes in the order they were named, and their files are gone."""
    commands = {tmp_path / f"{part}.json": [sys.executable, "-c", WRITES] for part in (3, 1, 2)}
    asked = {path: [*command, str(path), path.stem] for path, command in commands.items()}
    assert [found["part"] for found in side_by_side(asked, read)] == [3, 1, 2]
    assert not list(tmp_path.iterdir())


def test_a_part_that_wrote_nothing_is_an_error_and_no_file_stays(tmp_path: Path) -> None:
    """A process that came to nothing is no smaller result."""
    good, bad = tmp_path / "1.json", tmp_path / "2.json"
    with pytest.raises(ReportError, match=r"2\.json cannot be read as a part"):
        side_by_side({good: [sys.executable, "-c", WRITES, str(good), "1"], bad: [sys.executable, "-c", ""]}, read)
    assert not list(tmp_path.iterdir())


def test_who_is_interrupted_interrupts_the_parts(tmp_path: Path) -> None:
    """Ctrl-C in the middle: every process is interrupted and waited for."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupted)
    ended = tmp_path / "ended"
    try:
        with pytest.raises(KeyboardInterrupt):
            side_by_side({tmp_path / "1.json": [sys.executable, "-c", STANDS, "", str(ended)]}, read)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.exists()


def test_a_file_of_another_version_says_so(tmp_path: Path) -> None:
    """Both versions are named; what is no JSON, or not there, is told apart from that."""
    path = tmp_path / "kept.json"
    write_json(path, {"schema": "cordon.test/2"})
    with pytest.raises(ReportError, match=r"another version: 'cordon\.test/2'"):
        read(path)
    path.write_text(json.dumps([1]))
    with pytest.raises(ReportError, match="cannot be read"):
        read(path)

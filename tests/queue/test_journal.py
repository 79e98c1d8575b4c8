"""The journal: what was open when the process died is what the next one reads."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.errors import OutsideError
from executor.queue import Journal, Leftover, journal

TASK = Leftover("q-1", "i-1", "cbo", "NORMAL")


def abandoned(folder: Path) -> tuple[Leftover, ...]:
    """What the file says, without closing whoever writes it: as after kill -9."""
    return journal.read(folder / journal.NAME)[0]


def test_open_tasks_are_found_again_with_how_far_they_were(tmp_path: Path) -> None:
    """Queued and taken tasks are told apart, ended ones are gone."""
    kept = Journal(tmp_path)
    for number in range(4):
        kept.queued(replace(TASK, task_id=f"q-{number}", intent_id=f"i-{number}"))
    kept.taken("q-1")
    kept.taken("q-2")
    kept.ended("q-2")
    expected = (
        replace(TASK, task_id="q-0", intent_id="i-0"),
        replace(TASK, task_id="q-1", intent_id="i-1", state="taken"),
        replace(TASK, task_id="q-3", intent_id="i-3"),
    )
    assert abandoned(tmp_path) == expected
    assert Journal(tmp_path).leftovers == expected


def test_leftovers_stay_until_they_are_told_to_have_ended(tmp_path: Path) -> None:
    """A start that is killed before it closed what it found leaves that for the next."""
    Journal(tmp_path).queued(TASK)
    assert Journal(tmp_path).leftovers == (TASK,)
    again = Journal(tmp_path)
    assert again.leftovers == (TASK,)
    again.ended(TASK.task_id)
    assert Journal(tmp_path).leftovers == ()


def test_journal_that_grew_is_rewritten_with_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its bound the file holds what is open, and nothing of it is lost."""
    monkeypatch.setattr(journal, "MAX_BYTES", 2000)
    kept = Journal(tmp_path)
    kept.queued(TASK)
    kept.taken(TASK.task_id)
    for number in range(200):
        kept.queued(replace(TASK, task_id=f"q-x{number}"))
        kept.ended(f"q-x{number}")
    assert (tmp_path / journal.NAME).stat().st_size < 4000
    assert abandoned(tmp_path) == (replace(TASK, state="taken"),)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_journal_is_read_as_far_as_it_goes(junk: bytes, cut: int) -> None:
    """Torn and made-up lines are counted and never raise; whole ones before them count."""
    import tempfile  # noqa: PLC0415 - hypothesis and tmp_path do not go together

    with tempfile.TemporaryDirectory() as folder:
        kept = Journal(Path(folder))
        kept.queued(TASK)
        kept.close()
        path = Path(folder) / journal.NAME
        whole = path.read_bytes()
        path.write_bytes(whole + (whole[:cut] if cut < len(whole) else b"") + junk)
        found, _ = journal.read(path)
        assert TASK in found or b"q-1" in junk  # only a line that names the task may make it go


def test_second_close_is_silent_and_late_changes_are_dropped(tmp_path: Path) -> None:
    """A worker that ends after the journal was closed leaves its task open for the next start."""
    kept = Journal(tmp_path)
    kept.queued(TASK)
    kept.close()
    kept.close()
    kept.ended(TASK.task_id)
    assert abandoned(tmp_path) == (TASK,)


@contextmanager
def full_disk(path: Path, room: int) -> Iterator[None]:
    """No file of this process grows beyond what `path` has and `room` bytes: what is longer is written in part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10])
def test_full_disk_loses_the_line_it_met_and_no_other(tmp_path: Path, room: int) -> None:
    """Nothing or half of a line was written: its task counts as not taken, and the next line is whole."""
    kept = Journal(tmp_path)
    kept.queued(TASK)
    with full_disk(tmp_path / journal.NAME, room), pytest.raises(OutsideError, match="cannot be written"):
        kept.queued(replace(TASK, task_id="q-2", intent_id="i-2"))
    kept.queued(replace(TASK, task_id="q-3", intent_id="i-3"))
    assert [task.task_id for task in abandoned(tmp_path)] == ["q-1", "q-3"]
    kept.close()


def test_journal_that_cannot_be_rewritten_goes_on_in_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor stays its own: nothing is written to a file that came to have the same number."""
    kept = Journal(tmp_path)
    kept.queued(TASK)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "MAX_BYTES", 1)
        (tmp_path / f".{journal.NAME}.new").mkdir()
        with pytest.raises(OutsideError):
            kept.taken(TASK.task_id)
        (tmp_path / f".{journal.NAME}.new").rmdir()
    with (tmp_path / "another").open("wb"):
        kept.queued(replace(TASK, task_id="q-2", intent_id="i-2"))
    assert (tmp_path / "another").read_bytes() == b""
    assert [(task.task_id, task.state) for task in abandoned(tmp_path)] == [("q-1", "taken"), ("q-2", "queued")]
    kept.close()

"""Every damage to a trail is found, at its place, under its one right name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from executor import canonical
from executor.errors import DamagedAuditError
from executor.keys import SeedSigner
from executor.svf import Summary, verify
from executor.svf.files import log_files
from executor.svf.head import HEAD_NAME, Head, read_head
from tests.svf.chain import KEYS, SIGNER, Trail, continued, foreign, rewritten, write_trail

RECORDS = 24
Draw = Callable[[st.SearchStrategy[Any]], Any]
Damage = tuple[str, int, list[tuple[str, bytes]]]
"""Kind, place of the first bad record, and the lines as they are afterwards."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound trail of `RECORDS` records in several files."""
    directory = tmp_path_factory.mktemp("svf") / "whole"
    write_trail(directory, RECORDS)
    assert len(log_files(directory)) > 3
    return directory


def named(draw: Draw, trail: Trail) -> Damage:
    """One damage of a random kind at a random place, and what it has to be called."""
    kinds: list[Callable[[Draw, Trail], Damage]] = [
        _edit_byte, _edit_rehashed, _delete, _reorder, _duplicate, _truncate, _fork_hidden, _fork_open, _fork_grafted,
        _genesis,
    ]  # fmt: skip
    damage: Callable[[Draw, Trail], Damage] = draw(st.sampled_from(kinds))
    return damage(draw, trail)


def _index(draw: Draw, low: int = 0, high: int = RECORDS - 1) -> int:
    index: int = draw(st.integers(low, high))
    return index


def _edit_byte(draw: Draw, trail: Trail) -> Damage:
    lines = list(trail.lines)
    index = _index(draw)
    name, line = lines[index]
    at = draw(st.integers(0, len(line) - 2))
    byte = draw(st.integers(0, 255).filter(lambda value: value != line[at]))
    lines[index] = (name, line[:at] + bytes([byte]) + line[at + 1 :])
    return "edit", index + 1, lines


def _edit_rehashed(draw: Draw, trail: Trail) -> Damage:
    """One record replaced, its own hash recomputed; its successor still names the old one."""
    lines = list(trail.lines)
    index = _index(draw, 1, RECORDS - 2)
    lines[index] = (lines[index][0], rewritten(lines[index][1]))
    return "edit", index + 1, lines


def _delete(draw: Draw, trail: Trail) -> Damage:
    first = _index(draw, 0, RECORDS - 2)
    last = _index(draw, first, RECORDS - 2)
    return "delete", first + 1, trail.lines[:first] + trail.lines[last + 1 :]


def _reorder(draw: Draw, trail: Trail) -> Damage:
    first = _index(draw, 0, RECORDS - 2)
    last = _index(draw, first + 1)
    lines = list(trail.lines)
    if draw(st.booleans()):
        (one, a), (two, b) = lines[first], lines[last]
        lines[first], lines[last] = (one, b), (two, a)
    else:
        lines.insert(first, (lines[first][0], lines.pop(last)[1]))
    return "reorder", first + 1, lines


def _duplicate(draw: Draw, trail: Trail) -> Damage:
    index = _index(draw)
    lines = list(trail.lines)
    place = draw(st.integers(0, RECORDS))
    lines.insert(place, (lines[min(place, RECORDS - 1)][0], lines[index][1]))
    return "duplicate", index + 1, lines


def _truncate(draw: Draw, trail: Trail) -> Damage:
    index = _index(draw)
    name, line = trail.lines[index]
    left = draw(st.integers(0, len(line) - 1))
    return "truncate", index + 1, [*trail.lines[:index], (name, line[:left])]


def _fork_hidden(draw: Draw, trail: Trail) -> Damage:
    """The history rewritten from a record on, hashes and all; found by the next anchor, placed behind the last one."""
    index = _index(draw, 1)
    other = continued([line for _, line in trail.lines], index, more=draw(st.integers(0, 3)))
    names = [name for name, _ in trail.lines]
    vouched = max((anchor for anchor in trail.anchors if anchor <= index), default=0)
    return "fork", vouched + 1, [(names[min(at, RECORDS - 1)], line) for at, line in enumerate(other)]


def _fork_open(draw: Draw, trail: Trail) -> Damage:
    """Both branches stand in the log: two writers went on from the same record."""
    index = _index(draw, 1)
    lines = list(trail.lines)
    place = draw(st.integers(index, RECORDS))
    lines.insert(place, (lines[min(place, RECORDS - 1)][0], rewritten(lines[index][1])))
    return "fork", index + 1, lines


def _fork_grafted(draw: Draw, trail: Trail) -> Damage:
    """From a record on, the same numbers of another log."""
    index = _index(draw, 1)
    other = foreign(RECORDS)
    lines = [*trail.lines[:index], *((trail.lines[at][0], other[at]) for at in range(index, RECORDS))]
    return "fork", index + 1, lines


def _genesis(draw: Draw, trail: Trail) -> Damage:
    """The beginning is another one: another log's first record, all of another log, or the first record made anew."""
    lines = list(trail.lines)
    other = foreign(RECORDS)
    how = draw(st.sampled_from(["first", "all", "anew", "rewritten"]))
    if how == "all":
        lines = [(name, other[at]) for at, (name, _) in enumerate(lines)]
    elif how == "rewritten":
        lines = [(name, line) for (name, _), line in zip(lines, continued([line for _, line in lines], 0), strict=True)]
    else:
        lines[0] = (lines[0][0], other[0] if how == "first" else rewritten(lines[0][1]))
    return "genesis", 1, lines


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_damage_is_found_and_named(whole: Path, data: st.DataObject) -> None:
    """1,000 random damages of every kind: each is found, its kind and its first bad record named right."""
    trail = Trail.load(whole)
    kind, seq, lines = named(data.draw, trail)
    event(kind)
    with tempfile.TemporaryDirectory() as folder:
        damaged = Path(folder) / "damaged"
        Trail(lines, trail.log_id, trail.anchors).write(whole, damaged)
        with pytest.raises(DamagedAuditError) as found:
            verify(damaged, KEYS, sealed=data.draw(st.booleans()))
    assert (found.value.kind, found.value.seq) == (kind, seq), str(found.value)


def test_sound_trail_verifies(whole: Path) -> None:
    """A trail nobody touched verifies whole, to its last record, over all its files."""
    head = read_head(whole, KEYS)
    assert head is not None
    expected = Summary(head.log_id, RECORDS, head.hash, RECORDS, SIGNER.kid, len(log_files(whole)), 0)
    assert verify(whole, KEYS, sealed=True) == expected


def _copy(whole: Path, tmp_path: Path) -> Path:
    Trail.load(whole).write(whole, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(("which", "kind"), [(0, "delete"), (1, "delete"), (-1, "truncate")])
def test_missing_file(whole: Path, tmp_path: Path, which: int, kind: str) -> None:
    """A whole file gone is a deletion, or a truncation when it is the last; the place is its first record."""
    directory = _copy(whole, tmp_path)
    file = log_files(directory)[which]
    file.path.unlink()
    with pytest.raises(DamagedAuditError) as found:
        verify(directory, KEYS)
    assert (found.value.kind, found.value.seq) == (kind, file.first)


def test_missing_head(whole: Path, tmp_path: Path) -> None:
    """Without the head nothing vouches for the end: that is a truncation behind the last record."""
    directory = _copy(whole, tmp_path)
    (directory / HEAD_NAME).unlink()
    with pytest.raises(DamagedAuditError) as found:
        verify(directory, KEYS)
    assert (found.value.kind, found.value.seq) == ("truncate", RECORDS + 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 511), byte=st.integers(0, 255))
def test_edited_head(whole: Path, at: int, byte: int) -> None:
    """Any byte of the head changed is an edit: its signature covers all of it, and its blanks are checked."""
    document = (whole / HEAD_NAME).read_bytes()
    if document[at] == byte:
        return
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "copy"
        Trail.load(whole).write(whole, directory)
        (directory / HEAD_NAME).write_bytes(document[:at] + bytes([byte]) + document[at + 1 :])
        with pytest.raises(DamagedAuditError) as found:
            verify(directory, KEYS)
    assert found.value.kind == "edit"


def test_head_of_another_signer(whole: Path, tmp_path: Path) -> None:
    """A head signed by a key that is not trusted is no head."""
    directory = _copy(whole, tmp_path)
    head = read_head(whole, KEYS)
    assert head is not None
    (directory / HEAD_NAME).write_bytes(head.signed(SeedSigner(b"2" * 32)).document())
    with pytest.raises(DamagedAuditError, match="not trusted"):
        verify(directory, KEYS)


def test_seal_cannot_pass_for_a_head(whole: Path, tmp_path: Path) -> None:
    """Cutting the log back to a sealed file and offering its seal as the head is found out."""
    directory = _copy(whole, tmp_path)
    files = log_files(directory)
    for file in files[1:]:
        file.path.unlink()
        file.seal.unlink(missing_ok=True)
    (directory / HEAD_NAME).write_bytes(files[0].seal.read_bytes())
    with pytest.raises(DamagedAuditError) as found:
        verify(directory, KEYS)
    assert found.value.kind == "edit"


def test_edited_seal(whole: Path, tmp_path: Path) -> None:
    """A seal that was altered is found, though the records are sound."""
    directory = _copy(whole, tmp_path)
    seal = log_files(directory)[0].seal
    seal.write_bytes(seal.read_bytes().replace(b'"seq":', b'"seq":1'))
    with pytest.raises(DamagedAuditError) as found:
        verify(directory, KEYS)
    assert found.value.kind == "edit"


def test_older_copy_is_found_by_an_anchor(tmp_path: Path) -> None:
    """A folder put back to an older state, head included, verifies by itself, and fails against a later summary."""
    directory = tmp_path / "svf"
    write_trail(directory, 5)
    Trail.load(directory).write(directory, tmp_path / "old")
    write_trail(directory, 5)
    later = verify(directory, KEYS)
    assert later.records == 10
    assert verify(tmp_path / "old", KEYS).records == 5
    with pytest.raises(DamagedAuditError) as found:
        verify(tmp_path / "old", KEYS, anchor=later)
    assert (found.value.kind, found.value.seq) == ("truncate", 6)


def test_records_behind_the_head(whole: Path, tmp_path: Path) -> None:
    """Records behind the head are counted as unsigned, and refused where a sealed trail is asked for."""
    directory = _copy(whole, tmp_path)
    trail = Trail.load(directory)
    lines = continued([line for _, line in trail.lines], RECORDS, more=2)
    last = log_files(directory)[-1].path
    last.write_bytes(last.read_bytes() + b"".join(lines[RECORDS:]))
    summary = verify(directory, KEYS)
    assert (summary.records, summary.signed_records) == (RECORDS + 2, RECORDS)
    with pytest.raises(DamagedAuditError) as found:
        verify(directory, KEYS, sealed=True)
    assert (found.value.kind, found.value.seq) == ("fork", RECORDS + 1)


def test_fast_head_bytes_are_canonical() -> None:
    """The head's hand-written bytes are the canonical form of its fields."""
    head = Head("head", "a" * 32, "b" * 64, 12, "c" * 64).signed(SIGNER)
    raw = head.to_json()
    assert head.document().rstrip() == canonical.dumps(raw)
    del raw["sig"]
    assert head.signed_bytes() == canonical.dumps(raw)
    assert len(head.document()) == 512
    assert len(Head("seal", "a" * 32, "b" * 64, 2**53 - 1, "c" * 64).signed(SIGNER).document()) == 512

"""`cordon rollback`, run as a program would: output, exit status, and the record in the audit trail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cordon.__main__ import main
from executor.clock import ManualClock
from executor.keys import KeyStore
from executor.rollback import pack
from executor.svf import SvfLog, read, verify

LEASE = "lease-1"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with keys, a run with its pack, and the pack on record."""
    folder, clock = tmp_path / "state", ManualClock()
    folder.mkdir(mode=0o700)
    keys = KeyStore(folder, clock)
    keys.init()
    made = pack.create(
        folder / "outgoing/staging_runs" / LEASE, {"a.txt": b"old", "gone": b"was"}, ["/workspace/*.txt"]
    )
    pack.complete(made, {"a.txt": b"new", "gone": None, "b.txt": b"created"})
    with SvfLog.open(folder / "logs/svf_audit", clock, keys.issuer()) as log:
        log.emit("rollback_event.CREATED", "cp20", intent_id="i", lease_id=LEASE, data=made.event_data())
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"new")
    (folder / "b.txt").write_bytes(b"created")
    return folder


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["rollback", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out, said.err


def call_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    status, out, err = call(capsys, *words, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def test_show_names_what_the_run_changed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs; a change that was not expected stands out."""
    status, out, _ = call(capsys, "show", LEASE, "--state", state)
    assert status == 0
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["a.txt", "modified", "yes"], ["b.txt", "created", "yes"], ["gone", "deleted", "NO"],
    ]  # fmt: skip
    shown = call_json(capsys, "show", LEASE, "--state", state)
    assert [change["kind"] for change in shown["changes"]] == ["modified", "created", "deleted"]


def test_apply_restores_and_is_on_record(state: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files are as before, and the audit trail says so, unbroken."""
    proof = call_json(capsys, "apply", LEASE, "--to", target, "--state", state)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.txt": b"old", "gone": b"was"}
    last = list(read(state / "logs/svf_audit"))[-1]
    assert (last.type, last.lease_id, last.data["tree"]) == ("rollback_event.COMPLETE", LEASE, proof["tree"])
    assert verify(state / "logs/svf_audit", KeyStore(state, ManualClock()).ring().issuer_keys())


def test_a_rewritten_pack_is_refused(state: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digest on record is asked for without being told to; nothing is touched."""
    folder = state / "outgoing/staging_runs" / LEASE / "rollback"
    other = pack.create(state / "forged", {"a.txt": b"evil"}, [])
    (folder / "before.json").write_bytes((other.folder / "before.json").read_bytes())
    (folder / "after.json").unlink()
    blob = next((other.folder / "blobs").iterdir())
    (folder / "blobs" / blob.name).write_bytes(blob.read_bytes())
    for words in (["verify", LEASE], ["apply", LEASE, "--to", target]):
        status, _, err = call(capsys, *words, "--state", state)
        assert (status, "on record" in err) == (1, True)
    assert (target / "a.txt").read_bytes() == b"new"


def test_nothing_is_touched_while_another_process_has_the_trail(
    state: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rollback that could not be recorded does not happen."""
    keys = KeyStore(state, ManualClock())
    with SvfLog.open(state / "logs/svf_audit", ManualClock(), keys.issuer()):
        status, _, err = call(capsys, "apply", LEASE, "--to", target, "--state", state)
    assert (status, "svf." in err) == (1, True)
    assert (target / "a.txt").read_bytes() == b"new"


def test_a_run_folder_elsewhere_is_taken_by_its_path(
    tmp_path: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copied run has no trail: it verifies by itself, says that nobody has it on record, and applies."""
    pack.create(tmp_path / "copy", {"a.txt": b"old"}, [])
    said = call_json(capsys, "verify", tmp_path / "copy", "--state", tmp_path / "none")
    assert (said["whole"], said["on_record"]) == (True, False)
    assert call(capsys, "apply", tmp_path / "copy", "--to", target, "--state", tmp_path / "none")[0] == 0
    assert (target / "a.txt").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["nothing", "../state", "..", "", "/etc"])
def test_what_is_no_run_is_wrong_use(state: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and the message says where was looked."""
    status, _, err = call(capsys, "show", name, "--state", state)
    assert (status, "staging_runs" in err) == (2, True)


def test_a_digest_given_by_hand_counts(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another digest than the pack's is refused."""
    assert call(capsys, "verify", LEASE, "--state", state, "--digest", "0" * 64)[0] == 1
    status, out, _ = call(capsys, "verify", LEASE, "--state", state, "--digest", "0" * 64, "--json")
    assert (status, json.loads(out)["whole"]) == (1, False)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with commands that can be typed."""
    with pytest.raises(SystemExit) as ended:
        main(["rollback", "--help"])
    assert ended.value.code == 0
    assert "cordon rollback apply lease-3f2a --to" in capsys.readouterr().out

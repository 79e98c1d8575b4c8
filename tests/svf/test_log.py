"""The writer: durable before acknowledged, one at a time, whole after a crash, closed to new work on a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import canonical
from executor.clock import ManualClock, rfc3339
from executor.errors import AuditError, DamagedAuditError, InvalidInputError, MisuseError
from executor.svf import TYPES, SvfLog, guest_text, read, verify
from executor.svf.event import draft, genesis, parse_line, read_link
from executor.svf.files import log_files
from executor.svf.head import HEAD_NAME, read_head
from tests.svf.chain import KEYS, SIGNER, TRICKY, Trail, write_trail

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
data = st.dictionaries(text, text | st.integers(-(2**53) + 1, 2**53 - 1) | st.lists(text, max_size=3), max_size=4)


@given(text, text, data, st.integers(1, 2**53 - 1))
def test_line_is_canonical_and_its_hash_covers_it(actor: str, vm_id: str, values: dict[str, object], seq: int) -> None:
    """A record's line is its canonical JSON, and `hash` is SHA-256 over the canonical JSON of the rest."""
    ids = dict.fromkeys(("intent_id", "lease_id", "task_id", "policy_digest"), "")
    made = draft("vm_event.READY", actor, vm_id=vm_id, engine="sim", data=values, **ids)
    digest, line = made.place(seq, rfc3339(0), "0" * 64)
    raw = canonical.loads(line.encode())
    assert canonical.dumps(raw) == line.encode()
    assert raw.pop("hash") == digest == hashlib.sha256(canonical.dumps(raw)).hexdigest()
    event = parse_line(line.encode())
    assert (event.seq, event.actor, event.data, event.vm_id) == (seq, actor, values, vm_id)
    link = read_link(line.encode() + b"\n")
    assert link is not None
    assert (link.seq, link.hash, link.prev) == (seq, digest.encode(), b"0" * 64)


def test_events_come_back_as_emitted(tmp_path: Path) -> None:
    """What `emit` answers is what `read` finds, chained from the log's own beginning; guest text changes nothing."""
    clock = ManualClock()
    with SvfLog.open(tmp_path, clock, SIGNER) as log:
        first = log.emit("intent_event.SUBMITTED", "cbo", intent_id="i1", data={"digest": TRICKY})
        second = log.emit(
            "vm_event.READY",
            "cp20",
            intent_id="i1",
            lease_id="l",
            task_id="t",
            vm_id="v",
            engine="kvm",
            policy_digest="p",
        )
    head = read_head(tmp_path, KEYS)
    assert head is not None
    assert list(read(tmp_path)) == [first, second]
    assert list(read(tmp_path, after=1)) == [second]
    assert (first.seq, first.prev, second.prev) == (1, genesis(head.log_id), first.hash)
    assert (head.seq, head.first, head.hash) == (2, first.hash, second.hash)
    assert first.ts == rfc3339(clock.ns)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("exec_event.EXPLODED", {}, r"no event type 'exec_event.EXPLODED'; there are exec_event.STARTED"),
        ("magic", {}, "no event type 'magic'; there are channel_event, control_event"),
        ("vm_event.READY", {}, "vm_event.READY needs vm_id"),
        ("lease_event.DENIED", {}, "lease_event.DENIED: data needs reason"),
        ("lease_event.DENIED", {"data": {"reason": "Because!"}}, r"data\.reason: 'Because!' does not match"),
        ("task_event.REJECTED", {"intent_id": "i", "data": {"reason": 7}}, r"data\.reason: 7 is not of type 'string'"),
        ("resource_event.MONITORED", {"intent_id": "i", "data": {"cpu": 0.5}}, "0.5 is not of type"),
        ("policy_event.LOADED", {"data": {"x": 0.5}}, r"\$\.x: 0\.5 is a float"),
        ("policy_event.LOADED", {"data": {"x": "\udcff"}}, "lone surrogate"),
        ("policy_event.LOADED", {"data": {"x": "x" * 70_000}}, "is over 65536"),
        ("vm_event.READY", {"vm_id": "v" * 201}, "at most 200 characters"),
        ("vm_event.READY", {"vm_id": ["v"]}, "an id is text"),
        ("vm_event.READY", {"vm_id": "\udcff"}, "lone surrogate"),
        ("vm_event.READY", {"vm_id": "v", "actor": "cp20", "engine": 7}, "an id is text"),
        ("vm_event.READY", {"vm_id": "v", "actor": "cbo"}, "vm_event.READY is recorded by cp20, not by 'cbo'"),
    ],
)
def test_what_does_not_fit_the_catalogue_is_refused(
    tmp_path: Path, kind: str, fields: dict[str, object], message: str
) -> None:
    """An event that the catalogue does not know or whose data does not fit is refused, and nothing is written."""
    usual = next(iter(TYPES[kind].actors)) if kind in TYPES else "cp20"
    with SvfLog.open(tmp_path, ManualClock(), SIGNER) as log:
        with pytest.raises(MisuseError, match=message):
            log.emit(kind, **{"actor": usual, **fields})  # type: ignore[arg-type]
        assert (log.statistics()["seq"], log.statistics()["failed"]) == (0, False)
    assert list(read(tmp_path)) == []


def test_threads_share_commits_and_lose_nothing(tmp_path: Path) -> None:
    """Eight writers at once: every acknowledged event is on the disk, once, in one chain over several files."""
    answers: list[tuple[int, str]] = []
    with SvfLog.open(tmp_path, ManualClock(), SIGNER, file_bytes=64 * 1024) as log:

        def write(number: int) -> None:
            for turn in range(100):
                event = log.emit("vm_event.READY", "cp20", vm_id=f"vm-{number}", data={"turn": turn})
                answers.append((event.seq, event.hash))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.statistics()["events"] == 800
    assert sorted(answers) == [(event.seq, event.hash) for event in read(tmp_path)]
    assert len(log_files(tmp_path)) > 3
    assert verify(tmp_path, KEYS, sealed=True).records == 800


def test_one_writer_many_readers(tmp_path: Path) -> None:
    """A second writer is refused in words; readers and the verifier need no lock."""
    with SvfLog.open(tmp_path, ManualClock(), SIGNER) as log:
        log.emit("policy_event.LOADED", "cp16")
        with pytest.raises(AuditError, match="has a writer already"):
            SvfLog.open(tmp_path, ManualClock(), SIGNER)
        assert [event.seq for event in read(tmp_path)] == [1]
        assert verify(tmp_path, KEYS).signed_records == 1
    SvfLog.open(tmp_path, ManualClock(), SIGNER).close()


def test_closing_twice_is_silent_and_then_nothing_is_accepted(tmp_path: Path) -> None:
    """A closed log refuses events; a second close does nothing; the file has no reserved blocks left."""
    log = SvfLog.open(tmp_path, ManualClock(), SIGNER)
    log.emit("policy_event.LOADED", "cp16")
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.emit("policy_event.LOADED", "cp16")
    status = log_files(tmp_path)[0].path.stat()
    assert status.st_blocks * 512 <= 8192


def test_reopening_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Opened again and again, one chain; a clock that went back does not take the records' moments back."""
    for turn in range(4):
        with SvfLog.open(tmp_path, ManualClock(10**18 - turn), SIGNER, file_bytes=600) as log:
            log.emit("policy_event.LOADED", "cp16")
    events = list(read(tmp_path))
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert {event.ts for event in events} == {rfc3339(10**18)}
    assert verify(tmp_path, KEYS, sealed=True).records == 4


@pytest.mark.parametrize("left", [1, 100, -1])
def test_torn_line_is_cut_and_recorded(tmp_path: Path, left: int) -> None:
    """A line torn by a crash is cut at the next opening, and the trail itself says how much and what it was."""
    directory = tmp_path / "svf"
    write_trail(directory, 3, file_bytes=1 << 20)
    file = log_files(directory)[0].path
    torn = file.read_bytes().splitlines(keepends=True)[0][:left]
    file.write_bytes(file.read_bytes() + torn)
    before = verify(directory, KEYS)
    assert (before.records, before.torn_bytes) == (3, len(torn))
    with SvfLog.open(directory, ManualClock(), SIGNER):
        pass
    *_, last = read(directory)
    assert (last.seq, last.type, dict(last.data)) == (
        4,
        "control_event.RESUMED",
        {
            "cause": "audit_recovered",
            "cut_bytes": len(torn),
            "cut_sha256": hashlib.sha256(torn).hexdigest(),
            "unsigned": 0,
        },
    )
    assert verify(directory, KEYS, sealed=True).records == 4


def test_records_the_head_missed_are_adopted_and_recorded(tmp_path: Path) -> None:
    """Durable records behind an older head (power cut between the two) are kept, and the trail says how many."""
    directory = tmp_path / "svf"
    write_trail(directory, 3)
    head = (directory / HEAD_NAME).read_bytes()
    write_trail(directory, 2)
    (directory / HEAD_NAME).write_bytes(head)
    with SvfLog.open(directory, ManualClock(), SIGNER):
        pass
    *_, last = read(directory)
    assert last.data == {"cause": "audit_recovered", "cut_bytes": 0, "cut_sha256": "", "unsigned": 2}
    assert verify(directory, KEYS, sealed=True).records == 6


def test_crash_before_the_first_head_is_adopted(tmp_path: Path) -> None:
    """Records durable before any head vouched for them: adopted, and the trail verifies from its first record on."""
    directory = tmp_path / "svf"
    SvfLog.open(directory, ManualClock(), SIGNER).close()
    empty = (directory / HEAD_NAME).read_bytes()
    write_trail(directory, 3)
    (directory / HEAD_NAME).write_bytes(empty)
    SvfLog.open(directory, ManualClock(), SIGNER).close()
    assert verify(directory, KEYS, sealed=True).records == 4
    head = read_head(directory, KEYS)
    assert head is not None
    assert head.first == next(read(directory)).hash


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from executor.clock import SystemClock
from executor.svf import SvfLog
from tests.svf.chain import SIGNER
armed = False
def ctrl_c(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, ctrl_c)
log = SvfLog.open(Path(sys.argv[1]), SystemClock(), SIGNER)
stop = threading.Event()
def write():
    while not stop.is_set():
        log.emit("vm_event.READY", "cp20", vm_id="other")
def interrupt():
    while not stop.wait(0.0005):
        os.kill(os.getpid(), signal.SIGINT)
threads = [threading.Thread(target=target) for target in (write, write, interrupt)]
for thread in threads:
    thread.start()
for _ in range(100):
    try:
        armed = True
        while True:
            log.emit("vm_event.READY", "cp20", vm_id="main")
    except KeyboardInterrupt:
        pass
stop.set()
for thread in threads:
    thread.join()
log.emit("vm_event.DESTROYED", "cp20", vm_id="main")
log.close()
"""


def test_interruptions_neither_tear_the_chain_nor_stop_the_log(tmp_path: Path) -> None:
    """A hundred Ctrl-C in the middle of emitting: the log goes on, and the chain is whole."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        capture_output=True, cwd=Path(__file__).parents[2], text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = verify(tmp_path, KEYS, sealed=True)
    *_, last = read(tmp_path)
    assert (last.type, last.seq) == ("vm_event.DESTROYED", summary.records)


@pytest.mark.parametrize("damage", ["edit", "truncate", "head"])
def test_a_damaged_trail_is_not_written_on(tmp_path: Path, damage: str) -> None:
    """A writer does not go on behind a damaged end: that would bury it."""
    directory = tmp_path / "svf"
    write_trail(directory, 3, file_bytes=1 << 20)
    trail = Trail.load(directory)
    file = log_files(directory)[0].path
    if damage == "edit":
        file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":7'))
    elif damage == "truncate":
        file.write_bytes(b"".join(line for _, line in trail.lines[:-1]))
    else:
        (directory / HEAD_NAME).unlink()
    with pytest.raises(AuditError, match="damaged"):
        SvfLog.open(directory, ManualClock(), SIGNER)


CRASH = """
import os, sys, threading
from pathlib import Path
from executor.clock import SystemClock
from executor.svf import SvfLog
from tests.svf.chain import SIGNER
log = SvfLog.open(Path(sys.argv[1]), SystemClock(), SIGNER, file_bytes=16384)
def write(number):
    while True:
        os.write(1, b"%d\\n" % log.emit("vm_event.READY", "cp20", vm_id=f"vm-{number}").seq)
for number in range(4):
    threading.Thread(target=write, args=(number,)).start()
"""


def test_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """kill -9 at a random moment, five times over: every acknowledged event is there, and the chain goes on."""
    acknowledged = 0
    for turn in range(5):
        command = [sys.executable, "-c", CRASH, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
            try:
                assert writer.stdout is not None
                told = [int(writer.stdout.readline()) for _ in range(40 + 37 * turn)]
            finally:
                writer.send_signal(signal.SIGKILL)
            told += [int(line) for line in writer.stdout]
        acknowledged = max(acknowledged, *told)
        assert verify(tmp_path, KEYS).records >= acknowledged
    with SvfLog.open(tmp_path, ManualClock(), SIGNER):
        pass
    assert verify(tmp_path, KEYS, sealed=True).records >= acknowledged


FULL = """
import json, os, subprocess, sys
from pathlib import Path
from executor.clock import SystemClock
from executor.errors import AuditError
from executor.svf import SvfLog, verify
from tests.svf.chain import KEYS, SIGNER
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(disk)], check=True)
log = SvfLog.open(disk / "svf", SystemClock(), SIGNER)
log.emit("intent_event.SUBMITTED", "cbo", intent_id="first")
ballast = disk / "ballast"
descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
try:
    while os.write(descriptor, b"x" * 4096):
        pass
except OSError:
    os.close(descriptor)
told = accepted = 0
try:
    while True:
        log.emit("intent_event.SUBMITTED", "cbo", intent_id="more", data={"said": "x" * 1000})
        accepted += 1
except AuditError as error:
    refusal = str(error)
for _ in range(200):
    log.emit("exec_event.STARTED", "cp20", intent_id="first", vm_id="v", data={"said": "x" * 1000})
    told += 1
try:
    log.ensure_room()
    room = True
except AuditError:
    room = False
ballast.unlink()
log.emit("intent_event.SUBMITTED", "cbo", intent_id="again")
log.close()
print(json.dumps({"accepted": accepted, "refusal": refusal, "told": told, "room": room,
                  "records": verify(disk / "svf", KEYS, sealed=True).records}))
"""


def test_full_disk_stops_new_work_before_it_loses_an_event(tmp_path: Path) -> None:
    """On a really full disk new intents are refused, what runs is recorded to its end, and freed space ends it."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run(
        [*namespace, sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True, cwd=Path(__file__).parents[2], text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "new work is refused" in seen["refusal"]
    assert (seen["told"], seen["room"]) == (200, False)
    assert seen["records"] == 1 + seen["accepted"] + 200 + 1


def test_failed_write_is_final(tmp_path: Path) -> None:
    """After a write has failed nothing more is accepted, and what is on the disk still verifies."""
    log = SvfLog.open(tmp_path, ManualClock(), SIGNER)
    log.emit("policy_event.LOADED", "cp16")
    read_only = os.open(log_files(tmp_path)[0].path, os.O_RDONLY)
    os.dup2(read_only, log._fd)
    os.close(read_only)
    for _ in range(2):
        with pytest.raises(AuditError, match="cannot be written"):
            log.emit("policy_event.LOADED", "cp16")
    log.close()
    assert verify(tmp_path, KEYS, sealed=True).records == 1


def test_unsigned_trail_verifies_only_when_no_signature_is_asked_for(tmp_path: Path) -> None:
    """Without a signer the chain is checked, and a verifier that wants a signature refuses."""
    write_trail(tmp_path / "svf", 2, signer=None)
    assert verify(tmp_path / "svf", None).records == 2
    with pytest.raises(DamagedAuditError, match="signed by nobody"):
        verify(tmp_path / "svf", {})


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_guest_text_can_always_be_recorded(said: bytes | str) -> None:
    """Whatever a guest says becomes text that an event can hold."""
    assert isinstance(canonical.dumps({"said": guest_text(said, 50)}), bytes)
    assert len(guest_text(said, 50)) <= 50


def test_catalogue_is_the_designs() -> None:
    """The catalogue holds exactly the types of the design, each with actors and a sentence."""
    families = {
        "intent_event": "SUBMITTED REVIEWED ARBITRATED APPROVED REJECTED",
        "risk_event": "ASSESSED",
        "policy_event": "DECIDED LOADED",
        "lease_event": "ISSUED COSIGNED VERIFIED DENIED REVOKED EXPIRED",
        "task_event": "QUEUED REJECTED DISPATCHED",
        "vm_event": "READY ACQUIRED RESET RECYCLED DESTROYED ZOMBIE",
        "exec_event": "STARTED FINISHED DENIED KILLED TIMEOUT ABORTED",
        "resource_event": "RESERVED MONITORED ALERT BREACH RELEASED",
        "channel_event": "THROTTLED VIOLATION",
        "rollback_event": "CREATED COMPLETE",
        "key_event": "CREATED ROTATED RETIRED",
        "control_event": "SCRAM SAFE_MODE RESUMED",
        "report_event": "PUBLISHED",
    }
    assert set(TYPES) == {f"{family}.{name}" for family, names in families.items() for name in names.split()}
    assert all(known.actors and known.what.endswith(".") for known in TYPES.values())


def test_text_that_is_no_record_is_refused_with_its_place(tmp_path: Path) -> None:
    """Reading a line that is no record says so instead of guessing."""
    write_trail(tmp_path / "svf", 1)
    file = log_files(tmp_path / "svf")[0].path
    file.write_bytes(file.read_bytes() + b'{"seq":1}\n')
    with pytest.raises(InvalidInputError, match="not the fields of an event"):
        list(read(tmp_path / "svf"))

"""kill -9 anywhere in a task's life: the next start closes every trail, and what was answered stays true."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from executor.bridge.recovery import Recovered, recover
from executor.clock import SystemClock
from executor.keys import KeyStore
from executor.queue import Journal
from executor.svf import Event, SvfLog, read, verify
from executor.svf.machine import check_trace

TIMES = 6
"""Points are drawn, one of each sixth of a life."""
MARGIN = 3
"""Lives differ by a point or two: the trail's writer takes what has gathered."""


def lived(state: Path, name: str, point: int) -> subprocess.CompletedProcess[str]:
    """An executor that kills itself at that point, if it comes to it."""
    command = [sys.executable, "-m", "tests.bridge.killed_side", str(state), name, str(point)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


def whole_life(state: Path) -> int:
    """How many points a life has that nobody ends."""
    done = lived(state, "whole", 1 << 30)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("ANSWERED\ncompleted ")
    return int(done.stdout.split()[-1])


def killed_at(state: Path, name: str, point: int) -> bool:
    """Have an executor killed there; whether the answer was told before."""
    done = lived(state, name, point)
    assert done.returncode == -signal.SIGKILL, (point, done.stdout, done.stderr[-500:])
    return done.stdout == "ANSWERED\n"


def recovered(state: Path) -> Recovered:
    """What the next start does; a second one finds nothing more to do."""
    clock = SystemClock()
    journal = Journal(state)
    with SvfLog.open(state / "logs" / "svf_audit", clock, signer=KeyStore(state, clock).issuer()) as log:
        done = recover(log, state, "sim", journal.leftovers, journal, unreadable=journal.unreadable)
        assert recover(log, state, "sim", (), journal) == Recovered()
    journal.close()
    again = Journal(state)
    again.close()
    assert again.leftovers == ()
    return done


def reported(state: Path, last: Event) -> str:
    """The effect that a run's report tells; its digest is the one on record."""
    assert last.type == "report_event.PUBLISHED"
    folder = state / "outgoing" / "staging_runs" / last.lease_id
    content = (folder / "report.json").read_bytes()
    assert last.data["report"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    return str(json.loads(content)["effect"])


def test_killed_anywhere_is_closed_by_events_and_no_answer_was_a_lie(tmp_path: Path) -> None:
    """Six points drawn over the whole life."""
    draw = random.Random(5)  # noqa: S311 - which points, not a secret
    wide = (whole_life(tmp_path / "whole") - MARGIN) // TIMES
    told = set()
    for turn in range(TIMES):
        point = draw.randrange(1 + turn * wide, 1 + (turn + 1) * wide)
        state = tmp_path / f"state-{turn}"
        answered = killed_at(state, f"k{turn}", point)
        done = recovered(state)
        assert done.turned_away[-1:] == (f"drill-k{turn}-waits",), point
        assert done.unreadable == 0
        events = list(read(state / "logs" / "svf_audit"))
        assert check_trace(events, whole=True, complete=True) == [], point
        ours = [event for event in events if event.intent_id == f"drill-k{turn}-runs"]
        kinds = {event.type for event in ours}
        if answered:
            assert reported(state, ours[-1]) == "completed", point
            assert "exec_event.ABORTED" not in kinds
        elif "task_event.DISPATCHED" in kinds and "resource_event.RELEASED" not in kinds:
            assert reported(state, ours[-1]) == "aborted", point
        assert verify(state / "logs" / "svf_audit", KeyStore(state, SystemClock()).ring().issuer_keys(), sealed=True)
        told.add(answered)
        halves = [path for path in (state / "outgoing").rglob(".*") if path.is_file()]
        halves += [path for path in (state / "outgoing" / "leases").glob("lease-*") if path.suffix != ".json"]
        assert halves == [], point
    assert told == {True, False}

"""Class A, the record under pressure: a disk that is full, and a writer that dies in the middle of a line.

The full disk is a small tmpfs in a mount namespace of a child's own; nobody else sees it, and it goes with the child.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from executor.clock import ManualClock
from executor.errors import OutsideError
from executor.svf import SvfLog, machine, read, verify
from executor.svf.files import log_files
from fixtures import small_room
from fixtures.small_room import SIGNER
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

ROOM: Final = "12m"
SECONDS: Final = 60


@procedure()
def audit_disk_full(stage: Stage, *, fill: bool = True) -> Facts:
    """Fills the disk under a trail: new work is refused, what runs is still recorded, and the trail stays whole."""
    folder = stage.folder()
    child = f"{sys.executable} -m {small_room.__name__} {folder} {int(fill)}"
    script = f"mount -t tmpfs -o size={ROOM} none {folder} && exec {child}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode:
        raise OutsideError(f"no small disk could be filled: {done.stderr.strip()[-300:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return {"refusal": "" if seen["new_work"] == "recorded" else f"denial {seen['new_work']}", **seen}


@procedure()
def audit_crash(stage: Stage, *, crash: bool = True, looked: bool = True) -> Facts:
    """Lets a writer die between effect and event, in the middle of a line; the next one goes on, the gap shows.

    `looked: false` asks for the chain only, which says nothing of what never came to be recorded.
    """
    folder = stage.folder() / "trail"
    clock = ManualClock()
    with SvfLog.open(folder, clock, SIGNER) as log:
        for kind, actor in (("intent_event.SUBMITTED", "cbo"), ("intent_event.REVIEWED", "cp14")):
            log.emit(kind, actor, intent_id="intent-1", data={"verdict": "PASS"})
        if not crash:
            log.emit("task_event.REJECTED", "cp20", intent_id="intent-1", data={"reason": "control.scram"})
    if crash:
        copy = folder.with_name("dead")
        shutil.copytree(folder, copy)
        with log_files(copy)[0].path.open("ab") as file:
            file.write(b'{"actor":"cp15","data":{"score":')  # as far as it came
        folder = copy
    with SvfLog.open(folder, clock, SIGNER) as log:
        log.emit("intent_event.SUBMITTED", "cbo", intent_id="intent-2")
        log.emit("task_event.REJECTED", "cp20", intent_id="intent-2", data={"reason": "control.scram"})
    whole = verify(folder, {SIGNER.kid: SIGNER.public}).torn_bytes == 0
    faults = [fault for fault in machine.check_trace(read(folder), complete=True) if looked]
    return {
        "refusal": "denial svf.unfinished" if faults else "",
        "unfinished": sorted({fault.key for fault in faults}),
        "whole": whole,
    }

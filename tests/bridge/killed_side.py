"""A simulated executor that kills itself at a point of one task's life; `tests/bridge/test_killed.py` starts it.

    python -m tests.bridge.killed_side STATE NAME POINT

A point is whatever changes a file, and each step of the audit trail's writer; they are counted from the task's start.
Says ANSWERED once the answer was told, and how many points there were when it was not killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from executor.api import Request
from executor.intent import Command, FileIn, Intent
from executor.policy import default_policies_dir
from executor.queue import Journal, Leftover
from executor.service import open_executor
from executor.svf import log as svf_log
from executor.svf.head import write_in_place

CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link"})


class Points:
    """Counts, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self._last = last
        self.count = 0
        self.counting = False

    def at(self) -> None:
        if self.counting:
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An interpreter's audit hook."""
        written = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & written
        if opened or event in CHANGES:
            self.at()


def main(state: Path, name: str, last: int) -> None:
    """Run a task `name` with another one waiting behind it."""
    points = Points(last)
    sync = os.fdatasync

    def head(*arguments: Any) -> None:
        points.at()
        write_in_place(*arguments)
        points.at()

    def synced(descriptor: int) -> None:
        points.at()
        sync(descriptor)

    setattr(svf_log, "write_in_place", head)  # noqa: B010 - a name that the module does not give away
    os.fdatasync = synced  # type: ignore[assignment] # takes what the trail's writer gives it
    sys.addaudithook(points.audit)

    def answered(_: object) -> None:
        sys.stdout.write("ANSWERED\n")
        sys.stdout.flush()
        points.at()

    state.mkdir(mode=0o700, exist_ok=True)
    journal = Journal(state)
    executor = open_executor("sim", state=state, policies=default_policies_dir(), drill=True)
    for one in ("runs", "waits"):
        journal.queued(Leftover(f"q-{name}-{one}", f"drill-{name}-{one}", "drill", "NORMAL", "staging"))
    points.counting = True
    journal.taken(f"q-{name}-runs")
    intent = Intent(
        f"drill-{name}-runs",
        "drill",
        (Command(("echo", "hi")), Command(("cp", "/workspace/a", "/workspace/b"))),
        files=(FileIn("/workspace/a", b"x"),),
        collect=("/workspace/b",),
    )
    outcome = executor.run(Request(intent, answered=answered))
    journal.ended(f"q-{name}-runs")
    points.counting = False
    executor.close()
    journal.close()
    sys.stdout.write(f"{outcome.effect} {points.count}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

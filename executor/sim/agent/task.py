"""The command that runs in a machine."""

from __future__ import annotations

from typing import Final

from executor.guest.ending import Cause
from executor.guest.task import SAMPLE_S
from executor.sim.kernel.process import Pipe, Process

MIB: Final = 1024 * 1024


class Task:
    """A running command."""

    def __init__(self, task_id: str, launcher: Process, now_ns: int) -> None:
        self.task_id: Final = task_id
        self.launcher: Final = launcher
        self.main: Process | None = None
        self.stdout: Final = Pipe(readers=1, writers=1)
        self.stderr: Final = Pipe(readers=1, writers=1)
        self.started_ns: Final = now_ns
        self.deadline_ns = 0
        self.sample_ns = now_ns + int(SAMPLE_S * 1e9)
        self.output_left: int | None = None
        self.stopped: Cause | None = None

"""A step of the drills in several processes: each writes what it has found into a file of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def side_by_side(
    commands: Mapping[Path, Sequence[str]], read: Callable[[Path], dict[str, Any]], *, quiet: bool = False
) -> list[dict[str, Any]]:
    """Run every command at once; what `read` makes of the file that each is named by and has written.

    The files are gone afterwards, and so are the processes, however this ends. `quiet` leaves out what they write to
    standard output. Raises what `read` raises, `ReportError` for a file that is not there.
    """
    output = subprocess.DEVNULL if quiet else None
    running = [subprocess.Popen(command, stdout=output) for command in commands.values()]
    try:
        for process in running:
            process.wait()
        return [read(path) for path in commands]
    finally:
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
        for path in commands:
            path.unlink(missing_ok=True)

"""The comparison after a run of the drills: in as many processes as the drills had, each with its part, then merged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.conform import MODELLED_BAR, kept


def compared(folder: Path, processes: int, *, whole: bool) -> dict[str, Any]:
    """The simulator against what is recorded in `folder`, also written there; what the summary says of it.

    `whole`: the record is of every scenario, so the share that is modelled counts. Raises `ReportError` where a part
    left no comparison.
    """
    names = [folder / f"conformance-{number}.json" for number in range(1, processes + 1)]
    command = [sys.executable, "-m", "cordon", "simulate", "--conform", f"--recorded={folder}"]
    running = [
        subprocess.Popen([*command, f"--part={number}/{processes}", f"--output={name}"], stdout=subprocess.DEVNULL)
        for number, name in enumerate(names, 1)
    ]
    try:
        for process in running:
            process.wait()
        raw = kept.merged([kept.read(name) for name in names])
    finally:
        for process, name in zip(running, names, strict=True):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
            name.unlink(missing_ok=True)
    kept.write(folder / kept.FILE.name, raw)
    return kept.figures(raw, bar=MODELLED_BAR if whole else 0)

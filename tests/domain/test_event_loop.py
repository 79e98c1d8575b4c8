"""libvirt's event loop ends before the interpreter does: what it calls afterwards is gone, and the process with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = """\
import atexit, threading

def alive():
    print(sorted(one.name for one in threading.enumerate()))

atexit.register(alive)  # before the module's own: it is called after that
from executor.domain import hypervisor
hypervisor._start_event_loop()
alive()
"""


def test_the_loop_has_ended_before_the_interpreter_goes() -> None:
    """A `cordon simulate --conform` once ended with 139 after its last word: a timer had fired into nothing."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == ["['MainThread', 'libvirt-events']", "['MainThread']"]

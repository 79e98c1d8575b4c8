"""Waiting for a condition with a deadline: nothing in a procedure sleeps for a time it hopes is enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from executor.errors import OutsideError

PATIENCE_S: Final = 60.0
"""How long any single thing may take on a crowded host under emulation."""
_POLL_S: Final = 0.05


def until(what: str, condition: Callable[[], bool], *, seconds: float = PATIENCE_S) -> None:
    """Wait for `condition`; raises `OutsideError` naming `what` when it does not come within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OutsideError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(_POLL_S)

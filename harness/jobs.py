"""How many processes a job of the harness works with side by side, where nobody says otherwise."""

from __future__ import annotations

import os


def default_jobs() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0))

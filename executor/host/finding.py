"""What one part of a host is like, and the words all judgements share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from executor.host.facts import Version

Status = Literal["ok", "warn", "fail"]
"""`ok`: works. `warn`: drills run, with less. `fail`: drills cannot run."""

SETUP: Final = "python3 bootstrap.py drills --setup-only"
"""What mends most: installs whatever is missing."""
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """What one part of the host is like. `mend` is a command or one plain step; empty when nothing is to be done."""

    part: str
    status: Status
    says: str
    mend: str = ""
    without: str = ""
    """What works all the same, or what does not, when this is not mended."""


def dotted(version: Version) -> str:
    """`(1, 22, 2)` as `1.22.2`."""
    return ".".join(map(str, version))

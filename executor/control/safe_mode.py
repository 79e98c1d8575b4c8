"""Safe mode: one small file in the state folder. While it is there no work is accepted, whatever else happens.

Fail closed: a file that cannot be read or understood means safe mode too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor import canonical
from executor.errors import InvalidInputError, OutsideError
from executor.keys import atomic

NAME: Final = "safe_mode.json"
SCHEMA: Final = "cordon.safe_mode/1"
MAX_WHY: Final = 500
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class SafeMode:
    """Who stopped everything, when and why."""

    since: str
    by: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        return {"schema": SCHEMA, "since": self.since, "by": self.by, "why": self.why}


class SafeModeFile:
    """The file of one state folder."""

    def __init__(self, state: Path) -> None:
        """`state`: the state folder."""
        self.path: Final = state / NAME

    def read(self) -> SafeMode | None:
        """None: normal work."""
        try:
            raw = canonical.loads(atomic.read_public(self.path), where=str(self.path))
            if raw["schema"] == SCHEMA:
                return SafeMode(str(raw["since"]), str(raw["by"]), str(raw["why"]))
        except OutsideError:
            if not self.path.exists() and not self.path.is_symlink():
                return None
        except (InvalidInputError, KeyError, TypeError):
            pass
        return SafeMode("", "", "the safe mode file cannot be read")

    def enter(self, mode: SafeMode) -> None:
        """Durable when this returns. Raises `OutsideError`."""
        atomic.write_atomic(self.path, canonical.dumps(mode.to_json()), atomic.SECRET_MODE)

    def leave(self) -> None:
        """Durable when this returns; leaving twice is silent. Raises `OutsideError`."""
        try:
            self.path.unlink(missing_ok=True)
            atomic.sync_folder(self.path.parent)
        except OSError as error:
            raise OutsideError(f"cannot remove {self.path}: {error.strerror}") from error

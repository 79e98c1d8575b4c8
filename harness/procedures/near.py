"""An executor of one's own in this process: where no driver is one a process, another buys nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from executor.api import Request
from executor.outcome import Outcome

if TYPE_CHECKING:
    from executor.service import Judges


class Own(Protocol):
    """What procedures need of an executor with a state of its own that they do not kill."""

    @property
    def state(self) -> Path:
        """Its state folder."""

    def run(self, request: Request) -> Outcome:
        """Take `request` through it."""

    def close(self) -> object:
        """End it; a second call is silent."""


class NearExecutor:
    """A simulated executor with its own state and clock. It shares this process, so nobody kills it."""

    def __init__(self, state: Path, policies: Path, judges: Judges) -> None:
        """Open it; raises `OutsideError`. It asks `judges`, who judge by `policies` and remember nothing of a run."""
        from executor.service import open_executor  # noqa: PLC0415 - libvirt, not needed to collect procedures

        self.state: Final = state
        self._executor: Final = open_executor("sim", state=state, policies=policies, drill=True, judges=judges)

    def run(self, request: Request) -> Outcome:
        """Take `request` through it."""
        return self._executor.run(request)

    def close(self) -> None:
        """Close it; a second call is silent."""
        self._executor.close()

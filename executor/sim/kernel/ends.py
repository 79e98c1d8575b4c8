"""The ways in which a call ends other than with an answer or an error number."""

from __future__ import annotations

from executor.errors import OutsideError


class WaitError(Exception):
    """The call has to wait: it is made again when something has changed, at the latest at `until_ns`."""

    def __init__(self, until_ns: int | None = None) -> None:
        super().__init__()
        self.until_ns = until_ns


class EndedError(Exception):
    """The process that made the call is no more."""


class UnmodelledError(OutsideError):
    """Something the model has no answer to; the text names it. What it was asked for stays UNMEASURED."""

    code = "sim.unmodelled"


def exit_status(code: int) -> int:
    """The wait status of an exit with `code`."""
    return (code & 0xFF) << 8

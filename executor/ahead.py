"""Something of the host's, done on a thread of its own while the guest is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """Begins at once; `result` waits. As a block it has ended when the block has, however that ended."""

    def __init__(self, action: Callable[[], Result]) -> None:
        """Run `action`."""
        self._action: Final = action
        self._found: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """What the action returned; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._action())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is wanted
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.join()

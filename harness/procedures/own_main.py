"""The process behind `OwnExecutor`: opens an executor, answers calls over a descriptor, closes when it is hung up."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from executor.errors import OutsideError

if TYPE_CHECKING:
    from executor.service import LocalExecutor, Wanted


def main(arguments: list[str]) -> int:
    """`descriptor engine state policies max_uses`; 0 when it was hung up on and closed everything."""
    from executor.pool import PoolPlan  # noqa: PLC0415 - a child of drills only
    from executor.service import open_executor  # noqa: PLC0415 - as above

    descriptor, engine, state, policies, max_uses = arguments
    pipe = Connection(int(descriptor))
    lock = threading.Lock()

    def answer(number: int, value: Any, *, good: bool) -> None:
        with lock, contextlib.suppress(OSError):  # who asked may be gone
            pipe.send((number, good, value))

    def serve(executor: LocalExecutor, number: int, name: str, given: tuple[Any, ...]) -> None:
        try:
            answer(number, _callee(executor, name)(*given), good=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to who asked
            try:
                answer(number, error, good=False)
            except Exception:  # noqa: BLE001 - an error that cannot travel travels as words
                answer(number, OutsideError(f"{type(error).__name__}: {error}"), good=False)

    executor = open_executor(
        cast("Wanted", engine),
        state=Path(state),
        policies=Path(policies),
        progress=lambda text: print(text, flush=True),  # noqa: T201 - the log of a child
        drill=True,
        pool=PoolPlan(reuse=int(max_uses) > 0, max_uses=int(max_uses) or 1),
    )
    try:
        answer(0, executor.facts, good=True)
        with contextlib.suppress(EOFError, OSError):
            while (order := pipe.recv()) is not None:
                threading.Thread(target=serve, args=(executor, *order), daemon=True).start()
    finally:
        executor.close()
    return 0


def _callee(executor: LocalExecutor, name: str) -> Callable[..., Any]:
    """A method of the executor, or `module:function` with the executor as its first argument."""
    module, colon, function = name.partition(":")
    if not colon:
        return cast("Callable[..., Any]", getattr(executor, name))
    found = getattr(importlib.import_module(module), function)
    return lambda *given: found(executor, *given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

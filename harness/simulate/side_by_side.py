"""Jobs on several processes, their answers as they come. A process that is killed is an error, not a wait for ever.

The library has two that do half of it: `multiprocessing.Pool` waits for ever for a worker that was killed, and the
workers of `concurrent.futures.ProcessPoolExecutor` stay for ever when this process is.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import wait
from typing import Any, Final, TypeVar

from executor.errors import CordonError, OutsideError

Job = TypeVar("Job")
Answer = TypeVar("Answer")
GONE: Final = "a process at work was killed, as the kernel does when memory is short; try fewer side by side (--jobs 1)"


def answers(work: Callable[[Job], Answer], jobs: Sequence[Job], processes: int) -> Generator[Answer, None, None]:
    """What `work` says to each of `jobs`, as soon as it is there; in this process where one is enough.

    The others find `work` by its name. They are ended on the way out, also by Ctrl-C. Raises what `work` raises, and
    `OutsideError` when a process is gone before its answer.
    """
    if min(processes, len(jobs)) < 2:
        yield from map(work, jobs)
        return
    # Spawned, not forked: this process may have threads (libvirt's, a progress timer's).
    context = multiprocessing.get_context("spawn")
    left = iter(jobs)
    # A connection's type differs between the two functions of the library that hand one out: hence Any.
    at_work: dict[Any, Any] = {}
    try:
        for job in islice(left, processes):
            ours, theirs = context.Pipe()
            at_work[ours] = context.Process(target=_work, args=(theirs, work), daemon=True)
            at_work[ours].start()
            theirs.close()
            _ask(ours, job)
        while at_work:
            ready: list[Any] = wait(list(at_work))
            for connection in ready:
                yield _answer(connection)
                if more := list(islice(left, 1)):
                    _ask(connection, *more)
                else:
                    connection.close()  # it ends with it
                    at_work.pop(connection).join()
    finally:
        for process in at_work.values():
            process.terminate()
            process.join()


def _ask(connection: Any, job: object) -> None:
    try:
        connection.send(job)
    except ConnectionError:
        raise OutsideError(GONE) from None


def _answer(connection: Any) -> Any:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError):
        raise OutsideError(GONE) from None
    if isinstance(answer, CordonError):
        raise answer
    return answer


def _work(connection: Any, work: Callable[[Any], Any]) -> None:
    """Answer until nobody asks any more; interrupts are left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):  # whoever asked has gone, perhaps killed: nobody wants the rest
        while True:
            job = connection.recv()
            try:
                answer = work(job)
            except CordonError as error:
                answer = error
            connection.send(answer)

"""An executor in a process of its own: the near side. The far side is `harness.procedures.own_main`.

libvirt's embedded driver is one a process, and what a drill kills, fills up or damages must not be the shared one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from executor.api import Request
from executor.errors import OutsideError
from executor.outcome import Outcome
from executor.paths import private_dir
from executor.svf import Event, read

READY_S: Final = 180.0
"""A first start boots a golden machine; crowded hosts take their time."""
PREFIX: Final = "own-"
_AT_WORK: Final = "the executor of this drill has ended"


class OwnExecutor:
    """A child process with an executor; calls are answered in any order, as in the executor itself."""

    def __init__(self, engine: str, state: Path, runtime: Path, policies: Path, *, max_uses: int = 0) -> None:
        """Start it and wait until it is open; `max_uses` above 0: machines are used again, so often.

        Raises `OutsideError` with its last words.
        """
        private_dir(state)
        self.state: Final = state
        self.runtime: Final = runtime
        self._said: Final = state / "own.log"
        near, far = socket.socketpair()
        with far, self._said.open("ab") as said:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness.procedures.own_main", str(far.fileno())),
                    *(engine, str(state), str(policies), str(max_uses)),
                ],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, "CORDON_RUNTIME": str(runtime), "CORDON_STATE": str(state)},
                cwd=Path(__file__).parents[2],
            )
        self._pipe = Connection(near.detach())
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        ready: Future[Any] = Future()
        self._waiting: dict[int, Future[Any]] = {0: ready}
        threading.Thread(target=self._listen, name="own-executor", daemon=True).start()
        try:
            self.facts: dict[str, Any] = ready.result(READY_S)
        except (OutsideError, TimeoutError) as error:
            self.close()
            words = " ".join(self._said.read_text(errors="replace").strip().splitlines()[-1:])
            raise OutsideError(f"an executor of one's own did not start: {error} {words}"[:500]) from None
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def submit(self, name: str, *arguments: Any) -> Future[Any]:
        """Call the executor's method `name`, or `module:function` with the executor first; the answer to come."""
        number = next(self._numbers)
        answer: Future[Any] = Future()
        with self._lock:
            self._waiting[number] = answer
            try:
                self._pipe.send((number, name, arguments))
            except OSError:
                answer.set_exception(OutsideError(_AT_WORK))
        return answer

    def call(self, name: str, *arguments: Any, seconds: float = 120.0) -> Any:
        """`submit` and wait for the answer."""
        return self.submit(name, *arguments).result(seconds)

    def run(self, request: Request, *, seconds: float = 120.0) -> Outcome:
        """Take `request` through it; raises what its executor raises."""
        outcome = self.call("run", request, seconds=seconds)
        if not isinstance(outcome, Outcome):
            raise OutsideError("an executor answered with something else than an outcome")
        return outcome

    def events(self, *, after: int = 0) -> tuple[Event, ...]:
        """What its audit trail holds beyond record `after`; also when it has ended."""
        return tuple(read(self.state / "logs" / "svf_audit", after=after))

    def kill(self) -> None:
        """SIGKILL, as from outside: nothing is tidied up."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self, *, seconds: float = 30.0) -> int:
        """Let it close and end; killed when it does not. The exit code; a second call is silent."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.send(None)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def _listen(self) -> None:
        try:
            while True:
                number, good, value = self._pipe.recv()
                with self._lock:
                    answer = self._waiting.pop(number)
                if good:
                    answer.set_result(value)
                else:
                    answer.set_exception(value)
        except (EOFError, OSError, TypeError):
            with self._lock:
                for answer in self._waiting.values():
                    answer.set_exception(OutsideError(_AT_WORK))
                self._waiting.clear()
            self._pipe.close()


@contextmanager
def own_runtime(runtime: Path) -> Iterator[Path]:
    """A runtime folder for executors of one's own beside the others' run directories; emptied at the end.

    What dead processes left of theirs is cleared away first. Its path is short: sockets live below it.
    """
    from executor.domain.rundir import reap_dead  # noqa: PLC0415 - only where machines are

    private_dir(runtime, 0o711)
    for old in runtime.glob(f"{PREFIX}*"):
        if not Path("/proc", old.name.removeprefix(PREFIX)).exists():
            reap_dead(old)
            shutil.rmtree(old, ignore_errors=True)
    path = private_dir(runtime / f"{PREFIX}{os.getpid()}", 0o711)
    try:
        yield path
    finally:
        reap_dead(path)
        shutil.rmtree(path, ignore_errors=True)

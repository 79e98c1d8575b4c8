"""Children that do not outlive us, started from one thread that lives as long as the process.

The kernel sends a child its parent-death signal when the *thread* that started it ends, not the process. So one daemon
thread starts them all, and `setpriv` (util-linux) asks for the signal after the fork: no Python code runs between
fork and exec, which would be unsafe beside other threads.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Final

from executor.errors import PolicyUnavailableError

_Job = tuple[Sequence[str], Mapping[str, str], Path, "Future[subprocess.Popen[bytes]]"]
_CHECK_TIMEOUT_S: Final = 10.0


class _Spawner:
    """One thread, one queue; the thread ends with the process only."""

    def __init__(self) -> None:
        self.pid: Final = os.getpid()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="cordon-spawner", daemon=True).start()

    def start(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((argv, env, log, future))
        return future.result()

    def _work(self) -> None:
        while True:
            argv, env, log, future = self._jobs.get()
            try:
                with log.open("ab") as output:
                    child = subprocess.Popen(
                        argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/"
                    )
            except OSError as error:
                future.set_exception(error)
            else:
                future.set_result(child)


_lock: Final = threading.Lock()
_current: list[_Spawner] = []


def start_child(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `argv` with exactly `env`, output appended to `log`; the kernel kills it when this process dies.

    It gets no new privileges, and none of ours where that can be asked for. Raises `PolicyUnavailableError` when
    `setpriv` is not there, `OSError` when the program cannot be started.
    """
    with _lock:
        if not _current or _current[0].pid != os.getpid():  # a fork has our memory but not our thread
            _current[:] = [_Spawner()]
        spawner = _current[0]
    return spawner.start([*_prefix(), *argv], env, log)


@lru_cache(maxsize=1)
def _prefix() -> tuple[str, ...]:
    """`setpriv` with all that it accepts here."""
    setpriv = shutil.which("setpriv") or shutil.which("setpriv", path="/usr/bin:/bin")
    if setpriv is None:
        raise PolicyUnavailableError("setpriv is missing (package util-linux): it ties OPA's life to the executor's")
    least = (setpriv, "--pdeathsig", "KILL", "--no-new-privs")
    bare = (*least, "--inh-caps=-all", "--bounding-set=-all")  # needs CAP_SETPCAP
    try:
        probe = subprocess.run([*bare, "/bin/true"], capture_output=True, timeout=_CHECK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return least
    return bare if probe.returncode == 0 else least

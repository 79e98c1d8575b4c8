"""One child OPA: a bundle in a private directory, a socket of mode 0600, a life that ends with ours.

Rules: the directory is made by us, mode 0700, and locked while we live; OPA reads nothing but the bundle in it and
hears nothing but the socket in it; a start ends in health or in an error that quotes OPA; `stop` always releases
everything, a second one is silent; what a killed process left behind is swept at the next start.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import itertools
import os
import select
import shutil
import signal
import subprocess
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from executor.clock import Clock
from executor.errors import PolicyUnavailableError
from executor.paths import runtime_dir
from executor.policy.bundle import Bundle, Verification
from executor.policy.client import UnixOpaClient
from executor.policy.spawn import start_child

START_TIMEOUT_S: Final = 20.0
"""Measured: 0.1 s on an idle machine; the rest is patience with a busy one."""
STOP_TIMEOUT_S: Final = 3.0
_POLL_MS: Final = 5
_NS: Final = 1_000_000_000
_PREFIX: Final = "opa-"
_GO: Final = {
    "GOMEMLIMIT": "512MiB",  # in use: 60 MiB
    "GOGC": "400",  # a small heap is collected too often at the default: 10 % of a decision's time
}
"""Go's runtime in OPA."""
_numbers: Final = itertools.count()
_living: weakref.WeakSet[OpaServer] = weakref.WeakSet()


class OpaServer:
    """A running OPA that has loaded one bundle."""

    def __init__(
        self,
        opa: Path,
        bundle: Bundle,
        *,
        clock: Clock,
        verification: Verification | None = None,
        log: Path | None = None,
    ) -> None:
        """`log`: file OPA's errors are appended to; default a file in the private directory, gone after `stop`."""
        self.bundle: Final = bundle
        self._opa = opa
        self._clock = clock
        self._verification = verification
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._owner = -1
        self._child: subprocess.Popen[bytes] | None = None
        self._log = log

    @property
    def socket(self) -> Path:
        """Where OPA listens."""
        if self._folder is None:
            raise PolicyUnavailableError("OPA is not running")
        return self._folder / "s"

    @property
    def pid(self) -> int:
        """OPA's process id; 0 when it is not running."""
        return self._child.pid if self._child else 0

    def alive(self) -> bool:
        """True while the process exists; a hung one is alive (see `healthy`)."""
        child = self._child
        return child is not None and child.poll() is None

    def healthy(self, *, timeout_s: float) -> bool:
        """True when OPA answers its health check in time."""
        if not self.alive():
            return False
        with UnixOpaClient(self.socket, timeout_s=timeout_s) as client:
            return bool(client.check_health())

    def start(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start OPA and wait until it is healthy; raises `PolicyUnavailableError` quoting OPA if it is not."""
        deadline = self._clock.monotonic_ns() + round(timeout_s * _NS)
        try:
            self._launch()
            self._wait_healthy(deadline)
        except BaseException:
            self.stop()
            raise
        _living.add(self)

    def stop(self) -> None:
        """End OPA and remove all it had."""
        with self._lock:
            child, self._child = self._child, None
            folder, self._folder = self._folder, None
            owner, self._owner = self._owner, -1
        if child is not None:
            child.terminate()
            child.send_signal(signal.SIGCONT)  # a stopped process does not see SIGTERM
            try:
                child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if owner >= 0:
            os.close(owner)

    def kill(self) -> None:
        """As `stop`, without asking first: for an OPA that does not answer."""
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        self.stop()

    def _launch(self) -> None:
        base = private_dir(runtime_dir())
        sweep(base)
        folder = base / f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._owner = os.open(folder / "owner", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        archive = folder / "bundle.tar.gz"
        archive.write_bytes(self.bundle.archive)
        log = self._log or folder / "opa.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            str(self._opa), "run", "--server", "--addr", f"unix://{folder / 's'}", "--unix-socket-perm", "600",
            "--skip-version-check", "--log-level=error", "--log-format=text",
            "--optimize-store-for-read-speed", f"--shutdown-grace-period={round(STOP_TIMEOUT_S)}",
            "--bundle", str(archive),
        ]  # fmt: skip
        if self._verification is not None:
            command += ["--verification-key", str(self._verification.key), "--signing-alg", self._verification.alg]
        elif self.bundle.signed:
            command += ["--skip-verify"]
        # Nothing of our environment: OPA needs none of it, and it may hold secrets.
        env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", **_GO}
        try:
            self._child = start_child(command, env=env, log=log)
        except OSError as error:
            raise PolicyUnavailableError(f"{self._opa} cannot be started: {error}") from error
        (folder / "pid").write_text(str(self._child.pid), encoding="ascii")

    def _wait_healthy(self, deadline: int) -> None:
        child = self._child
        if child is None:
            raise PolicyUnavailableError("OPA is not running")
        with _exit_of(child) as ended, UnixOpaClient(self.socket, timeout_s=1.0) as client:
            while not client.check_health():
                if ended.poll(_POLL_MS):
                    raise PolicyUnavailableError(f"OPA ended at its start: {self._last_words()}")
                if self._clock.monotonic_ns() > deadline:
                    raise PolicyUnavailableError(f"OPA did not become healthy in time: {self._last_words()}")

    def _last_words(self) -> str:
        log = self._log or (self._folder / "opa.log" if self._folder else None)
        try:
            words = log.read_text(encoding="utf-8", errors="replace").strip() if log else ""
        except OSError:
            words = ""
        return " ".join(words[-600:].split()) or "it said nothing"


@contextlib.contextmanager
def _exit_of(child: subprocess.Popen[bytes]) -> Iterator[select.poll]:
    """A poll object that becomes ready when `child` ends: waiting on it is waiting for something."""
    descriptor = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        yield poll
    finally:
        os.close(descriptor)


def private_dir(path: Path) -> Path:
    """`path`, made if need be; raises `PolicyUnavailableError` when it belongs to someone else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.geteuid() or not path.is_dir() or path.is_symlink():
        raise PolicyUnavailableError(f"{path} is not a directory of ours; remove it or set CORDON_RUNTIME")
    return path


def sweep(base: Path) -> int:
    """Remove what processes that are no more left in `base`, and end the OPA of each that still runs; how many."""
    swept = 0
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            owner = os.open(folder / "owner", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # being made or being removed
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its owner lives
        else:
            _end_orphan(folder)
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
        finally:
            os.close(owner)
    return swept


def _end_orphan(folder: Path) -> None:
    """Kill the OPA that listens in `folder`, if it does: by pid, after a look at its command line."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "pid").read_text(encoding="ascii"))
        descriptor = os.pidfd_open(pid)
        try:
            if str(folder / "s").encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


@atexit.register
def _stop_all() -> None:
    for server in list(_living):
        server.kill()

"""The secret scanner as the reviews see it: documents in, hits out, `ScannerError` when it cannot be known.

The work is done by Kingfisher in a child process (scanner_child.py says why); this end keeps the deadlines, starts a
new child after a failure, and never learns the secrets themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from executor.clock import Clock, SystemClock
from executor.errors import BugError, OutsideError
from executor.paths import cache_dir, private_dir

CHILD: Final = Path(__file__).with_name("scanner_child.py")
RULES: Final = Path(__file__).with_name("secret_rules.yaml")
START_S: Final = 120.0
"""Seconds until the child is ready: 0.7 s with compiled rules in the cache, 6.5 s without, far more on a busy host."""
DOCUMENT_S: Final = 30.0
"""Seconds for one document: 8 MB took 0.05 s."""
MAX_ANSWER: Final = 16 << 20
"""Bytes of one answer; a document made of nothing but secrets stays below."""


class ScannerError(OutsideError):
    """The secret scanner is missing, crashed, hung or answered nonsense: nothing is known about the document."""

    code = "sentinel.scanner"


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret in a document: the rule that knew it, its title, the line (from 1) and how many characters it has."""

    rule: str
    title: str
    line: int
    length: int


class SecretScanner(Protocol):
    """Finds secrets in documents."""

    def scan(self, document: bytes) -> Sequence[Hit]:
        """The hits in `document`; raises `ScannerError`."""

    def close(self) -> None:
        """Release everything; a second call is silent."""


class KingfisherScanner:
    """Kingfisher's catalogue and `secret_rules.yaml`, in a child process. Threads may share one."""

    def __init__(
        self, *, cache: Path | None = None, clock: Clock | None = None, command: Sequence[str] | None = None
    ) -> None:
        """`cache` holds compiled rules (default: the project's cache); `command` replaces the child in tests."""
        self._clock = clock or SystemClock()
        self._command = list(command) if command is not None else None
        self._cache = cache
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the child without waiting for it, so that its second of loading overlaps with other work."""
        with self._lock:
            self._spawn()

    def scan(self, document: bytes) -> tuple[Hit, ...]:
        """The hits in `document`; raises `ScannerError`. After an error the next call starts a new child."""
        with self._lock:
            try:
                if not self._ready:
                    self._spawn()
                    self._receive("ready", START_S)
                    self._ready = True
                self._send(document)
                return tuple(Hit(*hit) for hit in self._receive("hits", DOCUMENT_S))
            except ScannerError:
                self._reap()
                raise
            except (OSError, ValueError, TypeError) as error:
                self._reap()
                raise ScannerError(f"the secret scanner failed: {type(error).__name__}") from None

    def close(self) -> None:
        """End the child; a second call is silent."""
        with self._lock:
            self._reap()

    def _spawn(self) -> None:
        if self._child is not None:
            return
        command = self._command
        if command is None:
            try:
                cache = private_dir(self._cache or cache_dir() / "secret_rules")
            except OutsideError as error:
                raise ScannerError(f"the secret scanner has no cache: {error}") from None
            command = [sys.executable, "-I", str(CHILD), str(RULES), str(cache)]
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # whatever the engine prints may quote the document
                env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
            )
        except OSError as error:
            raise ScannerError(f"cannot start the secret scanner: {error.strerror}") from None
        for stream in _pipes(child):
            os.set_blocking(stream.fileno(), False)
        self._child = child

    def _send(self, document: bytes) -> None:
        pending = memoryview(struct.pack(">I", len(document)) + document)
        until = self._until(DOCUMENT_S)
        while pending:
            try:
                pending = pending[os.write(self._fd(select.POLLOUT), pending[: 1 << 16]) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, until)

    def _receive(self, key: str, seconds: float) -> Any:
        until = self._until(seconds)
        (length,) = struct.unpack(">I", self._read(4, until))
        if length > MAX_ANSWER:
            raise ScannerError(f"the secret scanner announced an answer of {length} bytes")
        answer = json.loads(self._read(length, until))
        if not isinstance(answer, dict) or key not in answer:
            why = answer.get("error", "an answer of another form") if isinstance(answer, dict) else "no answer"
            raise ScannerError(f"the secret scanner could not do its work: {str(why)[:200]}")
        return answer[key]

    def _read(self, count: int, until: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = os.read(self._fd(select.POLLIN), count - len(data))
            except BlockingIOError:
                self._wait(select.POLLIN, until)
                continue
            if not piece:
                raise ScannerError("the secret scanner ended in the middle of its work")
            data += piece
        return bytes(data)

    def _until(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + round(seconds * 1e9)

    def _wait(self, event: int, until: int) -> None:
        left = until - self._clock.monotonic_ns()
        poller = select.poll()
        poller.register(self._fd(event), event)
        if left <= 0 or not poller.poll(-(-left // 1_000_000)):
            raise ScannerError("the secret scanner did not answer in time")

    def _fd(self, event: int) -> int:
        if self._child is None:
            raise ScannerError("the secret scanner is not running")
        to_child, from_child = _pipes(self._child)
        return (to_child if event == select.POLLOUT else from_child).fileno()

    def _reap(self) -> None:
        child, self._child, self._ready = self._child, None, False
        if child is not None:
            child.kill()
            child.wait()
            for stream in _pipes(child):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if child.stdin is None or child.stdout is None:
        raise BugError("the scanner's process was started without pipes")
    return child.stdin, child.stdout

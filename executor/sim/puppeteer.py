"""The guest's programs: real Python in a process of its own that can reach nothing but the model (docs/adr/0016).

A puppet's file calls, signals, children and clock are messages on one socket; a seccomp filter of its own leaves it
reading, writing and computing. The zygote below starts puppets by forking. It runs as nobody, with nothing open.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.sim.puppet.wire import HEAD, USUAL, answered, unpacked, whole

ZYGOTE: Final = Path(__file__).parent / "puppet" / "zygote.py"
START_S: Final = 30.0
MAX_MESSAGE: Final = 64 * 1024 * 1024
GRACE_S: Final = 0.02
"""Real seconds a puppet computes before its processor time is looked at."""
PATIENCE_S: Final = 120.0
"""Real seconds a puppet may take for what it was asked, or compute between two calls, before it counts as lost."""
_GRACE: Final = struct.pack("@ll", 0, round(GRACE_S * 1e6))
"""struct timeval: the kernel waits for a message that long, which costs no call of its own as `poll` would."""
_HEAD: Final = struct.Struct("<I")
"""In front of an order to the zygote."""


class PuppetError(OutsideError):
    """The simulator's own helper process could not be started or broke the protocol."""

    code = "sim.puppet"


class PuppetGoneError(Exception):
    """The puppet's process ended without saying so."""


class Puppet:
    """One puppet's end on this side."""

    def __init__(self, channel: socket.socket, pid: int, resumed_s: float) -> None:
        """`pid` is its real process, `resumed_s` when it began to run, as `time.perf_counter` tells it."""
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _GRACE)
        self._channel = channel
        self.pid = pid
        self.resumed_s = resumed_s
        """Since when it may be computing. Taken before it is told: it may be through before its teller runs again."""
        self._handle = os.pidfd_open(pid)

    def send(self, message: Any) -> None:
        """Let it go on with an answer; one that is gone hears nothing."""
        self.resumed_s = time.perf_counter()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(answered(message))

    def waiting(self, timeout_s: float) -> bool:
        """Whether it has said something, waiting for at most `timeout_s` of real time."""
        poll = select.poll()  # `select` itself knows no descriptor from 1024 on
        poll.register(self._channel, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def receive(self, patience_s: float = PATIENCE_S) -> Any:
        """Its next request; raises `PuppetGoneError`, also for what is no message.

        Raises `TimeoutError` when it has said nothing for `patience_s` of real time.
        """
        first = self._more(USUAL, patience_s)
        try:
            (size, _), body = whole(HEAD, first, self._more, MAX_MESSAGE)
            return unpacked(size, body)
        except (ValueError, RecursionError):
            raise PuppetGoneError from None

    def receive_child(self) -> Puppet:
        """After it was told that it may fork: the child's end."""
        size = array.array("i").itemsize
        self.waiting(PATIENCE_S)
        data, ancillary, _, _ = self._channel.recvmsg(8, socket.CMSG_SPACE(size))
        if len(data) != 8 or len(ancillary) != 1:
            raise PuppetGoneError
        handles = array.array("i", ancillary[0][2][:size])
        return Puppet(socket.socket(fileno=handles[0]), struct.unpack("<q", data)[0], self.resumed_s)

    def _more(self, most: int, patience_s: float = PATIENCE_S) -> bytes:
        """What has come. The kernel waits for `GRACE_S`, and that again until patience ends."""
        for _ in range(max(1, round(patience_s / GRACE_S))):
            try:
                piece = self._channel.recv(most)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                break
            if piece:
                return piece
            break
        else:
            raise TimeoutError
        raise PuppetGoneError

    def cpu_ns(self) -> int:
        """Real processor time it has used."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0])
        except (OSError, IndexError):
            return 0

    def memory_bytes(self) -> int:
        """Real memory, what it shares with the zygote included."""
        return memory_of(self.pid)

    def end(self) -> None:
        """Kill it; a second call is silent."""
        if self._handle < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._handle = -1
        self._channel.close()


def memory_of(pid: int) -> int:
    """Bytes of anonymous memory of a process; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * 4096


class Zygote:
    """Starts puppets. Thread-safe; one for an executor."""

    def __init__(self) -> None:
        """Start the helper and wait until it is confined and ready; raises `PuppetError`."""
        ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(ZYGOTE), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
                cwd="/",
            )
        ours.settimeout(START_S)
        try:
            ready = ours.recv(16)
        except TimeoutError:
            ready = b""
        if ready != b"ready":
            self._process.kill()
            words = self._process.communicate()[1].decode(errors="replace").strip()[-400:]
            raise PuppetError(f"the simulator's helper did not start: {words or 'no word from it'}")

        self.base_bytes = memory_of(self._process.pid)
        """What a puppet has before its program begins."""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def spawn(self, order: dict[str, Any]) -> Puppet:
        """A puppet that runs a program as `order` says."""
        begun = time.perf_counter()
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                raw = json.dumps(order, separators=(",", ":")).encode()
                socket.send_fds(self._socket, [_HEAD.pack(len(raw))], [theirs.fileno()])
                self._socket.sendall(raw)
                pid = struct.unpack("<q", self._socket.recv(8))[0]
            except (OSError, struct.error) as failure:
                raise PuppetError("the simulator's helper is gone") from failure
        return Puppet(ours, pid, begun)

    def close(self) -> None:
        """End it; a second call is silent."""
        self._socket.close()
        if self._process.poll() is None:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


class SharedZygote:
    """One helper for all executors of a process: starting it costs half a second of a processor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._users = 0
        self._zygote: Zygote | None = None

    def borrow(self) -> Zygote:
        """The helper, started by the first who asks; raises `PuppetError`. A forked process has one of its own."""
        with self._lock:
            if self._zygote is None or self._owner != os.getpid() or not self._zygote.alive:
                self._zygote, self._owner, self._users = Zygote(), os.getpid(), 0
            self._users += 1
            return self._zygote

    def give_back(self, zygote: Zygote) -> None:
        """The last one ends it."""
        with self._lock:
            if zygote is not self._zygote:
                zygote.close()
                return
            self._users -= 1
            if self._users == 0:
                self._zygote.close()
                self._zygote = None


SHARED: Final = SharedZygote()

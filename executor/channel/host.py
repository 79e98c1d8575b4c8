"""The host's end of the guest channel: a socket, read through IOGuard, framed, verified, then parsed.

The guest is the adversary here. Rules:

1. no read without tokens (`ioguard.py`), so a flood blocks the guest and not the host;
2. bytes are verified as frames before any parser sees them (`frame.py`);
3. a payload must be one known message of `FromGuest` within the bounds of `bounds.py`; anything else is a violation;
4. a frame that was begun has to arrive within a deadline that its own length earns at the guarded rate;
5. after the first violation the channel is closed and stays closed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from executor.channel import bounds
from executor.channel import channel_pb2 as pb
from executor.channel.frame import FrameError, FrameParser, encode
from executor.channel.ioguard import REFILL, IOGuard
from executor.clock import Clock
from executor.errors import FrameViolationError, GuestLostError, OutsideError

CHUNK: Final = 64 * 1024
"""Bytes of one read: what a unix socket's queue gives in one piece on Linux."""
LOW_WATER: Final = 1024
"""Bytes: below this the bucket counts as empty, else a flood would be read byte by byte as tokens trickle in."""
HIGH_WATER: Final = 16 * 1024
"""Bytes to wait for once it is empty: 64 wake-ups a second at most under a flood."""
HALF_FRAME_NS: Final = 5_000_000_000
"""A begun frame may take this long beyond the time its length needs at the guarded rate."""
SEND_NS: Final = 10_000_000_000
"""A guest that takes nothing for this long is lost."""
CONNECT_POLL_S: Final = 0.01
UNGUARDED: Final = 2**40
"""Bytes a second of a guard that holds nothing back."""


class ChannelTimeoutError(GuestLostError):
    """Nothing complete arrived before the deadline; the channel itself is still in order."""

    code = "channel.timeout"


class GuestChannel:
    """One VM's channel. Not thread-safe: the thread that runs the task owns it, `close` may come from any."""

    def __init__(
        self,
        sock: socket.socket,
        clock: Clock,
        *,
        guard: IOGuard | None = None,
        half_frame_ns: int = HALF_FRAME_NS,
    ) -> None:
        """Take over `sock` (connected); `guard` None builds the standard one."""
        self._half_frame_ns = half_frame_ns
        sock.settimeout(0)
        self._sock = sock
        self._clock = clock
        self._guard = guard or IOGuard(clock.monotonic_ns())
        self._parser = FrameParser()
        self._inbox: deque[pb.FromGuest] = deque()
        self._sent = 0
        self._received = 0
        self._begun_ns = 0
        self._throttled_ns = 0
        self._throttles = 0
        self._closed = False
        self._using = 0
        """Threads inside a call that knows the descriptor by its number."""
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, path: Path, clock: Clock, *, deadline_ns: int, guard: IOGuard | None = None) -> GuestChannel:
        """Connect to the unix socket at `path`; raises `GuestLostError` when nobody listens by `deadline_ns`."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                sock.connect(str(path))
                return cls(sock, clock, guard=guard)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if clock.monotonic_ns() >= deadline_ns:
                    sock.close()
                    raise GuestLostError(f"nobody listens at {path}: {error.strerror}") from None
                time.sleep(CONNECT_POLL_S)  # a unix socket has no "wait until it listens"; bounded by the deadline
            except OSError as error:
                sock.close()
                raise OutsideError(f"cannot connect to {path}: {error.strerror}") from None

    @property
    def checked(self) -> bool:
        """Whether what the guest says is held to the protocol; always, but in a drill."""
        return self._parser.checked

    def weaken(self, controls: Collection[str]) -> None:
        """Take `ioguard` or `channel_check` away: a drill's positive control."""
        self._parser.checked = "channel_check" not in controls
        if "ioguard" in controls:
            self._guard = IOGuard(self._clock.monotonic_ns(), refill=UNGUARDED, burst=UNGUARDED)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """While inside, `close` leaves the descriptor to whoever is: its number is another's as soon as it is free."""
        with self._lock:
            self._using += 1
        try:
            yield
        finally:
            with self._lock:
                self._using -= 1
                self._let_go()

    def _let_go(self) -> None:
        """Close the socket where nobody needs it any more. Called with the lock held."""
        if self._closed and not self._using:
            self._sock.close()

    def send(self, message: pb.ToGuest) -> None:
        """Send one message; raises `GuestLostError` when the guest is gone or takes nothing for 10 s."""
        with self._in_use():
            self._send(message)

    def _send(self, message: pb.ToGuest) -> None:
        self._sent += 1
        left = memoryview(encode(self._sent, message.SerializeToString()))
        deadline = self._clock.monotonic_ns() + SEND_NS
        while left:
            try:
                count = self._sock.send(left)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, "the guest takes no more bytes")
                continue
            except OSError as error:
                raise GuestLostError(f"the guest's channel is gone: {error.strerror}") from None
            left = left[count:]
            deadline = self._clock.monotonic_ns() + SEND_NS

    def receive(self, deadline_ns: int) -> pb.FromGuest:
        """The next message.

        Raises `ChannelTimeoutError` at `deadline_ns` (monotonic), `GuestLostError` at end of file and
        `FrameViolationError` at the first broken rule; after the last two the channel is closed.
        """
        if self._inbox:
            return self._inbox.popleft()
        with self._in_use():
            return self._receive(deadline_ns)

    def _receive(self, deadline_ns: int) -> pb.FromGuest:
        while not self._inbox:
            self._fileno()  # a closed channel says so before anything else is judged
            self._check_half_frame()
            now = self._clock.monotonic_ns()
            if now >= deadline_ns:
                raise ChannelTimeoutError("nothing complete arrived before the deadline")
            allowed = self._guard.allowance(now)
            if allowed < LOW_WATER:
                self._hold_back(deadline_ns)
                continue
            try:
                data = self._sock.recv(min(allowed, CHUNK))
            except BlockingIOError:
                self._await_bytes(deadline_ns)
                continue
            except OSError as error:
                self.close()
                raise GuestLostError(f"the guest's channel is gone: {error.strerror}") from None
            if not data:
                self.close()
                raise GuestLostError("the guest closed its channel")
            self._guard.spend(len(data))
            self._take(data)
        return self._inbox.popleft()

    def hung_up(self) -> bool:
        """Whether the other end is gone; reads nothing."""
        with self._in_use():
            if self._closed:
                return True
            poller = select.poll()
            poller.register(self._sock.fileno(), select.POLLRDHUP)
            return bool(poller.poll(0))

    def statistics(self) -> dict[str, int]:
        """Counters: bytes_received, frames_sent, throttles, throttled_ns."""
        return {
            "bytes_received": self._received,
            "frames_sent": self._sent,
            "throttles": self._throttles,
            "throttled_ns": self._throttled_ns,
        }

    def close(self) -> None:
        """Close the socket; a second call is silent. A thread waiting in `receive` gets `GuestLostError`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.clear()  # nothing of a peer that broke the protocol is acted on
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)
            self._let_go()

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        begun = self._parser.pending > 0
        try:
            for frame in self._parser.feed(data):
                message = self._parse(frame.payload) if self._parser.checked else _believed(frame.payload)
                if message is not None:
                    self._inbox.append(message)
                begun = False
        except FrameError as error:
            self.close()
            raise FrameViolationError(error.reason, f"guest channel: {error}") from None
        if self._parser.pending and not begun:
            self._begun_ns = self._clock.monotonic_ns()

    def _parse(self, payload: bytes) -> pb.FromGuest:
        message = pb.FromGuest()
        try:
            message.ParseFromString(payload)
        except DecodeError:
            self.close()
            raise FrameViolationError("bad_message", "guest channel: the payload is no message") from None
        if message.WhichOneof("body") is None:
            self.close()
            raise FrameViolationError("unknown_message", "guest channel: a message of no known kind")
        if text := bounds.fault(message):
            self.close()
            raise FrameViolationError("bad_value", f"guest channel: {text}")
        return message

    def _earned_ns(self) -> int:
        return self._half_frame_ns + self._parser.expected * 1_000_000_000 // REFILL

    def _check_half_frame(self) -> None:
        late = self._clock.monotonic_ns() - self._begun_ns > self._earned_ns()
        if self._parser.pending and late and self._parser.checked:
            self.close()
            raise FrameViolationError(
                "half_frame", f"guest channel: {self._parser.pending} bytes of a frame, then silence"
            )

    def _await_bytes(self, deadline_ns: int) -> None:
        """Wait for bytes, at most until a begun frame is overdue."""
        begun = self._parser.pending and self._parser.checked
        half = self._begun_ns + self._earned_ns() + 1 if begun else deadline_ns
        self._wait(select.POLLIN, min(deadline_ns, half), "the guest says nothing")

    def _hold_back(self, deadline_ns: int) -> None:
        """Leave the guest blocked until a useful read is paid for."""
        left = max(1, deadline_ns - self._clock.monotonic_ns())
        pause = min(self._guard.wait_ns(HIGH_WATER), left)
        self._throttles += 1
        self._throttled_ns += pause
        # Hanging up is the only thing worth waking for: level-triggered readability would spin.
        poller = select.poll()
        poller.register(self._fileno(), 0)
        poller.poll(-(-pause // 1_000_000))

    def _wait(self, what: int, deadline_ns: int, complaint: str) -> None:
        poller = select.poll()
        poller.register(self._fileno(), what)
        left = deadline_ns - self._clock.monotonic_ns()
        if left <= 0 or not poller.poll(-(-left // 1_000_000)):
            self._check_half_frame()
            raise ChannelTimeoutError(complaint)

    def _fileno(self) -> int:
        if self._closed:
            raise GuestLostError("the guest's channel is closed")
        return self._sock.fileno()


def _believed(payload: bytes) -> pb.FromGuest | None:
    """What a channel without checks makes of a payload: a message, or nothing."""
    message = pb.FromGuest()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message if message.WhichOneof("body") else None

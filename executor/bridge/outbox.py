"""Replies on their way to the one thread that owns the socket: any thread puts, that thread is woken and takes."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Final

from executor.bridge.intake import Reply

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes of output and events that may wait to be sent; what comes beyond is dropped, its result has it all."""


class Outbox:
    """Frames by the routing id they go to."""

    def __init__(self) -> None:
        """Open until `close`."""
        self._waiting: deque[tuple[bytes, Reply, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.wake_fd: Final = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False
        self.dropped = 0

    def put(self, identity: bytes, reply: Reply, *, droppable: bool = False) -> None:
        """Send `reply`; `droppable` marks what may be lost when the network is slower than the guest."""
        size = sum(len(frame) for frame in reply)
        with self._lock:
            if self._closed:
                return
            if droppable and self._bytes + size > MAX_WAITING:
                self.dropped += 1
                return
            self._waiting.append((identity, reply, size))
            self._bytes += size
            os.eventfd_write(self.wake_fd, 1)

    def wake(self) -> None:
        """Have the owner look up."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self.wake_fd, 1)

    def take(self, most: int) -> list[tuple[bytes, Reply]]:
        """At most `most` replies; the owner is woken again where there are more."""
        with self._lock:
            if not self._closed:
                try:
                    os.eventfd_read(self.wake_fd)
                except BlockingIOError:
                    return []
            found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._bytes -= sum(size for _, _, size in found)
            if self._waiting and not self._closed:
                os.eventfd_write(self.wake_fd, 1)
        return [(identity, reply) for identity, reply, _ in found]

    def close(self) -> None:
        """Take nothing more; a second call is silent."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.wake_fd)

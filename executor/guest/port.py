"""The agent's end of the guest channel: frames over a virtio-serial port. Rim: one descriptor, no decisions.

Writing never blocks the agent: frames wait in a queue while the host reads slowly, and whoever produces output stops
when `backlog` is high. One exception: the first `Ready` is written blocking, because a port without a host on the other
end cannot be polled without spinning, and there is nothing else to do. A VM is paused for cloning while it waits there.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import Final

from executor.channel import channel_pb2 as pb
from executor.channel import frame
from executor.guest.errors import FaultError

NAME: Final = "org.cordon.agent.0"
_CLASS: Final = "/sys/class/virtio-ports"
READ_BYTES: Final = 64 * 1024
WRITE_BYTES: Final = 32 * 1024
"""The driver copies at most this much in one write."""


def find_device() -> str:
    """The device node of the port named `NAME`."""
    for entry in sorted(os.listdir(_CLASS)):  # noqa: PTH208 - pathlib costs 60 ms of boot
        with open(f"{_CLASS}/{entry}/name", encoding="ascii") as name:  # noqa: PTH123 - as above
            if name.read().strip() == NAME:
                return f"/dev/{entry}"
    raise FaultError("guest.no_port", f"no virtio port is named {NAME}")


class Port:
    """Messages in and out."""

    def __init__(self, device: str) -> None:
        """Open `device`; the kernel lets only one process have it open."""
        self.fd: Final = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        self._parser = frame.FrameParser()
        self._out: deque[memoryview] = deque()
        self._sequence = 0
        self.backlog = 0
        """Bytes waiting to be written."""

    def _frame(self, message: pb.FromGuest) -> bytes:
        self._sequence += 1
        return frame.encode(self._sequence, message.SerializeToString())

    def send(self, message: pb.FromGuest) -> None:
        """Queue `message`."""
        data = self._frame(message)
        self.backlog += len(data)
        self._out.append(memoryview(data))

    def send_blocking(self, message: pb.FromGuest) -> None:
        """Write `message`, waiting for a host to connect; afterwards the port does not block any more."""
        os.set_blocking(self.fd, True)
        data = memoryview(self._frame(message))
        while data:
            data = data[os.write(self.fd, data[:WRITE_BYTES]) :]
        os.set_blocking(self.fd, False)

    def flush(self) -> None:
        """Write as much of the queue as the host takes now."""
        while self._out:
            head = self._out[0]
            try:
                done = os.write(self.fd, head[:WRITE_BYTES])
            except BlockingIOError:
                return
            self.backlog -= done
            if done == len(head):
                self._out.popleft()
            else:
                self._out[0] = head[done:]

    def flush_for(self, seconds: float) -> None:
        """Write the whole queue, giving the host at most `seconds`: for the last words before power off."""
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        self.flush()
        while self._out and time.monotonic() < until:
            poll.poll(50)
            self.flush()

    def receive(self) -> list[pb.ToGuest]:
        """The messages that are complete now; raises `FaultError` when the host broke the protocol or went away."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise FaultError("guest.host_gone", "the host closed the channel")
        found = []
        try:
            for item in self._parser.feed(data):
                message = pb.ToGuest()
                message.ParseFromString(item.payload)
                found.append(message)
        except frame.FrameError as error:
            raise FaultError(f"guest.frame_{error.reason}", str(error)) from error
        except Exception as error:  # protobuf's DecodeError: its class is not importable on the fast path
            raise FaultError("guest.bad_message", str(error)) from error
        return found

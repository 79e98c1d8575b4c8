"""The ROUTER socket and the one thread that owns it. Whatever a peer sends, this thread goes on.

What it promises:

1. only peers whose key is on the list get as far as sending a message (ZAP), and the name of that key is the sender,
2. every message is answered, a malformed one by an error,
3. a reply goes to the routing id stored with its task; when nobody is there any more it is kept for `attach`,
4. a peer that does not read costs a bounded number of messages, and nobody else waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import zmq

from executor.bridge.curve import CurvePair
from executor.bridge.intake import Reply
from executor.bridge.outbox import Outbox
from executor.bridge.wire import MAX_PAYLOAD
from executor.errors import OutsideError

HIGH_WATER: Final = 2048
"""Messages that may wait for one peer, each way: a flushed queue's refusals, and again as many."""
HEARTBEAT_MS: Final = 5_000
DEAD_MS: Final = 15_000
"""A peer that answers no heartbeat for so long is gone: its connection is closed."""
HANDSHAKE_MS: Final = 5_000
BATCH: Final = 256
"""Messages read, and replies sent, before the other side has its turn."""
SEND_MS: Final = 0
SEALING: Final = 1024
"""Bytes beyond the largest frame that are read: CURVE's command, nonce and seal count as well (33), and a frame that is
a little too large is told so; on a larger one libzmq hangs up without a word."""
_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
"""As numbers: pyzmq's enumerations cost more than the calls they are for."""

Answer = Callable[[str, bytes, Sequence[bytes]], list[Reply]]
"""(sender, routing id, frames) -> replies; never raises."""


class Server:
    """One socket of one ZAP domain. Closing twice is silent."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        pair: CurvePair,
        *,
        domain: str,
        answer: Answer,
        outbox: Outbox,
        name_of: Callable[[str], str],
        most_bytes: int = MAX_PAYLOAD,
    ) -> None:
        """Bind `endpoint` and serve; raises `OutsideError` when it cannot be had.

        `name_of` says who a User-Id is; empty, nobody.
        """
        self._answer = answer
        self._outbox = outbox
        self._name_of = name_of
        self._ending = False
        self.counts: Final = {"received": 0, "sent": 0, "undelivered": 0, "faults": 0}
        self.turns = 0
        """Goes up while the thread is well; the watchdog looks at it."""
        self._socket = context.socket(zmq.ROUTER)
        options: dict[int, Any] = {
            zmq.LINGER: 1000,
            zmq.ROUTER_MANDATORY: 1,
            zmq.SNDHWM: HIGH_WATER,
            zmq.RCVHWM: HIGH_WATER,
            zmq.SNDTIMEO: SEND_MS,
            zmq.MAXMSGSIZE: most_bytes + SEALING,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: DEAD_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
            zmq.CURVE_SERVER: 1,
            zmq.CURVE_SECRETKEY: pair.secret,
            zmq.CURVE_PUBLICKEY: pair.public,
            zmq.ZAP_DOMAIN: domain.encode(),
        }
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._socket.close(0)
            raise OutsideError(f"cannot listen on {endpoint}: {error.strerror}") from None
        self.endpoint: Final = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._thread = threading.Thread(target=self._serve, name=f"router-{domain}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what waits, stop; a second call is silent."""
        if not self._ending:
            self._ending = True
            self._outbox.wake()
            self._thread.join()
            self._outbox.close()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._outbox.wake_fd, zmq.POLLIN)
        with self._socket:
            while True:
                ready = dict(poller.poll(1000))
                self.turns += 1
                ending = self._ending
                for identity, reply in self._outbox.take(BATCH):
                    self._send(identity, reply)
                if self._socket in ready and not ending:
                    self._receive()
                if ending:
                    while waiting := self._outbox.take(BATCH):
                        for identity, reply in waiting:
                            self._send(identity, reply)
                    return

    def _receive(self) -> None:
        for _ in range(BATCH):
            try:
                frames = self._frames()
            except zmq.Again:
                return
            except zmq.ZMQError:
                self.counts["faults"] += 1
                return
            self.counts["received"] += 1
            identity = frames[0].bytes
            try:
                sender = self._name_of(str(frames[-1].get("User-Id")))
            except (zmq.ZMQError, UnicodeDecodeError):
                sender = ""
            for reply in self._answer(sender, identity, [frame.bytes for frame in frames[1:]]):
                self._send(identity, reply)

    def _frames(self) -> list[zmq.Frame]:
        """One message as it came."""
        frames = [self._socket.recv(_NOW, copy=False)]
        while frames[-1].more:
            frames.append(self._socket.recv(_NOW, copy=False))
        return frames

    def _send(self, identity: bytes, reply: Reply) -> None:
        try:
            self._socket.send(identity, _MORE)
            for frame in reply[:-1]:
                self._socket.send(frame, _MORE)
            self._socket.send(reply[-1], _NOW)
            self.counts["sent"] += 1
        except zmq.ZMQError:  # gone, or does not read: what matters is kept for `attach`
            self.counts["undelivered"] += 1

"""Answers machines' questions for names, on the gateway, over UDP and TCP. Rim: reading is `dns`.

One thread, bounded in everything: the packet filter bounds questions a second, this bounds connections and their time.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from executor.clock import Clock
from executor.network import dns
from executor.network.namespace import Namespace
from executor.network.plan import GATEWAY, Reach
from executor.network.questions import Questions

PORT: Final = 53
CONNECTIONS: Final = 16
"""TCP connections at once, all machines together; the next one is closed."""
CONNECTION_NS: Final = 2_000_000_000
"""How long a connection may last."""
WAKE_S: Final = 0.5

Forward = Callable[[bytes], bytes | None]


@dataclass(slots=True)
class Asker:
    """One machine: what it may know, and what it asked."""

    reach: Reach
    forward: Forward | None = None
    """Drills only: where names that are not in the zone are carried to (control dns_allowlist)."""
    questions: Questions = field(default_factory=Questions)


@dataclass(slots=True)
class _Connection:
    until_ns: int
    asker: Asker
    heard: bytearray = field(default_factory=bytearray)


class Answerer:
    """Answers until `close`. Thread-safe."""

    def __init__(self, inside: Namespace, clock: Clock) -> None:
        """Listen on the gateway inside a namespace. Raises `OSError`."""
        self._clock = clock
        self._askers: dict[str, Asker] = {}
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, _Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._udp = inside.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = inside.socket(socket.AF_INET, socket.SOCK_STREAM)
        for listening in (self._udp, self._tcp):
            listening.bind((str(GATEWAY), PORT))
            listening.setblocking(False)  # noqa: FBT003 - the standard library's
        self._tcp.listen(CONNECTIONS)
        for source in (self._udp, self._tcp, self._woken):
            self._selector.register(source, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="dns-answerer", daemon=True)
        self._thread.start()

    def admit(self, address: IPv4Address, asker: Asker) -> None:
        """Answer the machine at `address` from now on."""
        with self._lock:
            self._askers[str(address)] = asker

    def withdraw(self, address: IPv4Address) -> Questions:
        """Answer it no longer; what it asked."""
        with self._lock:
            asker = self._askers.pop(str(address), None)
        return asker.questions if asker else Questions()

    def close(self) -> None:
        """Stop; a second call is silent."""
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        for end in (self._udp, self._tcp, self._wake, self._woken, *self._connections):
            end.close()
        self._connections.clear()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select(WAKE_S):
                source: socket.socket = key.fileobj  # type: ignore[assignment] # only sockets are registered
                if source is self._woken:
                    return
                # A machine that resets, or whose packets find no way back, is no reason to stop answering the others.
                with contextlib.suppress(OSError):
                    self._ready(source)
            now = self._clock.monotonic_ns()
            for connection in [end for end, state in self._connections.items() if state.until_ns < now]:
                self._drop(connection)

    def _ready(self, source: socket.socket) -> None:
        if source is self._udp:
            packet, (host, port) = self._udp.recvfrom(dns.MAX_BYTES + 1)
            if (asker := self._asker(host)) and (reply := self._answer(asker, packet)):
                self._udp.sendto(reply, (host, port))
        elif source is self._tcp:
            connection, (host, _) = self._tcp.accept()
            asker = self._asker(host)
            if asker is None or len(self._connections) >= CONNECTIONS:
                connection.close()
                return
            connection.setblocking(False)  # noqa: FBT003 - the standard library's
            self._connections[connection] = _Connection(self._clock.monotonic_ns() + CONNECTION_NS, asker)
            self._selector.register(connection, selectors.EVENT_READ)
        else:
            self._read(source)

    def _read(self, connection: socket.socket) -> None:
        """One question a connection: two bytes of length, then the packet (RFC 1035 4.2.2)."""
        state = self._connections[connection]
        try:
            data = connection.recv(dns.MAX_BYTES + 3)
        except OSError:
            self._drop(connection)
            return
        state.heard += data
        wanted = int.from_bytes(state.heard[:2], "big") + 2 if len(state.heard) > 1 else dns.MAX_BYTES + 2
        if not data or wanted > dns.MAX_BYTES + 2 or len(state.heard) > wanted:
            self._drop(connection)
        elif len(state.heard) == wanted:
            reply = self._answer(state.asker, bytes(state.heard[2:]))
            if reply:
                with contextlib.suppress(OSError):
                    connection.send(len(reply).to_bytes(2, "big") + reply)
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._connections.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()

    def _asker(self, host: str) -> Asker | None:
        with self._lock:
            return self._askers.get(host)

    @staticmethod
    def _answer(asker: Asker, packet: bytes) -> bytes | None:
        answer = dns.answer(packet, asker.reach.zone)
        asker.questions.add(answer)
        if asker.forward and answer and answer.rcode == dns.NXDOMAIN:
            return asker.forward(packet)
        return answer.reply if answer else None

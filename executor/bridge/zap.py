"""Who may connect: a ZAP handler (RFC 27/ZAP) on a thread of its own, asked by libzmq during every CURVE handshake.

A peer has proved by then that it holds the secret half of the key it shows; here it is decided whether that key is on
the list of the socket's domain. Key and name become the connection's User-Id: what a message says about its sender does
not matter, and a key that was taken off the list since is told from one that is on it (`name_of`). Anything that is
not exactly a CURVE request for a known domain is refused (400). While a domain is shut everybody is sent away for now
(300): the peer is disconnected without a word and tries again by itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Final

import zmq
from zmq.utils import z85

ENDPOINT: Final = "inproc://zeromq.zap.01"
VERSION: Final = b"1.0"
MAX_FRAME: Final = 255
"""Bytes of a request's frame: libzmq's own limits are lower."""
_FRAMES: Final = 7
"""version, request id, domain, address, routing id, mechanism, client key."""

Allowlist = Mapping[bytes, str]
"""CURVE public key (Z85) -> the name its holder goes by."""


class Authenticator:
    """Answers handshakes until closed.

    Make it before any socket is bound: where nobody answers for a domain libzmq lets peers in.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], lists: Mapping[str, Allowlist]) -> None:
        """`lists`: the allowlist of each ZAP domain."""
        self._lists = dict(lists)
        self._names = _names(self._lists)
        self._shut: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._counts = {"accepted": 0, "refused": 0}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._closed = False
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ENDPOINT)
        self._thread = threading.Thread(target=self._serve, name="zap", daemon=True)
        self._thread.start()

    def shut(self, domain: str, *, closed: bool) -> None:
        """Refuse every new connection of `domain`, or take them again."""
        with self._lock:
            self._shut = self._shut | {domain} if closed else self._shut - {domain}

    def set_list(self, domain: str, allowlist: Allowlist) -> None:
        """From now on `domain`'s list is `allowlist`, for those that are connected as well."""
        with self._lock:
            self._lists = {**self._lists, domain: dict(allowlist)}
            self._names = _names(self._lists)

    def name_of(self, domain: str, user_id: str) -> str:
        """Who a connection with `user_id` is; empty when its key is not on the list (any more)."""
        return self._names.get((domain, user_id), "")

    def statistics(self) -> dict[str, int]:
        """Handshakes accepted and refused."""
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        """Stop answering; a second call is silent."""
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    def judge(self, frames: list[bytes]) -> tuple[bytes, str]:
        """The request's id to answer to, and the peer's User-Id; an empty one refuses. Never raises."""
        request = frames[1] if len(frames) > 1 else b""
        if len(frames) != _FRAMES or frames[0] != VERSION or any(len(frame) > MAX_FRAME for frame in frames):
            return request, ""
        domain, mechanism, key = frames[2].decode("latin-1"), frames[5], frames[6]
        if mechanism != b"CURVE" or len(key) != 32:
            return request, ""
        shown = z85.encode(key)
        name = self._lists.get(domain, {}).get(shown, "")
        return request, _user_id(shown, name) if name else ""

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        with self._socket:
            while True:
                ready = dict(poller.poll())
                if self._wake in ready:
                    return
                frames = self._socket.recv_multipart()
                with self._lock:
                    request, name = self.judge(frames)
                    later = bool(name) and frames[2].decode("latin-1") in self._shut
                    name = "" if later else name
                    self._counts["accepted" if name else "refused"] += 1
                status = (b"200", b"OK") if name else (b"300", b"not now") if later else (b"400", b"not on the list")
                with contextlib.suppress(zmq.ZMQError):
                    self._socket.send_multipart([VERSION, request, *status, name.encode(), b""])


def _user_id(key: bytes, name: str) -> str:
    """Of one key and one name: whoever has another key, or another name with the same one, has another."""
    return f"{key.decode('ascii')} {name}"


def _names(lists: Mapping[str, Allowlist]) -> dict[tuple[str, str], str]:
    """(domain, User-Id) -> name."""
    return {(domain, _user_id(key, name)): name for domain, some in lists.items() for key, name in some.items()}

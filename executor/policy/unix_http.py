"""A requests adapter over a unix socket: one exchange, one write, one deadline, a bounded answer.

urllib3 could be taught unix sockets too (in half the lines), but it bounds each wait and not the whole, reads answers
of any length, and writes head and body apart, which wakes OPA twice: with requests' own work 1 ms more per decision.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

CONNECTIONS: Final = 32
"""Kept open at most: twice the sixteen clients of the concurrency bar."""
ANSWER_MOST: Final = 4 * 1024 * 1024
"""Bytes of an answer; a decision is a few KiB, all modules of a policy some hundred."""
_READ: Final = 64 * 1024


class UnixAdapter(BaseAdapter):
    """Sends every request to one socket, whatever its URL's host says. Thread-safe; never tries twice."""

    def __init__(self, path: str) -> None:
        """`path` of the socket."""
        super().__init__()
        self._path = path
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - the signature is requests'
        timeout: Any = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002 - as above
        cert: Any = None,  # noqa: ARG002 - as above
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - as above
    ) -> requests.Response:
        """The answer to `request`, whole, within `timeout` seconds."""
        deadline = time.monotonic() + float(timeout)  # of a socket, beneath what the Clock rules
        try:
            connection = self._connect(deadline)
            try:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                connection.sendall(_message(request))
                status, headers, body, reusable = _Answer(connection, deadline).read()
            except BaseException:
                connection.close()
                raise
        except TimeoutError as error:
            raise requests.Timeout("no answer in time", request=request) from error
        except OSError as error:
            raise requests.ConnectionError(str(error), request=request) from error
        except ValueError as error:
            raise requests.exceptions.InvalidHeader(f"not HTTP: {error}", request=request) from error
        self._keep(connection, reusable=reusable)
        return _response(request, status, headers, body)

    def close(self) -> None:
        """Close what is idle; what is in use is closed by its user."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self, deadline: float) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, connection: socket.socket, *, reusable: bool) -> None:
        with self._lock:
            if reusable and len(self._idle) < CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()


def _message(request: requests.PreparedRequest) -> bytes:
    body = request.body or b""
    raw = body.encode() if isinstance(body, str) else body
    head = f"{request.method} {request.path_url} HTTP/1.1\r\nHost: opa\r\nContent-Length: {len(raw)}\r\n"
    if raw:
        head += "Content-Type: application/json\r\n"
    return f"{head}\r\n".encode("ascii") + raw


class _Answer:
    """One HTTP/1.1 answer being read. ValueError: it is not one, or one that is too long."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""
        self._taken = 0

    def read(self) -> tuple[int, dict[str, str], bytes, bool]:
        """Status, headers (names in lower case), body, and whether the connection may be used again."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = head[0].split(" ", 2)
        if version != "HTTP/1.1" or len(status) != len("200") or not status.isdecimal():
            raise ValueError("no HTTP/1.1 status line")
        headers: dict[str, str] = {}
        for line in head[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("a header without a colon")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        else:
            length = headers.get("content-length", "")
            if not length.isdecimal():
                raise ValueError("an answer of no known length")
            body = self._exactly(int(length))
        reusable = headers.get("connection", "").lower() != "close" and not self._buffer
        return int(status), headers, body, reusable

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").split(b";", 1)[0], 16):
            body += self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise ValueError("a chunk without an end")
        while self._until(b"\r\n"):
            pass
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        if count > ANSWER_MOST:
            raise ValueError("an answer that is too long")
        while len(self._buffer) < count:
            self._more()
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def _more(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        data = self._connection.recv(_READ)
        if not data:
            raise ConnectionResetError("OPA closed the connection")
        self._taken += len(data)
        if self._taken > ANSWER_MOST:
            raise ValueError("an answer that is too long")
        self._buffer += data


def _response(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = "utf-8"
    response.url = request.url or ""
    response.request = request
    response._content = body  # noqa: SLF001 - requests has no public way to hand over a body that was read
    return response

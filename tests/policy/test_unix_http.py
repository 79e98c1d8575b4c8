"""The client against servers that misbehave: every one ends in an error of its kind, within the deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from executor.policy.client import UnixOpaClient
from executor.policy.unix_http import ANSWER_MOST

Play = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(path: Path, play: Play) -> Iterator[None]:
    """A server on `path` that hands each connection to `play`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    play(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def says(answer: bytes) -> Play:
    """Read one request, answer, close."""

    def play(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return play


def drips(connection: socket.socket) -> None:
    """A byte now and then, for ever: each wait is short, the whole is not."""
    connection.recv(65536)
    connection.sendall(OK + b"Content-Length: 1000000\r\n\r\n")
    waiting = threading.Event()
    while not waiting.wait(0.02):
        connection.sendall(b" ")


def is_silent(connection: socket.socket) -> None:
    """Never a word; ends when the client has gone."""
    while connection.recv(65536):
        pass


def floods(connection: socket.socket) -> None:
    """More than any answer may have."""
    connection.recv(65536)
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + 65536 * b" " + b"\r\n")


def test_answers_are_read_whole(tmp_path: Path) -> None:
    """Both ways of framing a body give the same value, also when it comes in pieces."""
    chunked = (
        OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\n" + b'{"resul' + b"\r\n6;x=y\r\n" + b't": 1}' + b"\r\n0\r\n\r\n"
    )
    for number, answer in enumerate([OK + b"Content-Length: 13\r\n\r\n" + b'{"result": 1}', chunked]):
        path = tmp_path / str(number)
        with server(path, says(answer)), UnixOpaClient(path, timeout_s=5) as client:
            assert client.ask({}) == {"result": 1}


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (says(b""), requests.ConnectionError),
        (says(OK), requests.ConnectionError),
        (says(OK + b"Content-Length: 50\r\n\r\n{"), requests.ConnectionError),
        (says(b"SSH-2.0-OpenSSH\r\n\r\n"), requests.exceptions.InvalidHeader),
        (says(b"HTTP/1.1 2x0 OK\r\n\r\n"), requests.exceptions.InvalidHeader),
        (says(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), requests.exceptions.InvalidHeader),
        (says(OK + b"\r\n{}"), requests.exceptions.InvalidHeader),
        (says(OK + b"Content-Length: -1\r\n\r\n{}"), requests.exceptions.InvalidHeader),
        (says(OK + f"Content-Length: {ANSWER_MOST + 1}\r\n\r\n".encode()), requests.exceptions.InvalidHeader),
        (says(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), requests.exceptions.InvalidHeader),
        (says(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX"), requests.exceptions.InvalidHeader),
        (says(OK + b"Content-Length: 1\r\n\r\n{"), requests.JSONDecodeError),
        (says(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}"), requests.HTTPError),
        (floods, requests.exceptions.InvalidHeader),
        (drips, requests.Timeout),
        (is_silent, requests.Timeout),
    ],
    ids=[
        "nothing", "head only", "half a body", "not HTTP", "no status", "no colon", "no length", "negative", "too long",
        "no chunk", "no end of chunk", "not JSON", "error", "flood", "drip", "silence",
    ],
)  # fmt: skip
def test_misbehaviour_is_an_error_of_its_kind(tmp_path: Path, play: Play, error: type[Exception]) -> None:
    """Nothing but a whole answer is an answer, and no server holds a client past its deadline."""
    path = tmp_path / "s"
    began = time.monotonic()
    slow = error is requests.Timeout
    with server(path, play), UnixOpaClient(path, timeout_s=0.5 if slow else 20) as client:
        with pytest.raises(error):
            client.ask({})
        took = time.monotonic() - began
    assert not slow or took < 5


def test_nobody_there(tmp_path: Path) -> None:
    """No socket is a connection error at once."""
    with UnixOpaClient(tmp_path / "s", timeout_s=5) as client, pytest.raises(requests.ConnectionError):
        client.ask({})

"""Downloads: over TLS, with a deadline, a size limit, and a digest that must fit before anything is used."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, TypeVar

from provision import shell

_TIMEOUT_S: Final = 30.0
"""Seconds without a byte after which a server counts as gone."""
_CHUNK: Final = 1024 * 1024
_SERVER_FAULT: Final = 500

Result = TypeVar("Result")


def text(url: str, *, limit: int = 64 * 1024, pause: Callable[[float], None] = time.sleep) -> str:
    """A small text file, for example a published checksum."""
    return _tries(url, lambda: _read(url, limit), pause).decode("utf-8", "replace")


def file(url: str, target: Path, sha256: str, *, limit: int, pause: Callable[[float], None] = time.sleep) -> None:
    """Download `url` to `target`; raises `Failure` when it is not there, over `limit` bytes, or its digest differs."""

    def load() -> None:
        digest, size = hashlib.sha256(), 0
        with _open(url) as answer, target.open("wb") as out:
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise shell.Failure(f"{url} is larger than the {limit} bytes expected; it was not used")
                digest.update(chunk)
                out.write(chunk)
        if not hmac.compare_digest(digest.hexdigest(), sha256.lower()):
            target.unlink()
            raise shell.Failure(f"{url} has sha256 {digest.hexdigest()}, not {sha256}; it was not used")

    _tries(url, load, pause)


def _open(url: str) -> IO[bytes]:
    if not url.startswith("https://"):
        raise shell.Failure(f"{url} is not fetched over TLS")
    answer: IO[bytes] = urllib.request.urlopen(url, timeout=_TIMEOUT_S)  # noqa: S310 - checked one line above
    return answer


def _read(url: str, limit: int) -> bytes:
    with _open(url) as answer:
        data: bytes = answer.read(limit + 1)
    if len(data) > limit:
        raise shell.Failure(f"{url} is larger than the {limit} bytes expected; it was not used")
    return data


def _tries(url: str, load: Callable[[], Result], pause: Callable[[float], None]) -> Result:
    """`load()`, again when the connection failed; a server that says no (4xx) is not asked again."""
    for attempt in range(shell.TRIES):
        try:
            return load()
        except urllib.error.HTTPError as error:
            if error.code < _SERVER_FAULT or attempt == shell.TRIES - 1:
                raise shell.Failure(f"{url}: the server answered {error.code} {error.reason}") from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, socket.gaierror) or attempt == shell.TRIES - 1:
                raise shell.Failure(f"{url} cannot be reached: {reason}") from error
        pause(shell.PAUSES_S[attempt])
    raise AssertionError("the last try returns or raises")

"""The one place where OPA is spoken to: opa-python-client over a unix socket, without retries, proxies or redirects."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import requests
import urllib3
from opa_client import OpaClient
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

CONNECTIONS: Final = 32
"""Kept open at most: twice the sixteen clients of the concurrency bar."""
DECISION: Final = ("cordon", "decision")


class _UnixConnection(HTTPConnection):
    """HTTP over the socket at `path`."""

    def __init__(self, path: str, timeout: Any = None) -> None:
        super().__init__("opa", timeout=timeout)
        self._path = path

    def _new_conn(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection


class _UnixPool(HTTPConnectionPool):
    """Connections to one socket."""

    def __init__(self, path: str) -> None:
        super().__init__("opa", maxsize=CONNECTIONS, block=False)
        self._path = path

    def _new_conn(self) -> _UnixConnection:
        self.num_connections += 1
        return _UnixConnection(self._path, timeout=self.timeout.connect_timeout)


class _UnixAdapter(HTTPAdapter):
    """Sends every request to one socket, whatever its URL says."""

    def __init__(self, path: str) -> None:
        super().__init__(max_retries=urllib3.Retry(0, read=False))
        self._pool = _UnixPool(path)

    def get_connection_with_tls_context(self, *_args: Any, **_kwargs: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


class UnixOpaClient(OpaClient):  # type: ignore[misc] - opa-python-client has no types
    """opa-python-client on a unix socket. Thread-safe: the pool hands each request a connection of its own."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """`path`: OPA's socket; `timeout_s` bounds connecting and each wait for bytes."""
        self._path = str(path)
        super().__init__(host="opa", port=80, retries=0, timeout=timeout_s)

    def _init_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no proxies, no .netrc, no certificates from the environment
        session.max_redirects = 0
        session.mount("http://", _UnixAdapter(self._path))
        return session

    def ask(self, document: dict[str, Any]) -> Any:
        """The body of OPA's answer to `document`; raises `requests.RequestException` when there is none."""
        return self.query_rule(document, "/".join(DECISION[:-1]), DECISION[-1])

    def modules(self) -> list[bytes]:
        """The source of every Rego module OPA has loaded, sorted."""
        answer = self._session.get(f"{self.root_url}/policies", timeout=self.timeout)
        answer.raise_for_status()
        return sorted(module["raw"].encode() for module in answer.json()["result"])

    def document(self, path: str) -> Any:
        """The data document at `path` (slashes) as loaded; KeyError when there is none."""
        answer = self._session.get(f"{self.root_url}/data/{path}", timeout=self.timeout)
        answer.raise_for_status()
        return answer.json()["result"]

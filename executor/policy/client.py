"""The one place where OPA is spoken to: opa-python-client over a unix socket, without retries, proxies or redirects."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Final

import requests

from executor.policy.unix_http import UnixAdapter


def _synchronous_client() -> Any:
    """opa-python-client's `OpaClient`, without what the package imports beside it.

    Its `__init__` imports the asynchronous client too, and with it aiohttp: 0.3 s of processor time in every process.
    So the module is imported into a package that has not been run. Whoever imports the package later gets it whole.
    """
    found = importlib.util.find_spec("opa_client")
    if "opa_client" in sys.modules or found is None:
        return importlib.import_module("opa_client.opa").OpaClient
    sys.modules["opa_client"] = importlib.util.module_from_spec(found)
    try:
        return importlib.import_module("opa_client.opa").OpaClient
    finally:
        del sys.modules["opa_client"]


_OpaClient: Any = _synchronous_client()

PACKAGE: Final = "cordon"
RULE: Final = "decision"


class _Session(requests.Session):
    """What opa-python-client posts through, less what requests does for the web: cookies, redirects, proxies."""

    def post(self, url: str | bytes, data: Any = None, json: Any = None, **kwargs: Any) -> requests.Response:  # noqa: ARG002 - the signature is requests'
        """One POST of `json`."""
        return self._exchange("POST", str(url), _encode(json), kwargs["timeout"])

    def get(self, url: str | bytes, **kwargs: Any) -> requests.Response:
        """One GET."""
        return self._exchange("GET", str(url), None, kwargs["timeout"])

    def _exchange(self, method: str, url: str, body: bytes | None, timeout: float) -> requests.Response:
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, body
        return self.get_adapter(url).send(request, timeout=timeout)


class UnixOpaClient(_OpaClient):  # type: ignore[misc] # opa-python-client has no types
    """opa-python-client on a unix socket. Thread-safe: each request has a connection of its own while it lasts."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        """`path`: OPA's socket; `timeout_s` bounds each question and its answer as a whole."""
        self._path = str(path)
        super().__init__(host="opa", port=80, retries=0, timeout=timeout_s)

    def _init_session(self) -> requests.Session:
        session = _Session()
        session.trust_env = False
        session.mount("http://", UnixAdapter(self._path))
        return session

    def ask(self, document: dict[str, Any]) -> Any:
        """The body of OPA's answer to `document`; raises `requests.RequestException` when there is none."""
        return self.query_rule(document, PACKAGE, RULE)

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


def _encode(value: Any) -> bytes:
    """JSON as OPA takes it: ASCII, so that no string can be unencodable; never NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")

"""The policy engine: one question in, one `Decision` out, whatever state OPA is in.

Rules: nothing but a well-formed answer of the policy that was loaded is a decision; everything else is `malformed`,
with its cause, and denies. A sick OPA is replaced, never trusted again; no question is asked twice, so that one
decision in the audit trail is one decision made. A reload loads beside the running OPA and changes over, or leaves
all as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import requests
import yaml

from executor import yaml_text
from executor.clock import Clock, SystemClock
from executor.errors import InvalidInputError, OutsideError, PolicyUnavailableError
from executor.policy.bundle import Bundle, Verification, load_bundle
from executor.policy.client import UnixOpaClient
from executor.policy.decision import Decision, MalformedDecisionError, malformed, parse_decision
from executor.policy.find import find_opa
from executor.policy.request import DecisionRequest
from executor.policy.schema import InputSchema
from executor.policy.server import OpaServer

DECISION_TIMEOUT_S: Final = 2.0
"""A decision takes about a millisecond; a thousand times that is sick."""
PROBE_TIMEOUT_S: Final = 0.5
RETRY_AFTER_S: Final = 1.0
"""A start that failed is not tried again before this."""
NO_DIGEST: Final = "sha256:" + 64 * "0"
"""Stands for the policy where none is loaded."""
_NS: Final = 1_000_000_000

EventSink = Callable[[str, Mapping[str, Any]], None]
"""Takes an event's name, `policy_event.LOADED`, and its data: `policy_digest`, `cause` (start, reload, recovered)."""


class _Loaded:
    """One OPA with what was loaded into it; stopped when it is retired and its last question has been answered."""

    def __init__(self, server: OpaServer, client: UnixOpaClient, schema: InputSchema) -> None:
        self.server = server
        self.client = client
        self.schema = schema
        self.digest = server.bundle.digest
        self.users = 0
        self.retired = False


class PolicyEngine:
    """Asks a child OPA. Thread-safe."""

    def __init__(
        self,
        policies_dir: Path,
        *,
        clock: Clock | None = None,
        on_event: EventSink | None = None,
        opa: Path | None = None,
        verification: Verification | None = None,
        timeout_s: float = DECISION_TIMEOUT_S,
        log: Path | None = None,
    ) -> None:
        """Start OPA with the policies in `policies_dir` (a directory, or a bundle archive).

        With `verification` only a bundle signed with that key is loaded. Raises `PolicyUnavailableError` when OPA or
        the policies cannot be had.
        """
        self._source = policies_dir
        self._clock: Clock = clock or SystemClock()
        self._on_event = on_event or (lambda _name, _data: None)
        self._opa = opa
        self._verification = verification
        self._timeout_s = timeout_s
        self._log = log
        self._lock = threading.Lock()
        self._changing = threading.RLock()
        self._closed = False
        self._failed_at = -1
        self._counts = {"allow": 0, "deny": 0, "malformed": 0, "starts": 0, "recoveries": 0}
        self._bundle = load_bundle(policies_dir)
        self._loaded: _Loaded | None = self._start(self._bundle)
        self._announce("start")

    @property
    def digest(self) -> str:
        """The digest of what OPA has loaded; of what it will load again while it is down."""
        return self._bundle.digest

    @property
    def opa_pid(self) -> int:
        """The child's process id; 0 while it is down."""
        loaded = self._loaded
        return loaded.server.pid if loaded else 0

    def is_current(self, decision: Decision) -> bool:
        """True when `decision` was made by the policy that is loaded now; otherwise it has to be made again."""
        return decision.verdict != "malformed" and decision.policy_digest == self.digest

    def decide(self, request: DecisionRequest) -> Decision:
        """The policy's answer to `request`, now. Never raises for a sick OPA: that is a `malformed` decision."""
        return self.decide_document(request.document(now=self._clock.now_ns() // _NS))

    def decide_document(self, document: Mapping[str, Any]) -> Decision:
        """As `decide`, for an input that is at hand as a document: a recorded one, or one read from a file."""
        began = self._clock.monotonic_ns()
        loaded = self._acquire()
        if loaded is None:
            return self._count(self._malformed("unavailable", "no policy engine is running", began, self.digest))
        sick = False
        try:
            decision, sick = self._ask(loaded, document, began)
        finally:
            self._release(loaded)
        if sick:
            self._heal(loaded)
        return self._count(decision)

    def reload(self) -> str:
        """Load the policies anew and change over; the new digest. On failure the old ones stay and this raises."""
        with self._changing:
            if self._closed:
                raise PolicyUnavailableError("the policy engine is closed")
            bundle = load_bundle(self._source)
            fresh = self._start(bundle)
            self._swap(fresh, bundle)
        self._announce("reload")
        return bundle.digest

    def statistics(self) -> dict[str, Any]:
        """Counts of verdicts, starts and recoveries since the start, and the digest."""
        with self._lock:
            return {**self._counts, "policy_digest": self.digest}

    def close(self) -> None:
        """Stop OPA; a second call is silent. Decisions after it are malformed."""
        with self._changing:
            self._closed = True
            with self._lock:
                loaded, self._loaded = self._loaded, None
            if loaded is not None:
                _stop(loaded)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _ask(self, loaded: _Loaded, document: Mapping[str, Any], began: int) -> tuple[Decision, bool]:
        """The decision, and whether OPA has to be looked after."""
        try:
            loaded.schema.validate(document)
            result = _result(loaded.client, document)
            decision = parse_decision(result, duration_ns=self._clock.monotonic_ns() - began)
        except InvalidInputError as error:
            return self._malformed("input_invalid", str(error), began, loaded.digest), False
        except MalformedDecisionError as error:
            message = f"the policy's answer is not a decision: {error}"
            return self._malformed("garbage", message, began, loaded.digest), False
        except _NoAnswerError as error:
            return self._malformed(error.cause, str(error), began, loaded.digest), error.sick
        if decision.policy_digest != loaded.digest:
            message = "the answer is of another policy than the one that was loaded"
            return self._malformed("digest_mismatch", message, began, loaded.digest), True
        return decision, False

    def _malformed(self, cause: str, message: str, began: int, digest: str) -> Decision:
        took = self._clock.monotonic_ns() - began
        return malformed(cause, message, policy_digest=digest, duration_ns=took)

    def _count(self, decision: Decision) -> Decision:
        with self._lock:
            self._counts[decision.verdict] += 1
        return decision

    def _acquire(self) -> _Loaded | None:
        """What is loaded, marked as in use; None while OPA is down and cannot be started."""
        if (loaded := self._borrow()) is not None:
            return loaded
        self._recover()
        return self._borrow()

    def _borrow(self) -> _Loaded | None:
        with self._lock:
            if self._loaded is not None:
                self._loaded.users += 1
            return self._loaded

    def _release(self, loaded: _Loaded) -> None:
        with self._lock:
            loaded.users -= 1
            last = loaded.retired and loaded.users == 0
        if last:
            _stop(loaded)

    def _heal(self, sick: _Loaded) -> None:
        """Replace `sick` unless it turns out well or was replaced already."""
        with self._changing:
            if self._loaded is not sick or sick.server.healthy(timeout_s=PROBE_TIMEOUT_S):
                return
            with self._lock:
                self._loaded = None
            sick.server.kill()
            sick.client.close_connection()
        self._recover()

    def _recover(self) -> None:
        """Start OPA again with the policies that were loaded, if it is down and the last try is long enough ago."""
        with self._changing:
            if self._closed or self._loaded is not None:
                return
            now = self._clock.monotonic_ns()
            if self._failed_at >= 0 and now - self._failed_at < RETRY_AFTER_S * _NS:
                return
            try:
                fresh = self._start(self._bundle)
            except PolicyUnavailableError:
                self._failed_at = now
                return
            self._failed_at = -1
            with self._lock:
                self._loaded = fresh
                self._counts["recoveries"] += 1
        self._announce("recovered")

    def _swap(self, fresh: _Loaded, bundle: Bundle) -> None:
        with self._lock:
            old, self._loaded, self._bundle = self._loaded, fresh, bundle
            idle = False
            if old is not None:
                old.retired = True
                idle = old.users == 0
        if old is not None and idle:
            _stop(old)

    def _start(self, bundle: Bundle) -> _Loaded:
        """A running OPA that has proved to have loaded exactly `bundle`."""
        if self._verification is not None and not bundle.signed:
            raise PolicyUnavailableError("the policies are not signed, and only signed ones are accepted here")
        schema = InputSchema(bundle.input_schema)
        server = OpaServer(
            self._opa or find_opa(), bundle, clock=self._clock, verification=self._verification, log=self._log
        )
        server.start()
        client = UnixOpaClient(server.socket, timeout_s=self._timeout_s)
        try:
            _verify_loaded(client, bundle)
        except BaseException:
            client.close_connection()
            server.kill()
            raise
        with self._lock:
            self._counts["starts"] += 1
        return _Loaded(server, client, schema)

    def _announce(self, cause: str) -> None:
        self._on_event("policy_event.LOADED", {"policy_digest": self.digest, "cause": cause})


def _stop(loaded: _Loaded) -> None:
    loaded.client.close_connection()
    loaded.server.stop()


class _NoAnswerError(OutsideError):
    """There is no answer to judge; `sick`: OPA has to be looked after, it is not the policy that said this."""

    def __init__(self, cause: str, message: str, *, sick: bool) -> None:
        super().__init__(message)
        self.cause = cause
        self.sick = sick


def _result(client: UnixOpaClient, document: Mapping[str, Any]) -> object:
    """What OPA answers to `document`, whatever it is; raises `_NoAnswerError` when it answers nothing."""
    try:
        body = client.ask(dict(document))
    except requests.Timeout as error:
        raise _NoAnswerError("timeout", f"OPA did not answer within {client.timeout} s", sick=True) from error
    except requests.HTTPError as error:
        raise _NoAnswerError(*_http_cause(error), sick=False) from error
    except (requests.JSONDecodeError, requests.exceptions.InvalidHeader) as error:
        raise _NoAnswerError("garbage", f"OPA answered something that is no answer: {error}", sick=True) from error
    except (requests.RequestException, OSError) as error:
        raise _NoAnswerError("unreachable", f"OPA cannot be reached: {type(error).__name__}", sick=True) from error
    if not isinstance(body, dict) or body.keys() - {"result"}:
        raise _NoAnswerError("garbage", "OPA answered something that is not a result", sick=True)
    if "result" not in body:
        raise _NoAnswerError("undefined", "the policy has no answer: cordon/decision is undefined", sick=False)
    return body["result"]


def _http_cause(error: requests.HTTPError) -> tuple[str, str]:
    """Cause and message for an answer that is an HTTP error: OPA says what went wrong in the evaluation."""
    if "conflict" in error.response.text[:2000]:
        return "conflict", "the policy contradicts itself: rules with different values for one document"
    return "error", f"OPA answered with HTTP status {error.response.status_code}"


def _verify_loaded(client: UnixOpaClient, bundle: Bundle) -> None:
    """Return when OPA says that it has loaded `bundle` and nothing else; raise `PolicyUnavailableError` otherwise."""
    try:
        stamp = client.document("cordon/stamp")
        modules = tuple(client.modules())
        for path, content in bundle.files.items():
            if path.endswith(("/data.yaml", "/data.json")):
                _verify_data(client, path, content)
    except (requests.RequestException, KeyError, TypeError, AttributeError) as error:
        raise PolicyUnavailableError(f"OPA does not say what it has loaded: {type(error).__name__}") from error
    if stamp != {"digest": bundle.digest} or modules != bundle.modules:
        raise PolicyUnavailableError("OPA has loaded something else than it was given")


def _verify_data(client: UnixOpaClient, path: str, content: bytes) -> None:
    folder = path.rpartition("/")[0]
    try:
        documents = yaml_text.load(content)
    except yaml.YAMLError as error:
        raise PolicyUnavailableError(f"{path} is not YAML: {error}") from error
    if not isinstance(documents, dict):
        raise PolicyUnavailableError(f"{path} is not a mapping")
    for key, expected in documents.items():
        if client.document(f"{folder}/{key}") != expected:
            raise PolicyUnavailableError(f"OPA reads {key} of {path} differently from how it is written")

"""The service's figures: counters and histograms it keeps, and gauges read from the parts when somebody asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric

from executor.errors import OutsideError
from executor.outcome import Outcome

NS: Final = 1_000_000_000
WAIT_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300)
RUN_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
STAGE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
MAX_REASONS: Final = 200
"""Different reason codes counted apart; a reason comes from policy or code, and yet a series is not to be endless."""

READERS: Final = 8
"""Connections at once; the next is closed. Any account of this host may connect; each takes a thread and a socket."""
READER_S: Final = 5.0
"""Seconds a reader may say nothing before its connection is closed."""


class Figures:
    """A registry of their own, so that two services in one process do not meet."""

    def __init__(self) -> None:
        """Everything at zero."""
        self.registry: Final = CollectorRegistry()
        self._outcomes = Counter(
            "cordon_tasks", "Tasks that ended, by effect.", ["effect", "priority"], registry=self.registry
        )
        self._denials = Counter("cordon_denials", "Tasks refused, by reason code.", ["reason"], registry=self.registry)
        self._breaches = Counter("cordon_breaches", "Quotas gone over, by quota.", ["quota"], registry=self.registry)
        self._aborts = Counter("cordon_aborts", "Tasks aborted, by cause.", ["cause"], registry=self.registry)
        self._broken = Counter(
            "cordon_broken_tasks", "Tasks without an outcome, by error.", ["code"], registry=self.registry
        )
        self._wait = Histogram(
            "cordon_queue_wait_seconds",
            "From acceptance to its turn.",
            ["priority"],
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._run = Histogram(
            "cordon_task_seconds", "From its turn to its outcome.", buckets=RUN_BUCKETS, registry=self.registry
        )
        self._stage = Histogram(
            "cordon_stage_seconds",
            "Stages of the path.",
            ["stage", "side"],
            buckets=STAGE_BUCKETS,
            registry=self.registry,
        )
        self._reasons: set[str] = set()

    def waited(self, priority: str, waited_ns: int) -> None:
        """A task's turn has come."""
        self._wait.labels(priority).observe(waited_ns / NS)

    def ended(self, priority: str, outcome: Outcome, took_ns: int) -> None:
        """A task has an outcome."""
        self._outcomes.labels(outcome.effect, priority).inc()
        self._run.observe(took_ns / NS)
        for stage in outcome.stages:
            name = "command" if stage.name.startswith("command.") else stage.name
            self._stage.labels(name, stage.side).observe(stage.duration_ns / NS)
        for reason in outcome.reasons:
            if outcome.effect in {"denied", "refused"}:
                self._denials.labels(self._bounded(reason)).inc()
            elif outcome.effect == "aborted":
                self._aborts.labels(self._bounded(reason)).inc()
            elif outcome.effect == "breached":
                self._breaches.labels(self._bounded(reason.removeprefix("quota."))).inc()

    def broke(self, code: str) -> None:
        """A task ended without an outcome."""
        self._broken.labels(code).inc()

    def gauges(self, read: Callable[[], Mapping[str, Any]]) -> None:
        """Tell what `read` answers too, each number as `cordon_<path>`: asked at every scrape."""
        self.registry.register(_Gauges(read))

    def _bounded(self, reason: str) -> str:
        if reason not in self._reasons and len(self._reasons) >= MAX_REASONS:
            return "other"
        self._reasons.add(reason)
        return reason


class _Gauges:
    """Numbers of a nested mapping, named by where they stand."""

    def __init__(self, read: Callable[[], Mapping[str, Any]]) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing in advance: what there is depends on the parts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One gauge for each number."""
        for name, value in sorted(flat(self._read())):
            gauge = GaugeMetricFamily(f"cordon_{name}", f"{name.replace('_', ' ')}, as the service counts it.")
            gauge.add_metric([], value)
            yield gauge


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in `values`, by the path to them; texts and lists are left out."""
    for key, value in values.items():
        name = f"{prefix}{key}".lower().replace(".", "_").replace("-", "_")
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}_")
        elif isinstance(value, (int, float)):
            yield name, float(value)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, a few of them at most: whoever holds them all keeps nobody but readers out."""

    daemon_threads = True
    request_queue_size = 64

    def server_activate(self) -> None:
        self._free = threading.BoundedSemaphore(READERS)
        super().server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that broke off is nothing to tell anybody."""


class _Handler(WSGIRequestHandler):
    timeout = READER_S

    def log_message(self, *_: Any) -> None:
        """Nothing: who reads figures is in no log."""


class Endpoint:
    """`GET /metrics` on a loopback address. Closing twice is silent."""

    def __init__(self, figures: Figures, address: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises `OutsideError` when it cannot be had."""
        try:
            server = make_server(address, port, make_wsgi_app(figures.registry), _Server, _Handler)
        except OSError as error:
            raise OutsideError(f"cannot tell metrics on {address}:{port}: {error.strerror}") from None
        self._server: WSGIServer | None = server
        self._thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        self.port: Final = int(server.server_port)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

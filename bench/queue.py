"""The queue behind its real door: CURVE, strict parse, journal.

Bars: >= 3000 submissions/s acknowledged at a depth of 1000, CRITICAL behind LOW next, the 1001st refused within 5 ms.

The executor behind it is a gate that holds every task, so that what is measured is the queue and the bridge. Client and
service are two processes, as in life; they share the machine.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.api import Engine, Request
from executor.bridge.client import BridgeClient, Submission
from executor.bridge.config import Client, Config
from executor.bridge.curve import CurvePair, make_pair
from executor.bridge.service import Service
from executor.clock import SystemClock
from executor.control.kill import KillOrder
from executor.errors import RequestRefusedError
from executor.intent import Command, Intent, Priority
from executor.keys import KeyStore
from executor.metrics.log import make_log
from executor.outcome import Outcome
from executor.svf import SvfLog

DEPTH: Final = 1000
ROUNDS: Final = 10
REFUSALS: Final = 200


class Gate:
    """Holds every task until it is opened; remembers the order in which they came."""

    engine: Engine = "sim"

    def __init__(self, audit: SvfLog) -> None:
        """Closed."""
        self.audit = audit
        self.open = threading.Event()
        self.order: list[str] = []

    def run(self, request: Request) -> Outcome:
        """Wait, then say that it is done."""
        self.order.append(request.intent.intent_id)
        self.open.wait()
        return Outcome(request.intent.intent_id, "sim", "allow", (), "completed", {}, None)

    def pause(self) -> None:
        """Nothing runs here."""

    def resume(self) -> None:
        """As `pause`."""

    def kill(self, order: KillOrder, begun: Iterable[str]) -> tuple[str, ...]:  # noqa: ARG002 - as the service asks
        """As `pause`."""
        return ()

    def statistics(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Let everything go."""
        self.open.set()


def serve(folder: str, pipe: Connection) -> None:
    """The service's process: tells its endpoint, opens and closes the gate when told to, answers with the order."""
    state, clock = Path(folder), SystemClock()
    curve = state / "keys" / "curve"
    config = Config(
        bridge_listen="tcp://127.0.0.1:*",
        bridge_key=curve / "bridge.key",
        control_listen="tcp://127.0.0.1:*",
        control_key=curve / "control.key",
        clients=(Client("cbo", (curve / "cbo.pub").read_bytes().strip(), top_priority=Priority.CRITICAL),),
        workers=1,
        metrics_listen=None,
    )
    with SvfLog.open(state / "logs" / "svf_audit", clock, KeyStore(state, clock).issuer()) as audit:
        gate = Gate(audit)
        service = Service(config, gate, state=state, clock=clock, log=make_log("json", "error"))
        pipe.send(service.bridge.endpoint)
        while (order := pipe.recv()) != "end":
            if order == "cpu":
                pipe.send(time.process_time())
            if order == "open":
                gate.open.set()
                service.intake.wait_idle(60)
                gate.open.clear()
                order_seen, gate.order = gate.order, []
                pipe.send(order_seen)
        gate.close()
        service.close()


def figures() -> list[dict[str, Any]]:
    """Rate at depth 1000, refusal latency when full, and where CRITICAL comes out."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        KeyStore(state, SystemClock()).init()
        pairs = {name: make_pair(state, name) for name in ("bridge", "control", "cbo")}
        here, there = multiprocessing.get_context("spawn").Pipe()
        service = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there))
        service.start()
        try:
            return _measured(here, here.recv(), pairs)
        finally:
            here.send("end")
            service.join(30)


def _measured(service: Connection, endpoint: str, pairs: dict[str, CurvePair]) -> list[dict[str, Any]]:
    rates: list[float] = []
    refusals: list[float] = []
    places: list[float] = []
    costs: list[float] = []
    with BridgeClient(endpoint, server_key=pairs["bridge"].public, pair=pairs["cbo"]) as client:
        for number in range(ROUNDS):
            held = client.submit(_intent(f"held-{number}", Priority.LOW), stream=False)
            held.accepted.result(30)
            before = _cpu(service)
            rates.append(_fill(client, number))
            costs.append((_cpu(service) - before) / DEPTH * 1e6)
            refusals += [_refused_ms(client, f"over-{number}-{extra}") for extra in range(REFUSALS // ROUNDS)]
            service.send("open")
            order = service.recv()
            places.append(order.index(f"urgent-{number}") - order.index(f"held-{number}"))
    return [
        spread("queue.submit_acknowledged", "1/s", rates),
        spread("queue.submit_service_cpu", "us", costs),
        spread("queue.refused_when_full", "ms", refusals),
        spread("queue.critical_starts_after", "tasks", places),
    ]


def _cpu(service: Connection) -> float:
    """Seconds of processor the service has used: says more than a rate on a host that does other things too."""
    service.send("cpu")
    return float(service.recv())


def _fill(client: BridgeClient, number: int) -> float:
    """Fill the queue with LOW and one CRITICAL last; acknowledged submissions a second."""
    intents = [_intent(f"low-{number}-{place}", Priority.LOW) for place in range(DEPTH - 1)]
    intents.append(_intent(f"urgent-{number}", Priority.CRITICAL))
    begun = time.perf_counter()
    tasks: list[Submission] = [client.submit(intent, stream=False) for intent in intents]
    done, late = wait([task.accepted for task in tasks], 60)
    took = time.perf_counter() - begun
    if late or any(future.exception() for future in done):
        raise RuntimeError("not every submission was acknowledged")
    return DEPTH / took


def _refused_ms(client: BridgeClient, name: str) -> float:
    """Milliseconds from submitting to the refusal; the queue is full."""
    begun = time.perf_counter()
    error = client.submit(_intent(name, Priority.CRITICAL), stream=False).accepted.exception(30)
    took = (time.perf_counter() - begun) * 1000
    if not isinstance(error, RequestRefusedError) or error.status != 503:
        raise RuntimeError(f"the queue was not full: {error}")
    return took


def _intent(intent_id: str, priority: Priority) -> Intent:
    return Intent(intent_id, "cbo", (Command(("echo", "hello")),), priority=priority)


if __name__ == "__main__":
    json.dump(figures(), sys.stdout, indent=2)
    sys.stdout.write("\n")

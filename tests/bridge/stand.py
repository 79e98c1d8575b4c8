"""A small executor for tests in which the bridge is the point: it implements `ServedExecutor` and records real events.

Its commands are words: `echo TEXT` writes, `wait NAME` holds until the test lets NAME go, `break` raises.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
import zmq

from executor.api import Engine, Request
from executor.bridge import service as service_module
from executor.bridge import wire
from executor.bridge.client import BridgeClient
from executor.bridge.config import Client, Config, Operator
from executor.bridge.curve import CurvePair, make_pair
from executor.bridge.service import Service
from executor.clock import SystemClock
from executor.control.client import ControlClient
from executor.control.desk import Desk
from executor.control.kill import KillOrder
from executor.errors import GuestLostError
from executor.intent import Command, Intent, Priority
from executor.keys import KeyStore
from executor.metrics.log import make_log
from executor.outcome import CollectedFile, CommandResult, EffectClass, Outcome, Stage
from executor.svf import SvfLog
from executor.trail import Trail

JUDGED = (
    ("intent_event.REVIEWED", "cp14"),
    ("risk_event.ASSESSED", "cp15"),
    ("intent_event.ARBITRATED", "cp16"),
    ("policy_event.DECIDED", "cp16"),
    ("intent_event.APPROVED", "cp16"),
)


class StandIn:
    """Runs words instead of programs, on the real audit trail, in the real order of events."""

    engine: Engine = "sim"

    def __init__(self, audit: SvfLog) -> None:
        self.audit = audit
        self.started: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.halted = threading.Event()
        self.requests: list[Request] = []
        self.orders: list[KillOrder] = []
        self._changed = threading.Condition()
        self.closed = False
        audit.emit("policy_event.LOADED", "cp16")

    def gate(self, name: str) -> threading.Event:
        """What `wait NAME` waits for."""
        gate = self.gates.setdefault(name, threading.Event())
        if self.closed:
            gate.set()
        return gate

    def wait_started(self, count: int) -> list[str]:
        """The intents that have begun, once there are `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.started) >= count, 20), self.started
            return list(self.started)

    def run(self, request: Request) -> Outcome:
        intent, observer, answered = request.intent, request.observer, request.answered
        with self._changed:
            self.started.append(intent.intent_id)
            self.requests.append(request)
            self._changed.notify_all()
        trail = Trail(
            self.audit, SystemClock(), intent.intent_id, "sim", told=observer.event if observer else lambda _: None
        )
        trail.emit("intent_event.SUBMITTED", intent.requester)
        for kind, actor in JUDGED:
            trail.emit(kind, actor)
        trail.lease_id = f"lease-{intent.intent_id}"
        for kind, actor in (
            ("lease_event.ISSUED", "cp20"),
            ("lease_event.VERIFIED", "cp14"),
            ("resource_event.RESERVED", "cp19"),
            ("task_event.QUEUED", "cp20"),
        ):
            trail.emit(kind, actor)
        if self.halted.is_set():
            trail.emit("task_event.REJECTED", "cp20", {"reason": "control.scram"})
            trail.emit("resource_event.RELEASED", "cp19")
            return self._outcome(intent, trail, "refused", ("control.scram",), ())
        trail.vm_id = f"vm-{intent.intent_id}"
        for kind in ("task_event.DISPATCHED", "vm_event.READY", "vm_event.ACQUIRED", "rollback_event.CREATED"):
            trail.emit(kind, "cp20")
        results = []
        for number, command in enumerate(intent.commands, 1):
            trail.emit("exec_event.STARTED", "cp20")
            word, text = command.argv[0], " ".join(command.argv[1:])
            self._act(word, text)
            written = f"{text}\n".encode()
            if observer and word == "echo":
                observer.output(number, 1, written)
            results.append(CommandResult(command.argv, "exited", 0, 0, written, b"", 1))
            trail.emit("exec_event.FINISHED", "cp20", {"exit_code": 0})
        trail.emit("resource_event.RELEASED", "cp19")
        if answered:
            answered(self._outcome(intent, trail, "completed", (), tuple(results)))
        if "cleanup" in self.gates:
            assert self.gates["cleanup"].wait(60)
        for kind, actor in (
            ("vm_event.DESTROYED", "cp20"),
            ("report_event.PUBLISHED", "cp17"),
        ):
            trail.emit(kind, actor)
        return self._outcome(intent, trail, "completed", (), tuple(results))

    def _act(self, word: str, text: str) -> None:
        if word == "wait":
            assert self.gate(text).wait(60)
        if word == "break":
            raise GuestLostError("the stand-in breaks")
        if word == "crash":
            raise ZeroDivisionError("secret words of a task")

    def pause(self) -> Any:
        self.halted.set()

    def resume(self) -> Any:
        self.halted.clear()

    def kill(self, order: KillOrder, begun: Iterable[str]) -> tuple[str, ...]:
        self.orders.append(order)
        assert {*begun} <= {request.intent.intent_id for request in self.requests}
        return tuple(
            request.intent.intent_id
            for request in self.requests
            if order.reaches(request.intent.intent_id, request.intent.requester)
        )

    def statistics(self) -> dict[str, Any]:
        return {"machines": {"alive": 0, "idle": 0}}

    def close(self) -> None:
        self.closed = True
        for gate in list(self.gates.values()):
            gate.set()

    @staticmethod
    def _outcome(
        intent: Intent, trail: Trail, effect: EffectClass, reasons: tuple[str, ...], results: tuple[CommandResult, ...]
    ) -> Outcome:
        return Outcome(
            intent_id=intent.intent_id,
            engine="sim",
            verdict="allow",
            reasons=reasons,
            effect=effect,
            decision={"allow": True},
            lease=None,
            results=results,
            files=tuple(CollectedFile(path, 0o644, b"\x00\xff" + path.encode()) for path in intent.collect),
            events=tuple(trail.events),
            stages=(Stage("review", 5), Stage("command.1", 7, "guest")),
        )


@dataclass
class Stand:
    """One service on free ports, with everything around it. `open` starts it (again), on the same state folder."""

    state: Path
    workers: int = 1
    capacity: int = 1000
    share: int = 100
    listen: str = "tcp://127.0.0.1:*"
    clients: tuple[str, ...] = ("cbo", "other")
    top_priority: Priority = Priority.CRITICAL
    keys: dict[str, CurvePair] = field(default_factory=dict)
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.store = KeyStore(self.state, clock)
        if not self.store.trust_path.exists():
            self.store.init()
            self.store.create("human", "ada")
            self.store.create("agent", "cp14")
        for name in ("bridge", "control", "stop", *self.clients):
            self.keys[name] = make_pair(self.state, name)
        self.resources = ExitStack()

    def config(self) -> Config:
        folder = self.state / "keys" / "curve"
        return Config(
            bridge_listen=self.listen,
            bridge_key=folder / "bridge.key",
            control_listen="tcp://127.0.0.1:*",
            control_key=folder / "control.key",
            clients=tuple(
                Client(name, self.keys[name].public, top_priority=self.top_priority) for name in self.clients
            ),
            operators=(Operator("stop", self.keys["stop"].public),),
            workers=self.workers,
            capacity=self.capacity,
            share=self.share,
            metrics_listen=("127.0.0.1", 0),
        )

    def open(self) -> Stand:
        self.resources = ExitStack()
        clock = SystemClock()
        self.audit = SvfLog.open(self.state / "logs" / "svf_audit", clock, signer=self.store.issuer())
        self.resources.callback(self.audit.close)
        self.executor = StandIn(self.audit)
        self.service = Service(
            self.config(), self.executor, state=self.state, clock=clock, log=make_log("json", "info", self.log)
        )
        self.resources.callback(self.service.close)
        self.resources.callback(lambda: self.executor.close())  # noqa: PLW0108 - as it is then: `kill` replaces it
        return self

    def close(self) -> None:
        self.resources.close()

    def kill(self) -> None:
        """End as kill -9 would leave it: what runs is not waited for, and nothing more is written down."""
        self.executor.close = lambda: None  # type: ignore[method-assign]  # nobody lets the tasks go
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(service_module, "END_S", 0.05)
            self.close()

    def client(self, name: str = "cbo") -> BridgeClient:
        return BridgeClient(self.service.bridge.endpoint, server_key=self.keys["bridge"].public, pair=self.keys[name])

    def lets_in(self, name: str = "cbo") -> bool:
        """Whether a new connection with a listed key is let in."""
        with Raw(self.service.bridge.endpoint, self.keys["bridge"].public, self.keys[name]) as peer:
            return peer.ask(wire.header("hello", id="h"), seconds=0.7) is not None

    def service_desk(self) -> Desk:
        """A desk in front of this service's switch, without a socket."""
        return Desk(self.service.switch, frozenset({"stop"}), self.service.status)

    def operator(self, name: str = "stop") -> ControlClient:
        return ControlClient(
            self.service.control.endpoint, server_key=self.keys["control"].public, pair=self.keys[name]
        )


def intent(
    intent_id: str, *argv: str, priority: Priority = Priority.NORMAL, requester: str = "cbo", **more: Any
) -> Intent:
    """An intent of one command."""
    return Intent(intent_id, requester, (Command(argv or ("echo", intent_id)),), priority=priority, **more)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether `condition` comes true in time; looks again and again without holding anybody up."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(0.005)
    return True


class Raw:
    """A DEALER that sends whatever frames it is given."""

    def __init__(self, endpoint: str, server_key: bytes, pair: CurvePair, *, identity: bytes = b"") -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
        self.socket.connect(endpoint)

    def ask(self, *frames: bytes, seconds: float = 10.0) -> dict[str, Any] | None:
        """The header of the next reply; None when none comes in time."""
        if frames:
            self.socket.send_multipart(frames)
        if not self.socket.poll(int(seconds * 1000)):
            return None
        found: dict[str, Any] = json.loads(self.socket.recv_multipart()[0])
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(0)

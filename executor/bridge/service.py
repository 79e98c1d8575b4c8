"""The executor as a service: bridge, control socket, workers and metrics, wired around one executor.

Start: what a killed service left is closed by events; safe mode is restored; only then anybody is listened to.
End (`drain`): no new tasks; what waits is worked off for a while, the rest turned away on record; what runs is waited
for; then everything is released.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
import zmq

from executor.api import Executor
from executor.bridge.config import Config
from executor.bridge.curve import CurvePair
from executor.bridge.door import Door
from executor.bridge.intake import Intake, Task
from executor.bridge.outbox import Outbox
from executor.bridge.recovery import Recovered, recover, turn_away
from executor.bridge.server import Server
from executor.bridge.wire import error as error_header
from executor.bridge.workers import Workers
from executor.bridge.zap import Authenticator
from executor.clock import Clock
from executor.control.desk import DOMAIN as CONTROL_DOMAIN
from executor.control.desk import MAX_MESSAGE, Desk
from executor.control.safe_mode import SafeModeFile
from executor.control.switch import Parts, Stoppable, Switch
from executor.errors import CordonError, RequestRefusedError
from executor.keys import KeyStore
from executor.metrics.figures import Endpoint, Figures
from executor.outcome import Outcome
from executor.queue import Journal
from executor.trail import Recorder

BRIDGE_DOMAIN: Final = "cordon.bridge"
ENDING: Final = "executor.stopped"
END_S: Final = 10.0
"""Seconds for what runs to end once its machine is gone."""


class Ledger(Recorder, Protocol):
    """An audit trail that knows whether it has room."""

    def ensure_room(self) -> None:
        """Raises `AuditError` when no new work may be accepted."""


class ServedExecutor(Executor, Stoppable, Protocol):
    """What the service needs of an executor: it runs, it stops, it records."""

    @property
    def audit(self) -> Ledger:
        """The audit trail."""


class Service:
    """Serves from construction until `drain` and `close`. Closing twice is silent."""

    def __init__(
        self,
        config: Config,
        executor: ServedExecutor,
        *,
        state: Path,
        clock: Clock,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Raises `OutsideError` when a socket or file cannot be had; nothing is left open then.

        `executor` stays the caller's: it is not closed here.
        """
        self._config = config
        self._executor = executor
        self._log = log
        self.figures: Final = Figures()
        with ExitStack() as resources:
            self._journal = Journal(state)
            resources.callback(self._journal.close)
            self.recovered: Final[Recovered] = recover(
                executor.audit,
                state,
                executor.engine,
                self._journal.leftovers,
                self._journal,
                unreadable=self._journal.unreadable,
                orphans=getattr(executor, "orphans", ()),
            )
            log.info("recovered", **self.recovered.to_json())
            self.intake: Final = Intake(
                config.capacity,
                self._journal,
                keep=config.keep_results,
                keep_bytes=config.keep_results_mib << 20,
                ensure_room=executor.audit.ensure_room,
                seen=self._journal.seen,
                share=config.door_share,
            )
            self._outbox = Outbox()
            context = self._context(resources)
            parts = Parts(
                executor=executor,
                intake=self.intake,
                outbox=self._outbox,
                audit=executor.audit,
                doorkeeper=self._authenticator,
                domain=BRIDGE_DOMAIN,
                file=SafeModeFile(state),
            )
            self.switch: Final = Switch(parts, KeyStore(state, clock).ring, clock)
            self.switch.restore()
            self._turns = (-1, -1)
            self._door = Door(self.intake, config.clients, clock, executor.engine)
            self._desk = desk = Desk(self.switch, _operators(config), self.status)
            self.control: Final = Server(
                context,
                config.control_listen,
                CurvePair.from_file(config.control_key),
                domain=CONTROL_DOMAIN,
                answer=desk.answer,
                outbox=Outbox(),
                name_of=partial(self._authenticator.name_of, CONTROL_DOMAIN),
                most_bytes=MAX_MESSAGE,
            )
            resources.callback(self.control.close)
            self.bridge: Final = Server(
                context,
                config.bridge_listen,
                CurvePair.from_file(config.bridge_key),
                domain=BRIDGE_DOMAIN,
                answer=self._door.answer,
                outbox=self._outbox,
                name_of=partial(self._authenticator.name_of, BRIDGE_DOMAIN),
            )
            resources.callback(self.bridge.close)
            self._workers = Workers(config.workers, self.intake, executor, self._outbox, clock, _Watcher(self))
            resources.callback(self._end_workers)
            self.figures.gauges(self.status)
            self.metrics: Final = self._tell_metrics(resources)
            self._resources = resources.pop_all()

    def status(self) -> dict[str, Any]:
        """How everything stands: for `cordon top`, for metrics."""
        mode = self.switch.mode
        return {
            "queue": self.intake.statistics(),
            "bridge": {**self.bridge.counts, **self._door.counts, "dropped": self._outbox.dropped},
            "handshakes": self._authenticator.statistics(),
            "workers": {"alive": self._workers.alive(), "configured": self._config.workers},
            "safe_mode": {"on": mode is not None, **(mode.to_json() if mode else {})},
            "last_scram_ns": self.switch.last_scram_ns,
            "engine": self._executor.engine,
            "executor": self._executor.statistics(),
        }

    def healthy(self) -> bool:
        """Whether every thread does its work: what the watchdog is told."""
        turns = self.bridge.turns, self.control.turns
        moved = turns != self._turns
        self._turns = turns
        return moved and self._workers.alive() == self._config.workers

    def reload(self, config: Config) -> tuple[str, ...]:
        """Take over from `config` who may submit and who may order, and the queue's share; fields that need a restart.

        Who is not on the lists any more is refused from now on, on connections that are there as well. What it had
        accepted before still runs; `kill` ends it.
        """
        for domain, some in _lists(config).items():
            self._authenticator.set_list(domain, some)
        self._door.set_clients(config.clients)
        self._desk.set_operators(_operators(config))
        self.intake.set_share(config.door_share)
        late = self._config.needs_restart(config)
        self._config = replace(self._config, clients=config.clients, operators=config.operators, share=config.share)
        return late

    def drain(self, seconds: float) -> int:
        """Take nothing new, work off what waits for at most `seconds`; how many were turned away after that."""
        if self.intake.mode == "open":
            self.intake.set_mode("draining")
        if self.intake.mode == "draining":
            self.intake.wait_idle(seconds)
        turned = self.intake.flush()
        for task in turned:
            self._turn_away(task)
        self.intake.stop()
        return len(turned)

    def close(self) -> None:
        """Wait for what runs (its machines have to be gone or end by themselves), release everything."""
        self._resources.close()

    def _context(self, resources: ExitStack) -> zmq.Context[zmq.Socket[bytes]]:
        """A ZeroMQ context whose handshakes are judged."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        resources.callback(context.term)
        self._authenticator = Authenticator(context, _lists(self._config))
        resources.callback(self._authenticator.close)
        return context

    def _tell_metrics(self, resources: ExitStack) -> Endpoint | None:
        if self._config.metrics_listen is None:
            return None
        endpoint = Endpoint(self.figures, *self._config.metrics_listen)
        resources.callback(endpoint.close)
        return endpoint

    def _end_workers(self) -> None:
        self.intake.stop()
        self._workers.wait_ended(END_S)
        self.switch.wait_recorded()

    def _turn_away(self, task: Task) -> None:
        refusal = RequestRefusedError(503, ENDING, "the executor ended before the task's turn came")
        reply = (error_header(refusal, task_id=task.task_id),)
        self._outbox.put(task.identity, reply)
        try:
            turn_away(self._executor.audit, task.intent.intent_id, task.owner, {"phase": task.intent.phase}, ENDING)
            self.intake.end(task, reply)
        except CordonError as failure:  # it stays in the journal: the next start closes it
            self._log.error("turning a task away could not be recorded", task=task.task_id, code=failure.code)


def _lists(config: Config) -> dict[str, dict[bytes, str]]:
    """The allowlist of each ZAP domain."""
    return {
        BRIDGE_DOMAIN: {client.key: client.name for client in config.clients},
        CONTROL_DOMAIN: {operator.key: operator.name for operator in config.operators},
    }


def _operators(config: Config) -> frozenset[str]:
    return frozenset(operator.name for operator in config.operators)


class _Watcher:
    """Passes what the workers do on to figures and log."""

    def __init__(self, service: Service) -> None:
        self._figures = service.figures
        self._log = service._log  # noqa: SLF001 - this module's own
        self._lock = threading.Lock()

    def begun(self, task: Task, waited_ns: int) -> None:
        """A task's turn has come."""
        self._figures.waited(task.intent.priority.name, waited_ns)
        self._log.info("begun", **_names(task), waited_ms=waited_ns // 1_000_000)

    def done(self, task: Task, outcome: Outcome, took_ns: int) -> None:
        """A task has an outcome."""
        with self._lock:
            self._figures.ended(task.intent.priority.name, outcome, took_ns)
        self._log.info(
            "ended",
            **_names(task),
            effect=outcome.effect,
            reasons=list(outcome.reasons),
            vm=outcome.vm_id,
            took_ms=took_ns // 1_000_000,
        )

    def broke(self, task: Task, error: BaseException) -> None:
        """A task has none."""
        code = error.code if isinstance(error, CordonError) else "cordon.bug"
        self._figures.broke(code)
        where = ""
        if error.__traceback__ is not None and not isinstance(error, CordonError):
            last = error.__traceback__
            while last.tb_next is not None:
                last = last.tb_next
            where = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"
        # Not the message: an unexpected error's words may quote what a task said.
        self._log.error("broken", **_names(task), code=code, error=type(error).__name__, where=where)


def _names(task: Task) -> dict[str, str]:
    return {
        "task": task.task_id,
        "intent": task.intent.intent_id,
        "requester": task.owner,
        "priority": task.intent.priority.name,
    }

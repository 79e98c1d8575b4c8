"""What goes wrong in a simulated run, and how the service bears it: SCRAM, lost hosts, no reviewers, a slow OPA.

A SCRAM flushes the queue, refuses at the door, turns away what is being judged, and pauses machines, whose wall clocks
run on (docs/adr/0013). With a host go its machines and the tasks that a worker of it has taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.simulate.load import Incident
from harness.simulate.measures import Scram
from harness.simulate.parts import Host

if TYPE_CHECKING:
    from harness.simulate.model import Model

NEVER = float("inf")


class Trouble:
    """The incidents of one run."""

    def __init__(self, model: Model) -> None:
        """They befall `model`."""
        self._model = model

    def arm(self) -> None:
        """Have every incident of the load happen in its time."""
        begin = {
            "scram": self._scram,
            "hosts_lost": self._hosts_lost,
            "reviewers_down": self._reviewers_down,
            "opa_slow": self._opa_slow,
        }
        for incident in self._model.load.incidents:
            self._model.at(incident.at_s, begin[incident.what], incident)

    def _until(self, incident: Incident, step: Any, value: object) -> None:
        if incident.for_s < NEVER:
            self._model.at(incident.until_s, step, value)

    def _scram(self, event: Any) -> None:
        model, incident = self._model, event.what
        now = model.env.now
        stop = model.stopped = Scram(now)
        model.measures.scrams.append(stop)
        for task in model.queue.flush():
            stop.flushed += 1
            model.measures.queued_s += now - task.arrived
            model.ended(task, "flushed")
        for task in [task for host in model.hosts for task in host.running]:
            stop.paused += 1
            task.token += 1  # its machine stands still; its wall clock does not
            task.ends = min(task.ends + incident.for_s, task.due)
            if task.ends < NEVER:
                model.later(task.ends - now, model.finish, task)
        self._until(incident, self._resume, stop)

    def _resume(self, event: Any) -> None:
        stop: Scram = event.what
        stop.resumed_s = self._model.env.now
        self._model.stopped, self._model.draining = None, stop
        self._model.dispatch()

    def _hosts_lost(self, event: Any) -> None:
        model, incident = self._model, event.what
        now = model.env.now
        lost = [host for host in model.hosts if host.up][: incident.hosts]
        for host in lost:
            model.measures.lost_hosts += 1
            for task in (*host.judging, *host.running):
                task.token += 1
                model.measures.busy_s += now - task.begun
                model.ended(task, "aborted")
            model.free -= host.free
            model.workers -= model.load.serving.workers
            host.lose(now)
        self._until(incident, self._hosts_back, lost)

    def _hosts_back(self, event: Any) -> None:
        model = self._model
        hosts: list[Host] = event.what
        for host in hosts:
            host.back(model.env.now, model.load.serving.workers)
            model.free += host.free
            model.workers += host.free
            model.refill(host)
        model.dispatch()

    def _reviewers_down(self, event: Any) -> None:
        self._model.unreviewed = event.what
        self._until(event.what, self._reviewers_back, None)

    def _reviewers_back(self, _: Any) -> None:
        self._model.unreviewed = None

    def _opa_slow(self, event: Any) -> None:
        self._model.slow = event.what.factor
        self._until(event.what, self._opa_quick, None)

    def _opa_quick(self, _: Any) -> None:
        self._model.slow = 1.0

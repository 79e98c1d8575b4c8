"""The one path (DESIGN section 4): an intent goes in, an outcome comes out, all on record before it counts.

    submit -> review -> decide -> lease -> verify -> reserve -> queue -> machine -> commands -> release -> report

No machine is asked for before all that led to it is on the disk, and nothing runs in it before the rest is (ADR 0039).
Refusals end the path where they happen and are outcomes, not exceptions. Everything that was taken (budget, machine)
is given back on every way out. The engine is behind `MachineProvider`: the simulator takes this same path.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Final

from executor.api import Request
from executor.budget import Budget, Reservation
from executor.clock import Clock
from executor.control.kill import KILLED, Killable, KillSwitch
from executor.deadman import DeadMan
from executor.errors import (
    AuditError,
    BudgetRefusedError,
    BugError,
    FrameViolationError,
    LeaseRefusedError,
    OutsideError,
    outside,
)
from executor.fate import OUTLIVED, WORDS
from executor.forecast import brought_by
from executor.governance import Governance, Granted
from executor.intent import Intent
from executor.machine import MachineProvider
from executor.occupancy import EGRESS, Occupancy
from executor.outcome import Outcome, Stage
from executor.passage import EndError, Passage
from executor.policy import Decision
from executor.run_record import RunRecord
from executor.sentinel import validation
from executor.sentinel.verdict import Review
from executor.task_run import TaskRunner
from executor.trail import Recorder, Trail
from executor.workspace import validating

HALTED: Final = "control.scram"
"""Reason of a task that was turned away because everything was stopped."""
_NEVER_DISPATCHED: Final = frozenset({(HALTED,), (BudgetRefusedError.code,)})
"""Reasons for which there is nothing to report."""


class Pipeline:
    """Takes requests down the path, one per calling thread."""

    def __init__(
        self,
        governance: Governance,
        provider: MachineProvider,
        budget: Budget,
        log: Recorder,
        clock: Clock,
        runs: RunRecord,
        dead_man: DeadMan,
    ) -> None:
        """Wire the parts; `executor/service.py` makes them."""
        self._governance = governance
        self._provider = provider
        self._budget = budget
        self._log = log
        self._clock = clock
        self._runs = runs
        self.kills: Final = KillSwitch()
        """Orders to kill tasks that run."""
        self._machines = Occupancy(provider, clock)
        self._tasks = TaskRunner(governance, clock, runs, dead_man, self.kills)
        self.budget: Final = budget
        """What every requester has left."""
        self.halted: Final = threading.Event()
        """Set while nothing may be dispatched (SCRAM): a task whose turn has come is turned away."""

    @property
    def running(self) -> int:
        """Commands that run now."""
        return self._tasks.running

    def run(self, request: Request) -> Outcome:
        """Take `request` to its end. Raises `AuditError` when the record cannot be kept; nothing runs without one."""
        with self.kills.entered(request.intent.intent_id, request.intent.requester) as killable:
            return self._run(request, request.intent, killable)

    def _run(self, request: Request, parent: Intent, killable: Killable) -> Outcome:
        """`parent`: whose requester answers for it; of a run within a run the outer one, as with `killable`."""
        trail = Trail(
            self._log,
            self._clock,
            request.intent.intent_id,
            self._provider.engine,
            drop="event_drop" in request.weaken,
            told=request.observer.event if request.observer else lambda _: None,
        )
        passage = Passage(request, trail, parent, killable)
        try:
            self._govern(passage)
            if passage.decision is None or passage.granted is None:
                raise BugError("governance ended without a decision or a lease")
            self._reserve_and_run(passage, passage.decision, passage.granted)
        except EndError as end:
            passage.effect, passage.reasons, passage.message = end.effect, end.reasons, str(end)
        except AuditError:
            raise
        except OutsideError as error:
            if not trail.seen("task_event.REJECTED") and not trail.seen("resource_event.RESERVED"):
                trail.emit("task_event.REJECTED", "cp20", {"reason": error.code})  # no trail stays open behind it
            raise
        finally:
            try:
                trail.settle()
            finally:
                self._governance.settled(trail)
        outcome = self._reported(passage)
        self._learn(passage)
        return outcome

    def _govern(self, passage: Passage) -> None:
        """From the intent to a verified lease, or `EndError`."""
        request, trail = passage.request, passage.trail
        passage.decision = decision = self._governance.decide(request, trail, partial(self._validate, passage.killable))
        if not decision.allowed and "policy" not in request.weaken:
            raise EndError("denied", decision.codes, "; ".join(reason.msg for reason in decision.reasons))
        try:
            passage.granted = self._governance.lease(request, decision, trail)
        except LeaseRefusedError as refusal:
            trail.emit("lease_event.DENIED", "cp14", {"reason": refusal.reason})
            trail.emit("task_event.REJECTED", "cp20", {"reason": refusal.reason})
            raise EndError("refused", (refusal.reason,), str(refusal)) from None

    def _reserve_and_run(self, passage: Passage, decision: Decision, granted: Granted) -> None:
        """From the reservation to the destroyed machine; whatever was taken is given back on every way out."""
        trail, intent = passage.trail, passage.request.intent
        limits = decision.obligations.limits
        with trail.stage("reserve"):
            reservation = self._reserved(passage, decision, granted)
        try:
            reserved = {"atp": reservation.atp, "memory_mb": limits.mem_quota_mb}
            with trail.together():
                trail.emit("resource_event.RESERVED", "cp19", reserved)
                trail.emit("task_event.QUEUED", "cp20", {"priority": intent.priority.name})
                if reason := self._turned_away(passage):
                    trail.emit("task_event.REJECTED", "cp20", {"reason": reason})
                    raise EndError("refused", (reason,), "it was stopped before the task's turn came")
                trail.emit("task_event.DISPATCHED", "cp20")
            self._machines.acquire(passage, decision)
            self._tasks.run(passage, granted, limits)
            self._conclude(passage)
            self._answer(passage, decision, granted)
        except FrameViolationError as violation:
            trail.emit("channel_event.VIOLATION", "cp20", {"reason": violation.reason})
            self._abort(passage, f"channel.{violation.reason}", str(violation))
        except AuditError:
            raise
        except OutsideError as error:
            self._abort(passage, *self._machines.cause(passage, error))
        except OSError as error:  # the host's disk, most of all; nothing of the guest's raises one
            broken = outside("the host failed under the task", error)
            self._abort(passage, broken.code, str(broken))
        finally:
            self._governance.release(granted)
            if not passage.ran:
                self._budget.refund(reservation, self._clock.now_ns())
            self._budget.spend(reservation)
            self._machines.release(passage)

    def _reserved(self, passage: Passage, decision: Decision, granted: Granted) -> Reservation:
        """Set the cost aside; `EndError` when another task has spent it since the policy looked."""
        requester, weaken = passage.request.intent.requester, passage.request.weaken
        cost, now = decision.obligations.atp_cost, self._clock.now_ns()
        try:
            return self._budget.reserve(requester, cost, now, overdraw="budget_check" in weaken)
        except BudgetRefusedError as refusal:
            passage.trail.emit("task_event.REJECTED", "cp20", {"reason": refusal.code})
            self._governance.release(granted)
            raise EndError("refused", (refusal.code,), str(refusal)) from None

    def _turned_away(self, passage: Passage) -> str:
        """Empty, or why a task is not dispatched although its turn has come."""
        if self.halted.is_set():
            return HALTED
        return KILLED if passage.kill_order else ""

    def _validate(self, killable: Killable, intent: Intent) -> Review:
        """cp18: run the patch's own tests down this same path, as an intent of cp18's."""
        sub = validating(intent)
        return validation.judge(intent, self._run(Request(sub), intent, killable).results if sub else ())

    @staticmethod
    def _conclude(passage: Passage) -> None:
        """The commands have ended; `EndError` where an order had said that they were to be killed."""
        if passage.parent is passage.request.intent:  # of a run within a run the outer one is still under way
            passage.killable.conclude()
        passage.check_alive()

    def _abort(self, passage: Passage, cause: str, message: str) -> None:
        if passage.hold and passage.hold.cut and (order := passage.kill_order):
            end = passage.killed(order)
            passage.effect, passage.reasons, passage.message = end.effect, end.reasons, str(end)
            return
        if passage.hold and passage.hold.fired:
            cause, message = OUTLIVED, WORDS[OUTLIVED]
        what = {"what": WORDS[cause]} if cause in WORDS else {}
        passage.trail.emit("exec_event.ABORTED", "cp20", {"cause": cause, **what})
        passage.effect, passage.reasons, passage.message = "aborted", (cause,), message

    def _answer(self, passage: Passage, decision: Decision, granted: Granted) -> None:
        """The commands have ended: tell whoever waits, before the machine is gone (ADR 0034).

        Nothing that follows changes what is told: the release is on record first, and behind it a trail leads to the
        report only. What the next request is judged by knows of this one by then. A network card's use is known when
        it is gone, and belongs to the release: there the answer comes with the end, as in a drill's weakened machine.
        """
        if passage.machine is None or passage.request.weaken or EGRESS in decision.obligations.hard:
            return
        self._governance.release(granted)
        released = {"overlay_bytes": passage.machine.overlay_bytes()}
        passage.trail.emit("resource_event.RELEASED", "cp19", released)
        passage.released = True
        outcome = self._outcome(passage)
        self._remember(passage, outcome)
        self._learn(passage)
        if passage.request.answered:
            passage.request.answered(outcome)

    def _learn(self, passage: Passage) -> None:
        """Tell the memory of requesters what it does not know yet."""
        events = passage.trail.events[passage.learnt :]
        self._governance.violations.take(events, requester=passage.parent.requester)
        passage.learnt += len(events)

    def _remember(self, passage: Passage, outcome: Outcome) -> None:
        """What the run used, for the forecast of the next."""
        if not passage.request.weaken:
            self._governance.history.remember(passage.request.intent.requester, outcome)

    def _outcome(self, passage: Passage) -> Outcome:
        """What is known of the request now."""
        decision, granted, trail = passage.decision, passage.granted, passage.trail
        if decision is None:
            raise BugError("a path without a decision")
        return Outcome(
            intent_id=passage.request.intent.intent_id,
            engine=self._provider.engine,
            verdict=decision.verdict,
            reasons=passage.reasons,
            effect=passage.effect,
            decision=decision.to_json(),
            lease=granted.document if granted else None,
            results=tuple(passage.results),
            files=passage.files,
            events=tuple(trail.events),
            stages=(*trail.stages, Stage("record", trail.recording_ns)),
            samples=tuple(passage.samples),
            vm_id=trail.vm_id,
            message=passage.message,
            brought=brought_by(passage.request.intent),
        )

    def _reported(self, passage: Passage) -> Outcome:
        """The outcome, its report written and on record where anything was dispatched."""
        granted, trail, outcome = passage.granted, passage.trail, self._outcome(passage)
        if (
            granted is None
            or passage.reasons in _NEVER_DISPATCHED
            or (passage.reasons == (KILLED,) and not trail.seen("task_event.DISPATCHED"))
        ):
            return outcome  # nothing was dispatched: there is no run to report
        if not passage.released:
            self._remember(passage, outcome)
        with trail.stage("report"):
            trail.emit("report_event.PUBLISHED", "cp17", self._runs.publish(granted.lease_id, outcome, passage.pack))
        trail.timed("record", trail.recording_ns)
        return replace(outcome, events=tuple(trail.events), stages=tuple(trail.stages))

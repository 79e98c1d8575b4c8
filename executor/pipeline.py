"""The one path (DESIGN section 4): an intent goes in, an outcome comes out, every step is on record before the next.

    submit -> review -> decide -> lease -> verify -> reserve -> queue -> machine -> commands -> release -> report

Refusals end the path where they happen and are outcomes, not exceptions. Everything that was taken (budget, machine)
is given back on every way out. The engine is behind `MachineProvider`: the simulator takes this same path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from executor.api import Request
from executor.budget import Budget, Reservation
from executor.channel.host import ChannelTimeoutError
from executor.channel.session import Denial
from executor.clock import Clock
from executor.control.kill import KILLED, KillOrder, KillSwitch, Scope
from executor.deadman import HANDLING_NS, DeadMan, Hold
from executor.errors import (
    AuditError,
    BudgetRefusedError,
    BugError,
    FrameViolationError,
    GuestLostError,
    HypervisorError,
    LeaseRefusedError,
    OutsideError,
    outside,
)
from executor.execution import GRACE_NS, OBEY_NS, CommandRunner, Ending, Run, Watch, exec_data
from executor.fate import OUTLIVED, WORDS
from executor.forecast import brought_by
from executor.governance import Governance, Granted
from executor.intent import Command, FileIn, Intent, Limits
from executor.machine import Machine, MachineProvider, Profile
from executor.outcome import CollectedFile, CommandResult, EffectClass, Outcome, Stage
from executor.policy import Decision
from executor.rollback.manifest import matcher
from executor.rollback.pack import Pack
from executor.run_record import RunRecord
from executor.sentinel import validation
from executor.sentinel.verdict import Review
from executor.trail import Recorder, Trail
from executor.workspace import commands_of, files_of, validating

LARGE_MEM: Final = "res:large_mem"
HIGH_CPU: Final = "res:high_cpu"
EGRESS: Final = "net:egress"
RESET: Final = "reset"
"""The one control whose absence does not keep a machine from being used again: the drill of RESET itself."""
HALTED: Final = "control.scram"
"""Reason of a task that was turned away because everything was stopped."""
KILL_SWITCH: Final = "kill_switch"
LAST_NS: Final = 1_000_000_000
"""What the task's own thread has for destroying a machine, before the dead man's switch does it."""
FATE_S: Final = 5.0
"""Why a machine is gone is asked for so long: QEMU says it at once, libvirt a second or two after a kill."""
NEVER_NS: Final = 10**18
_NEVER_DISPATCHED: Final = frozenset({(HALTED,), (BudgetRefusedError.code,)})
"""Reasons for which there is nothing to report."""
LEASE_ENDS: Final = {
    "lease_expired": ("lease_event.EXPIRED", "cp14"),
    "lease_revoked": ("lease_event.REVOKED", "cp20"),
}
"""Why a running command loses its lease: the event that says so, and who records it."""


class _EndError(Exception):
    """The path ends here; what it ends as."""

    def __init__(self, effect: EffectClass, reasons: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.effect = effect
        self.reasons = reasons


@dataclass(slots=True)
class _Passage:
    """One request's way: what is known of it so far."""

    request: Request
    trail: Trail
    parent: Intent
    """Whose kill orders count and whose requester answers for it."""
    decision: Decision | None = None
    granted: Granted | None = None
    results: list[CommandResult] = field(default_factory=list)
    samples: list[dict[str, int]] = field(default_factory=list)
    files: tuple[CollectedFile, ...] = ()
    machine: Machine | None = None
    pack: Pack | None = None
    hold: Hold | None = None
    """The dead man's switch over the machine."""
    released: bool = False
    """Whether the release is on record; the machine may still be there."""
    learnt: int = 0
    """How many of its events the memory of requesters has."""
    ran: bool = False
    """Whether a command was started: then the budget is spent."""
    effect: EffectClass = "completed"
    reasons: tuple[str, ...] = ()
    message: str = ""

    @property
    def commands(self) -> tuple[Command, ...]:
        return commands_of(self.request.intent, self.request.attempt)


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
        self._dead_man = dead_man
        self.kills: Final = KillSwitch()
        """Orders to kill tasks that run."""
        self.running = 0
        """Commands that run now."""
        self._counting = threading.Lock()
        self.budget: Final = budget
        """What every requester has left."""
        self.halted: Final = threading.Event()
        """Set while nothing may be dispatched (SCRAM): a task whose turn has come is turned away."""

    def run(self, request: Request) -> Outcome:
        """Take `request` to its end. Raises `AuditError` when the record cannot be kept; nothing runs without one."""
        with self.kills.entered(request.intent.intent_id, request.intent.requester):
            return self._run(request, request.intent)

    def _run(self, request: Request, parent: Intent) -> Outcome:
        """`parent`: whose kill orders count and whose requester answers for it; of a run within a run the outer one."""
        trail = Trail(
            self._log,
            self._clock,
            request.intent.intent_id,
            self._provider.engine,
            drop="event_drop" in request.weaken,
            told=request.observer.event if request.observer else lambda _: None,
        )
        passage = _Passage(request, trail, parent)
        try:
            self._govern(passage)
            if passage.decision is None or passage.granted is None:
                raise BugError("governance ended without a decision or a lease")
            self._reserve_and_run(passage, passage.decision, passage.granted)
        except _EndError as end:
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

    def _govern(self, passage: _Passage) -> None:
        """From the intent to a verified lease, or `_EndError`."""
        request, trail = passage.request, passage.trail
        passage.decision = decision = self._governance.decide(request, trail, self._validate)
        if not decision.allowed and "policy" not in request.weaken:
            raise _EndError("denied", decision.codes, "; ".join(reason.msg for reason in decision.reasons))
        try:
            passage.granted = self._governance.lease(request, decision, trail)
        except LeaseRefusedError as refusal:
            trail.emit("lease_event.DENIED", "cp14", {"reason": refusal.reason})
            trail.emit("task_event.REJECTED", "cp20", {"reason": refusal.reason})
            raise _EndError("refused", (refusal.reason,), str(refusal)) from None

    def _reserve_and_run(self, passage: _Passage, decision: Decision, granted: Granted) -> None:
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
                    raise _EndError("refused", (reason,), "it was stopped before the task's turn came")
                trail.emit("task_event.DISPATCHED", "cp20")
            self._acquire(passage, decision)
            if passage.machine is None:
                raise BugError("dispatched without a machine")
            with self._dead_man.holding(passage.machine, self._allowed(passage, HANDLING_NS)) as passage.hold:
                self._run_commands(passage, granted, limits)
            self._answer(passage, decision, granted)
        except FrameViolationError as violation:
            trail.emit("channel_event.VIOLATION", "cp20", {"reason": violation.reason})
            self._abort(passage, f"channel.{violation.reason}", str(violation))
        except AuditError:
            raise
        except OutsideError as error:
            self._abort(passage, *self._cause(passage, error))
        except OSError as error:  # the host's disk, most of all; nothing of the guest's raises one
            broken = outside("the host failed under the task", error)
            self._abort(passage, broken.code, str(broken))
        finally:
            self._governance.release(granted)
            if not passage.ran:
                self._budget.refund(reservation, self._clock.now_ns())
            self._budget.spend(reservation)
            self._release(passage)

    def _reserved(self, passage: _Passage, decision: Decision, granted: Granted) -> Reservation:
        """Set the cost aside; `_EndError` when another task has spent it since the policy looked."""
        requester, weaken = passage.request.intent.requester, passage.request.weaken
        cost, now = decision.obligations.atp_cost, self._clock.now_ns()
        try:
            return self._budget.reserve(requester, cost, now, overdraw="budget_check" in weaken)
        except BudgetRefusedError as refusal:
            passage.trail.emit("task_event.REJECTED", "cp20", {"reason": refusal.code})
            self._governance.release(granted)
            raise _EndError("refused", (refusal.code,), str(refusal)) from None

    def _turned_away(self, passage: _Passage) -> str:
        """Empty, or why a task is not dispatched although its turn has come."""
        if self.halted.is_set():
            return HALTED
        return KILLED if self._kill_order(passage) else ""

    def _kill_order(self, passage: _Passage) -> KillOrder | None:
        if KILL_SWITCH in passage.request.weaken:
            return None
        return self.kills.order_for(passage.parent.intent_id)

    def _acquire(self, passage: _Passage, decision: Decision) -> None:
        trail, weaken = passage.trail, passage.request.weaken
        hard = set(decision.obligations.hard)
        profile = Profile(large_memory=LARGE_MEM in hard, high_cpu=HIGH_CPU in hard, egress=EGRESS in hard)
        if profile.egress:
            profile = replace(profile, reach=decision.obligations.scope.endpoints)
        begun = self._clock.monotonic_ns()
        machine = passage.machine = self._provider.acquire(profile, weaken)
        took = self._clock.monotonic_ns() - begun
        trail.vm_id = machine.name
        boot = machine.boot
        if boot.boot_ns:  # made for this task: the pool has told of the others
            trail.timed("vm.boot", boot.boot_ns, "guest")
            trail.emit("vm_event.READY", "cp20", {"kernel": boot.kernel, "agent": boot.agent_digest})
        trail.timed("vm.acquire", took - boot.boot_ns - boot.reseed_ns)
        trail.timed("vm.reseed", boot.reseed_ns, "guest")
        facts = {"kernel": boot.kernel, "agent": boot.agent_digest, "uses": machine.uses}
        trail.emit("vm_event.ACQUIRED", "cp20", {"weakened": sorted(weaken), **facts}, soon=True)

    def _run_commands(self, passage: _Passage, granted: Granted, limits: Limits) -> None:
        """Fill the workspace, run the commands until one does not complete, hand files back."""
        trail, request, machine = passage.trail, passage.request, passage.machine
        if machine is None:
            raise BugError("commands without a machine")

        def keep() -> None:
            passage.pack = self._runs.before(granted.lease_id, request.intent)

        with trail.stage("prepare", "guest"):
            refused = machine.session.prepare(
                granted.lease_id,
                capabilities=granted.capabilities,
                paths_write=granted.paths_write,
                env_allowlist=granted.env_allowlist,
                commands=granted.commands,
                limits=limits,
                artefacts=granted.artefacts,
                meanwhile=keep,  # neither needs the other
            )
            if refused:
                raise self._denied(passage, refused)
            programs = (FileIn(one.path, one.content, 0o555) for one in request.intent.artefacts)
            for file in (*files_of(request.intent), *programs):
                if denial := machine.session.put_file(file):
                    raise self._denied(passage, denial)
        with trail.stage("rollback.pack"):
            if passage.pack is None:
                raise BugError("prepared without a pack")
            trail.emit("rollback_event.CREATED", "cp20", passage.pack.event_data())
        runner = CommandRunner(
            machine,
            self._clock,
            limits,
            Watch(
                lambda: KILL_SWITCH if self._kill_order(passage) else self._governance.stop_reason(granted),
                monitored=lambda sample: trail.emit("resource_event.MONITORED", "cp19", sample),
                noticed=lambda notice: trail.emit(f"resource_event.{notice.kind}", "cp19", notice.data()),
                throttled=lambda ns: trail.emit("channel_event.THROTTLED", "cp20", {"held_ms": ns // 1_000_000}),
                heard=self._listener(passage),
                foreseen=lambda command: self._governance.foreseen(request.intent, command, limits),
            ),
            weaken=request.weaken,
        )
        longest = limits.wallclock_timeout_s * 1_000_000_000 + GRACE_NS + OBEY_NS + LAST_NS
        for number, command in enumerate(passage.commands, 1):
            self._extend(passage, longest)
            if not self._run_one(passage, runner, f"{granted.task_id}-{number}", command):
                break
        if machine.alive:
            self._extend(passage, HANDLING_NS)
            self._collect(passage, machine, granted)

    @staticmethod
    def _allowed(passage: _Passage, duration_ns: int) -> int:
        return NEVER_NS if "dead_man" in passage.request.weaken else duration_ns

    def _extend(self, passage: _Passage, duration_ns: int) -> None:
        if passage.hold:
            self._dead_man.extend(passage.hold, self._allowed(passage, duration_ns))

    @staticmethod
    def _listener(passage: _Passage) -> Callable[[int, bytes], None]:
        """Passes a command's output on to whoever looks on."""
        observer = passage.request.observer
        if observer is None:
            return lambda _stream, _data: None
        return lambda stream, data: observer.output(len(passage.results) + 1, stream, data)

    def _collect(self, passage: _Passage, machine: Machine, granted: Granted) -> None:
        """Hand back what was asked for, and look at what the rollback pack has to know about."""
        intent, pack = passage.request.intent, passage.pack
        changed = [f"/workspace/{entry.path}" for entry in pack.before] if pack else []
        if not intent.collect and not changed:
            return
        passage.trail.settle()
        with passage.trail.stage("collect", "guest"):
            wanted = dict.fromkeys([*intent.collect, *changed])
            files = machine.session.collect(wanted)
            if pack:
                passage.pack = self._runs.after(pack, files)
            roots = [path.rstrip("/") for path in intent.collect]
            # The policy has judged the roots; what a task put below them nobody has.
            denied = matcher(granted.document["scope"]["paths_denylist"])
            passage.files = tuple(
                replace(file, content=b"", refused="on the denylist") if denied.fullmatch(file.path) else file
                for file in files
                if any(file.path == root or file.path.startswith(f"{root}/") for root in roots)
            )
        if passage.effect == "completed":
            self._governance.builds.record(
                intent,
                passage.files,
                lease_id=granted.lease_id,
                policy_digest=passage.trail.policy_digest,
                weakened=passage.request.weaken,
            )

    def _validate(self, intent: Intent) -> Review:
        """cp18: run the patch's own tests down this same path, as an intent of cp18's."""
        sub = validating(intent)
        return validation.judge(intent, self._run(Request(sub), intent).results if sub else ())

    def _run_one(self, passage: _Passage, runner: CommandRunner, task_id: str, command: Command) -> bool:
        """One command to its end; whether the next may run."""
        trail = passage.trail
        trail.task_id = task_id
        trail.settle()  # nothing of the task runs before all that led to it is on record
        begun = self._clock.monotonic_ns()
        with trail.stage("start", "guest"):
            started = runner.start(
                task_id, command, passage.request.intent.env, compromised="compromised_agent" in passage.request.weaken
            )
        if isinstance(started, Denial):
            raise self._denied(passage, started)
        with trail.within():  # the command runs already
            run, ending, result = self._follow(passage, runner, task_id, command, started)
        if run.first_output_ns and not passage.results:
            trail.timed("first_output", run.first_output_ns - begun, "guest")
        trail.timed(f"command.{len(passage.results) + 1}", result.duration_ns, "guest")
        passage.results.append(result)
        passage.samples.extend(run.samples)
        self._record_end(passage, ending, result)
        return ending.effect == "completed"

    def _follow(
        self, passage: _Passage, runner: CommandRunner, task_id: str, command: Command, started_ns: int
    ) -> tuple[Run, Ending, CommandResult]:
        """A started command to its end."""
        trail = passage.trail
        trail.emit("exec_event.STARTED", "cp20", {"argv0": command.argv[0]})
        if passage.request.life.revoke_while_running and not passage.ran:
            self._governance.take_back(str(trail.lease_id))
        if (scope := passage.request.life.kill_while_running) and not passage.ran:
            self.kills.pull(drill_order(scope, passage.request.intent))
        passage.ran = True
        run = runner.new_run()
        self._count(1)
        try:
            return run, *runner.finish(task_id, command, started_ns, run)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._counting:
            self.running += change

    def _record_end(self, passage: _Passage, ending: Ending, result: CommandResult) -> None:
        trail = passage.trail
        if ending.by in LEASE_ENDS:
            kind, actor = LEASE_ENDS[ending.by]
            trail.emit(kind, actor, {"while": "running"})
            self._governance.announced(trail.lease_id)
            passage.reasons = (ending.by.replace("_", ".", 1),)
        if ending.breach:
            passage.reasons = (f"quota.{ending.breach}",)
        data = exec_data(ending, result)
        if ending.by == KILL_SWITCH and (order := self._kill_order(passage)):
            data |= order.data()
            passage.reasons = (KILLED,)
        trail.emit(f"exec_event.{ending.event}", "cp20", data, with_next=True)
        passage.effect = ending.effect

    def _denied(self, passage: _Passage, denial: Denial) -> _EndError:
        """The guest refused: its own check stands behind the host's."""
        passage.trail.emit("exec_event.DENIED", "cp20", {"reason": denial.code})
        return _EndError("refused", (denial.code,), denial.message)

    @staticmethod
    def _cause(passage: _Passage, error: OutsideError) -> tuple[str, str]:
        """(code, message) of what the task is aborted for: where its machine is lost, why that is."""
        lost = isinstance(error, (GuestLostError, HypervisorError)) and not (passage.hold and passage.hold.fired)
        if passage.machine is None or not lost:
            return error.code, str(error)
        fate = passage.machine.fate(0 if isinstance(error, ChannelTimeoutError) else FATE_S)
        return (fate.code, f"{fate.words} ({error})") if fate else (error.code, str(error))

    def _abort(self, passage: _Passage, cause: str, message: str) -> None:
        if passage.hold and passage.hold.fired:
            cause, message = OUTLIVED, WORDS[OUTLIVED]
        what = {"what": WORDS[cause]} if cause in WORDS else {}
        passage.trail.emit("exec_event.ABORTED", "cp20", {"cause": cause, **what})
        passage.effect, passage.reasons, passage.message = "aborted", (cause,), message

    def _answer(self, passage: _Passage, decision: Decision, granted: Granted) -> None:
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

    def _learn(self, passage: _Passage) -> None:
        """Tell the memory of requesters what it does not know yet."""
        events = passage.trail.events[passage.learnt :]
        self._governance.violations.take(events, requester=passage.parent.requester)
        passage.learnt += len(events)

    def _remember(self, passage: _Passage, outcome: Outcome) -> None:
        """What the run used, for the forecast of the next."""
        if not passage.request.weaken:
            self._governance.history.remember(passage.request.intent.requester, outcome)

    def _release(self, passage: _Passage) -> None:
        """Destroy the machine first: whatever else fails, nothing of it stays."""
        trail, machine = passage.trail, passage.machine
        if machine is None:
            trail.emit("resource_event.RELEASED", "cp19", {"overlay_bytes": 0})
            return
        overlay_bytes = 0 if passage.released else machine.overlay_bytes()
        reset = self._reset(passage, machine)
        if not reset:
            self._destroy(passage, machine)
        used = machine.network()
        released = {"overlay_bytes": overlay_bytes, **({"network": used} if used else {})}
        if not reset:
            with trail.together():
                if not passage.released:
                    trail.emit("resource_event.RELEASED", "cp19", released)
                if passage.hold and passage.hold.fired:
                    trail.emit("vm_event.ZOMBIE", "cp20")
                trail.emit("vm_event.DESTROYED", "cp20")
            return
        if not passage.released:
            trail.emit("resource_event.RELEASED", "cp19", released)
        trail.emit("vm_event.RESET", "cp20", {"uses": machine.uses})
        if not machine.recycled(lambda: trail.emit("vm_event.RECYCLED", "cp20")):
            self._destroy(passage, machine)
            trail.emit("vm_event.DESTROYED", "cp20")

    def _reset(self, passage: _Passage, machine: Machine) -> bool:
        """Where machines are used again: wipe it. Never after a loss or a violation, nor a task that was weakened."""
        if passage.effect == "aborted" or passage.request.weaken - {RESET}:
            return False
        begun = self._clock.monotonic_ns()
        done = machine.reset()
        if done:
            passage.trail.timed("vm.reset", self._clock.monotonic_ns() - begun, "guest")
        return done

    @staticmethod
    def _destroy(passage: _Passage, machine: Machine) -> None:
        with passage.trail.stage("vm.destroy"):
            machine.destroy(keep_overlay="overlay_cleanup" in passage.request.weaken)

    def _outcome(self, passage: _Passage) -> Outcome:
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

    def _reported(self, passage: _Passage) -> Outcome:
        """The outcome, its report written and on record where anything was dispatched."""
        granted, trail, outcome = passage.granted, passage.trail, self._outcome(passage)
        if (
            granted is None
            or passage.reasons in _NEVER_DISPATCHED
            or (passage.reasons == (KILLED,) and not passage.ran)
        ):
            return outcome  # nothing was dispatched: there is no run to report
        if not passage.released:
            self._remember(passage, outcome)
        with trail.stage("report"):
            trail.emit("report_event.PUBLISHED", "cp17", self._runs.publish(granted.lease_id, outcome, passage.pack))
        trail.timed("record", trail.recording_ns)
        return replace(outcome, events=tuple(trail.events), stages=tuple(trail.stages))


def drill_order(scope: Scope, intent: Intent) -> KillOrder:
    """The kill order by which a drill ends `intent`."""
    return KillOrder(
        scope, {"task": intent.intent_id, "requester": intent.requester, "all": ""}[scope], "drill", "drill"
    )

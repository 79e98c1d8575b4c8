"""A task in its machine: the sandbox made, the commands run until one does not complete, files handed back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from executor.channel.session import Denial
from executor.clock import Clock
from executor.control.kill import KILLED, KillOrder, KillSwitch, Scope
from executor.deadman import HANDLING_NS, DeadMan
from executor.errors import BugError
from executor.execution import GRACE_NS, OBEY_NS, CommandRunner, Ending, Run, Watch, exec_data
from executor.governance import Governance, Granted
from executor.intent import Command, FileIn, Intent, Limits
from executor.machine import Machine
from executor.outcome import CommandResult
from executor.passage import KILL_SWITCH, Passage
from executor.rollback.manifest import matcher
from executor.run_record import RunRecord
from executor.workspace import files_of

LAST_NS: Final = 1_000_000_000
"""What the task's own thread has for destroying a machine, before the dead man's switch does it."""
NEVER_NS: Final = 10**18
LEASE_ENDS: Final = {
    "lease_expired": ("lease_event.EXPIRED", "cp14"),
    "lease_revoked": ("lease_event.REVOKED", "cp20"),
}
"""Why a running command loses its lease: the event that says so, and who records it."""


class TaskRunner:
    """Runs tasks in machines that were taken for them, one per calling thread."""

    def __init__(
        self, governance: Governance, clock: Clock, runs: RunRecord, dead_man: DeadMan, kills: KillSwitch
    ) -> None:
        self._governance = governance
        self._clock = clock
        self._runs = runs
        self._dead_man = dead_man
        self._kills = kills
        self.running = 0
        """Commands that run now."""
        self._counting = threading.Lock()

    def run(self, passage: Passage, granted: Granted, limits: Limits) -> None:
        """Everything in the machine, under the dead man's switch; `EndError` where the guest refuses."""
        if passage.machine is None:
            raise BugError("dispatched without a machine")
        with self._dead_man.holding(passage.machine, self._allowed(passage, HANDLING_NS)) as passage.hold:
            self._idle(passage)
            self._run_commands(passage, passage.machine, granted, limits)

    def _run_commands(self, passage: Passage, machine: Machine, granted: Granted, limits: Limits) -> None:
        """Fill the workspace, run the commands until one does not complete, hand files back."""
        trail, request = passage.trail, passage.request

        def keep() -> None:
            passage.pack = self._runs.before(granted.lease_id, request.intent)
            self._governance.settle_use()
            trail.settle()

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
                raise passage.denied(refused)
            programs = (FileIn(one.path, one.content, 0o555) for one in request.intent.artefacts)
            for file in (*files_of(request.intent), *programs):
                if denial := machine.session.put_file(file):
                    raise passage.denied(denial)
        with trail.stage("rollback.pack"):
            if passage.pack is None:
                raise BugError("prepared without a pack")
            trail.emit("rollback_event.CREATED", "cp20", passage.pack.event_data())
        runner = CommandRunner(
            machine,
            self._clock,
            limits,
            Watch(
                lambda: KILL_SWITCH if passage.kill_order else self._governance.stop_reason(granted),
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
            self._extend(passage, HANDLING_NS)
            if not self._run_one(passage, runner, f"{granted.task_id}-{number}", command, longest):
                break
        if machine.alive:
            self._extend(passage, HANDLING_NS)
            self._collect(passage, machine, granted)

    def _idle(self, passage: Passage) -> None:
        """No command runs: whoever orders the task's end takes its machine away. `EndError` where that has come."""
        if (hold := passage.hold) and KILL_SWITCH not in passage.request.weaken:
            passage.killable.idle(lambda: self._dead_man.cut(hold))
        passage.check_alive()

    @staticmethod
    def _allowed(passage: Passage, duration_ns: int) -> int:
        return NEVER_NS if "dead_man" in passage.request.weaken else duration_ns

    def _extend(self, passage: Passage, duration_ns: int) -> None:
        if passage.hold:
            self._dead_man.extend(passage.hold, self._allowed(passage, duration_ns))

    @staticmethod
    def _listener(passage: Passage) -> Callable[[int, bytes], None]:
        """Passes a command's output on to whoever looks on."""
        observer = passage.request.observer
        if observer is None:
            return lambda _stream, _data: None
        return lambda stream, data: observer.output(len(passage.results) + 1, stream, data)

    def _collect(self, passage: Passage, machine: Machine, granted: Granted) -> None:
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

    def _run_one(
        self, passage: Passage, runner: CommandRunner, task_id: str, command: Command, longest_ns: int
    ) -> bool:
        """One command to its end, which takes `longest_ns` from its start at most; whether the next may run."""
        trail = passage.trail
        trail.task_id = task_id
        trail.settle()  # nothing of the task runs before all that led to it is on record
        self._idle(passage)
        begun = self._clock.monotonic_ns()
        with trail.stage("start", "guest"):
            started = runner.start(
                task_id, command, passage.request.intent.env, compromised="compromised_agent" in passage.request.weaken
            )
        if isinstance(started, Denial):
            raise passage.denied(started)
        passage.killable.busy()
        self._extend(passage, longest_ns)  # counted from here: on a crowded host the guest takes seconds to begin
        with trail.within():  # the command runs already
            run, ending, result = self._follow(passage, runner, task_id, command, started)
        if run.first_output_ns and not passage.results:
            trail.timed("first_output", run.first_output_ns - begun, "guest")
        trail.timed(f"command.{len(passage.results) + 1}", result.duration_ns, "guest")
        passage.results.append(result)
        passage.samples.extend(run.samples)
        self._record_end(passage, ending, result)
        self._idle(passage)
        return ending.effect == "completed"

    def _follow(
        self, passage: Passage, runner: CommandRunner, task_id: str, command: Command, started_ns: int
    ) -> tuple[Run, Ending, CommandResult]:
        """A started command to its end."""
        trail = passage.trail
        trail.emit("exec_event.STARTED", "cp20", {"argv0": command.argv[0]})
        if passage.request.life.revoke_while_running and not passage.ran:
            self._governance.take_back(str(trail.lease_id))
        if (scope := passage.request.life.kill_while_running) and not passage.ran:
            self._kills.pull(drill_order(scope, passage.request.intent))
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

    def _record_end(self, passage: Passage, ending: Ending, result: CommandResult) -> None:
        trail = passage.trail
        if ending.by in LEASE_ENDS:
            kind, actor = LEASE_ENDS[ending.by]
            trail.emit(kind, actor, {"while": "running"})
            self._governance.announced(trail.lease_id)
            passage.reasons = (ending.by.replace("_", ".", 1),)
        if ending.breach:
            passage.reasons = (f"quota.{ending.breach}",)
        data = exec_data(ending, result)
        if ending.by == KILL_SWITCH and (order := passage.kill_order):
            data |= order.data()
            passage.reasons = (KILLED,)
        trail.emit(f"exec_event.{ending.event}", "cp20", data, with_next=True)
        passage.effect = ending.effect


def drill_order(scope: Scope, intent: Intent) -> KillOrder:
    """The kill order by which a drill ends `intent`."""
    return KillOrder(
        scope, {"task": intent.intent_id, "requester": intent.requester, "all": ""}[scope], "drill", "drill"
    )

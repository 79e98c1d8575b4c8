"""Runs a verified lease's commands on one machine and says how each ended. IO at the rim: judgement is `endings`.

Two watches run over every command. The guest enforces its limits; the host enforces them again with a grace of its own,
and enforces the lease: expiry or revocation kills the command within a second, by force if the agent does not obey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from executor.channel.channel_pb2 import Finished, Output, Sample
from executor.channel.host import ChannelTimeoutError
from executor.channel.session import Denial
from executor.clock import Clock
from executor.errors import BugError
from executor.intent import Command, Limits
from executor.machine import Machine
from executor.outcome import CommandResult, EffectClass

GRACE_NS: Final = 5_000_000_000
"""Dead man's switch: DESIGN 5.7, assigned longer than timeout + 5 s is destroyed."""
OBEY_NS: Final = 800_000_000
"""How long the agent may take over a kill order before the machine is destroyed under it: within 1 s in all."""
MONITOR_NS: Final = 1_000_000_000
"""One `resource_event.MONITORED` a second at most; the outcome keeps every sample."""

STDOUT: Final = 1
"""`Output.stream` of standard output."""

ExecEnd = Literal["FINISHED", "KILLED", "TIMEOUT", "ABORTED"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended: the event to record, the effect to judge, and a quota's name when one was breached."""

    event: ExecEnd
    effect: EffectClass
    by: str
    breach: str = ""


_ENDINGS: Final[Mapping[int, Ending]] = {
    Finished.SIGNALED: Ending("KILLED", "killed", "signal"),
    Finished.SECCOMP: Ending("KILLED", "killed", "seccomp"),
    Finished.OOM: Ending("KILLED", "breached", "quota", "memory"),
    Finished.DISK: Ending("KILLED", "breached", "quota", "disk"),
    Finished.OUTPUT: Ending("KILLED", "breached", "quota", "output"),
    Finished.WALLCLOCK: Ending("TIMEOUT", "timeout", "guest"),
}


def ending_of(finished: Finished, killed_for: str) -> Ending:
    """The ending a `Finished` stands for. `killed_for` is the host's own reason when it ordered the end.

    The guest is not trusted with the reason: when the host ordered the kill, the host's reason counts.
    """
    if killed_for == "wallclock":
        return Ending("TIMEOUT", "timeout", "host")
    if killed_for == "output":
        return Ending("KILLED", "breached", "quota", "output")
    if killed_for:
        return Ending("KILLED", "killed", killed_for)
    if finished.cause == Finished.EXITED:
        return Ending("FINISHED", "completed" if finished.exit_code == 0 else "failed", "exit")
    return _ENDINGS.get(finished.cause, Ending("KILLED", "killed", "unknown"))


@dataclass(slots=True)
class Watch:
    """What may end a command from the host's side, asked again and again while it runs."""

    next_check_ns: Callable[[], int]
    """When to look again (monotonic)."""
    stop_reason: Callable[[], str]
    """Empty, or why the command must end now: `lease_expired`, `lease_revoked`, `kill_switch`."""


@dataclass(slots=True)
class Run:
    """One command's run, filled while it goes on."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    samples: list[dict[str, int]] = field(default_factory=list)
    started_ns: int = 0
    first_output_ns: int = 0
    monitored_ns: int = 0
    """Guest time of the last sample that was recorded."""


class CommandRunner:
    """Runs commands one after another on `machine`; `monitored` is told about a sample once a second at most."""

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        limits: Limits,
        watch: Watch,
        *,
        monitored: Callable[[dict[str, int]], None],
        heard: Callable[[int, bytes], None] = lambda _stream, _data: None,
        enforce_wallclock: bool = True,
    ) -> None:
        """`heard` is told what a command writes. `enforce_wallclock` False takes the host's own deadline away."""
        self._machine = machine
        self._clock = clock
        self._limits = limits
        self._watch = watch
        self._monitored = monitored
        self._heard = heard
        self._wallclock_ns = limits.wallclock_timeout_s * 1_000_000_000 + (GRACE_NS if enforce_wallclock else 10**15)

    def start(self, task_id: str, command: Command, env: Mapping[str, str], *, compromised: bool) -> Denial | int:
        """Start `command`; the agent's denial, or the time it runs since (monotonic ns)."""
        answer = self._machine.session.start(task_id, command, env, compromised=compromised)
        return answer if isinstance(answer, Denial) else self._clock.monotonic_ns()

    def finish(self, task_id: str, command: Command, started_ns: int, run: Run) -> tuple[Ending, CommandResult]:
        """Follow a started command to its end. Raises `OutsideError` or `FrameViolationError`: the guest is lost."""
        run.started_ns = started_ns
        finished, killed_for = self._follow(task_id, run)
        ending = ending_of(finished, killed_for)
        return ending, CommandResult(
            argv=command.argv,
            cause=killed_for or Finished.Cause.Name(finished.cause).lower(),
            exit_code=finished.exit_code,
            signal=finished.signal,
            stdout=bytes(run.stdout),
            stderr=bytes(run.stderr),
            duration_ns=self._clock.monotonic_ns() - started_ns,
            cpu_usec=finished.usage.cpu_usec,
            memory_peak_bytes=finished.usage.memory_peak_bytes,
            syscall=finished.syscall,
        )

    def _follow(self, task_id: str, run: Run) -> tuple[Finished, str]:
        deadline = run.started_ns + self._wallclock_ns
        order = ""
        while True:
            try:
                return self._pump(task_id, run, deadline, order), order
            except _StopError as stop:
                order = stop.reason
            except ChannelTimeoutError:
                if order:
                    return self._by_force(), order
                order = "wallclock"
            self._machine.session.kill(task_id, order)
            deadline = self._clock.monotonic_ns() + OBEY_NS

    def _pump(self, task_id: str, run: Run, deadline_ns: int, order: str) -> Finished:
        """Take what the command says until it has ended; `order` is the kill order already given, if any."""

        def poll() -> int:
            if not order and (reason := self._watch.stop_reason()):
                raise _StopError(reason)
            return self._watch.next_check_ns()

        for part in self._machine.session.follow(task_id, deadline_ns, poll=poll):
            if isinstance(part, Finished):
                return part
            if isinstance(part, Sample):
                self._sampled(part, run)
            else:
                self._said(part, run, order)
        raise BugError("the guest session ended without Finished")

    def _sampled(self, part: Sample, run: Run) -> None:
        run.samples.append(_sample(part))
        if part.at_ns - run.monitored_ns >= MONITOR_NS:
            run.monitored_ns = part.at_ns
            self._monitored(run.samples[-1])

    def _said(self, part: Output, run: Run, order: str) -> None:
        run.first_output_ns = run.first_output_ns or self._clock.monotonic_ns()
        (run.stdout if part.stream == STDOUT else run.stderr).extend(part.data)
        self._heard(part.stream, part.data)
        if not order and len(run.stdout) + len(run.stderr) > self._limits.output_mb * 1024 * 1024:
            raise _StopError("output")

    def _by_force(self) -> Finished:
        """The agent did not obey: the machine goes, and with it whatever still ran."""
        self._machine.destroy()
        return Finished(cause=Finished.REQUESTED, exit_code=-1, signal=9, syscall=-1)


class _StopError(Exception):
    """Leaves `follow` because the command has to end."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _sample(part: Sample) -> dict[str, int]:
    return {
        "at_ms": part.at_ns // 1_000_000,
        "cpu_usec": part.cpu_usec,
        "memory_bytes": part.memory_bytes,
        "memory_peak_bytes": part.memory_peak_bytes,
        "disk_bytes": part.disk_bytes,
        "pids": part.pids,
    }


def exec_data(ending: Ending, result: CommandResult) -> dict[str, Any]:
    """What the closing `exec_event` records of a command: numbers and digests, never its output."""
    data: dict[str, Any] = {"by": ending.by, "exit_code": result.exit_code, "signal": result.signal}
    if ending.by == "seccomp":
        data["syscall"] = result.syscall
    return data

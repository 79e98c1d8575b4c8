"""Runs a verified lease's commands on one machine and says how each ended. IO at the rim: judgement is `endings`.

Two watches run over every command. The guest enforces its limits; the host enforces them again, from the guest's
samples and from its own look at QEMU, the overlay, the output and the clock (`executor.quota` decides), and it enforces
the lease and the kill switch: what ends a command ends it within a second, by force if the agent does not obey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import Any, Final, Literal

from executor.channel.channel_pb2 import Finished, Output, Sample
from executor.channel.host import ChannelTimeoutError
from executor.channel.session import Denial
from executor.clock import Clock
from executor.errors import BugError, FrameViolationError, GuestLostError
from executor.fate import OUT_OF_DISK
from executor.intent import Command, Limits
from executor.machine import Machine
from executor.outcome import CommandResult, EffectClass
from executor.quota import MIB, QUOTAS, HostUsage, Monitor, Notice, Quota

GRACE_NS: Final = 5_000_000_000
"""Dead man's switch: DESIGN 5.7, assigned longer than timeout + 5 s is destroyed."""
LOOK_NS: Final = 100_000_000
"""How often the host looks at lease, kill switch and machine while a command runs."""
OBEY_NS: Final = 700_000_000
"""How long the agent may take over a kill order before the machine is destroyed under it: with `LOOK_NS` before and the
end of QEMU after, within 1 s in all."""
MONITOR_NS: Final = 1_000_000_000
"""One `resource_event.MONITORED` a second at most, by the host's clock: the guest's is not to be trusted with it."""
SAMPLES: Final = 4096
"""Samples kept of one command: at the agent's ten a second some seven minutes; a flood of them stays bounded."""
THROTTLED_NS: Final = 1_000_000_000
"""Once a command's output has been held back this long in all, the record says so."""

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
    Finished.PIDS: Ending("KILLED", "breached", "quota", "pids"),
    Finished.WALLCLOCK: Ending("TIMEOUT", "timeout", "guest"),
}


def ending_of(finished: Finished, killed_for: str) -> Ending:
    """The ending a `Finished` stands for. `killed_for` is the host's own reason when it ordered the end.

    The guest is not trusted with the reason: when the host ordered the kill, the host's reason counts.
    """
    if killed_for == "wallclock":
        return Ending("TIMEOUT", "timeout", "host")
    if killed_for in QUOTAS:
        return Ending("KILLED", "breached", "quota", killed_for)
    if killed_for:
        return Ending("KILLED", "killed", killed_for)
    if finished.cause == Finished.EXITED:
        return Ending("FINISHED", "completed" if finished.exit_code == 0 else "failed", "exit")
    return _ENDINGS.get(finished.cause, Ending("KILLED", "killed", "unknown"))


@dataclass(slots=True)
class Watch:
    """What the path has the runner ask and tell while a command runs."""

    stop_reason: Callable[[], str]
    """Empty, or why the command must end now: `lease_expired`, `lease_revoked`, `kill_switch`."""
    monitored: Callable[[dict[str, int]], None]
    """Told about a sample once a second at most."""
    noticed: Callable[[Notice], None]
    """Told about every alert and breach, in the order in which they are to be recorded."""
    throttled: Callable[[int], None] = lambda _held_ns: None
    """Told once how long the guest has been held back, when that is long."""
    heard: Callable[[int, bytes], None] = lambda _stream, _data: None
    """Told what the command writes."""
    foreseen: Callable[[Command], Iterable[tuple[Quota, int, int]]] = lambda _command: ()
    """(quota, use, limit) of what the forecast says a command will breach."""


@dataclass(slots=True)
class Run:
    """One command's run, filled while it goes on."""

    monitor: Monitor
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    samples: list[dict[str, int]] = field(default_factory=list)
    started_ns: int = 0
    first_output_ns: int = 0
    monitored_ns: int = 0
    """When a sample was last recorded (monotonic)."""
    held_ns: int = 0
    """How long the channel had been held back before the command; -1 once it was told of."""
    written: int = 0
    """Bytes of output that have arrived; no more than the limit of them are kept."""
    host: HostUsage = field(default_factory=HostUsage)
    look_ns: int = 0
    """When the host looks again (monotonic)."""


class CommandRunner:
    """Runs commands one after another on `machine`."""

    def __init__(
        self, machine: Machine, clock: Clock, limits: Limits, watch: Watch, *, weaken: frozenset[str] = frozenset()
    ) -> None:
        """`weaken`: controls a drill takes away; of interest here are `host_wallclock`, `host_quota`, `alert`."""
        self._machine = machine
        self._clock = clock
        self._limits = limits
        self._watch = watch
        self._weaken = weaken
        self._overlay_before = machine.overlay_bytes()
        grace = 10**15 if "host_wallclock" in weaken else GRACE_NS
        self._wallclock_ns = limits.wallclock_timeout_s * 1_000_000_000 + grace

    def new_run(self) -> Run:
        """What the next command's run is kept in."""
        return Run(Monitor(self._limits, self._machine.bounds, overlay_before=self._overlay_before, off=self._weaken))

    def start(self, task_id: str, command: Command, env: Mapping[str, str], *, compromised: bool) -> Denial | int:
        """Start `command`; the agent's denial, or the time it runs since (monotonic ns)."""
        answer = self._machine.session.start(task_id, command, env, compromised=compromised)
        return answer if isinstance(answer, Denial) else self._clock.monotonic_ns()

    def finish(self, task_id: str, command: Command, started_ns: int, run: Run) -> tuple[Ending, CommandResult]:
        """Follow a started command to its end. Raises `OutsideError` or `FrameViolationError`: the guest is lost."""
        run.started_ns = started_ns
        run.held_ns = self._held_ns()
        for quota, used, limit in self._watch.foreseen(command):
            self._notice(run.monitor.foreseen(quota, used, limit))
        finished, killed_for = self._follow(task_id, run)
        ending = ending_of(finished, killed_for)
        self._notice_end(ending, finished, run)
        return ending, CommandResult(
            argv=command.argv,
            cause=killed_for or _cause(finished),
            exit_code=finished.exit_code,
            signal=finished.signal,
            stdout=bytes(run.stdout),
            stderr=bytes(run.stderr),
            duration_ns=self._clock.monotonic_ns() - started_ns,
            cpu_usec=finished.usage.cpu_usec,
            memory_peak_bytes=finished.usage.memory_peak_bytes,
            syscall=finished.syscall,
        )

    def _notice(self, notices: Iterable[Notice]) -> None:
        """Tell; a breach ends the command."""
        breach = ""
        for notice in notices:
            self._watch.noticed(notice)
            breach = notice.quota if notice.kind == "BREACH" else breach
        if breach:
            raise _StopError(breach)

    def _notice_end(self, ending: Ending, finished: Finished, run: Run) -> None:
        """What the guest's own end of the command amounts to, where nothing was said of it yet."""
        limits, usage = self._limits, finished.usage
        figures: dict[str, tuple[Quota, int, int]] = {
            "memory": ("memory", usage.memory_peak_bytes, limits.mem_quota_mb * MIB),
            "disk": ("disk", usage.disk_bytes, limits.disk_quota_mb * MIB),
            "output": ("output", run.written, limits.output_mb * MIB),
            "pids": ("pids", usage.pids, limits.pids),
            "wallclock": ("wallclock", finished.duration_ns // 1_000_000, limits.wallclock_timeout_s * 1000),
        }
        found = figures.get("wallclock" if ending.event == "TIMEOUT" else ending.breach)
        if found and not run.monitor.breached:
            for notice in run.monitor.ended(*found):
                self._watch.noticed(notice)

    def _follow(self, task_id: str, run: Run) -> tuple[Finished, str]:
        deadline = run.started_ns + self._wallclock_ns
        order = ""
        while True:
            try:
                if order:
                    self._machine.session.kill(task_id, order)
                    deadline = self._clock.monotonic_ns() + OBEY_NS
                return self._pump(task_id, run, deadline, order), order
            except _StopError as stop:
                order = stop.reason
            except ChannelTimeoutError:
                if order:
                    return self._by_force(), order
                order = "wallclock"
            except (GuestLostError, FrameViolationError):
                if order:
                    return self._by_force(), order  # whatever it did in place of obeying: it is over
                raise

    def _pump(self, task_id: str, run: Run, deadline_ns: int, order: str) -> Finished:
        """Take what the command says until it has ended; `order` is the kill order already given, if any."""

        def poll() -> int:
            if order:
                return deadline_ns
            if self._clock.monotonic_ns() >= run.look_ns:
                self._look(run)
                run.look_ns = self._clock.monotonic_ns() + LOOK_NS
            return run.look_ns

        for part in self._machine.session.follow(task_id, deadline_ns, poll=poll):
            if isinstance(part, Finished):
                return part
            if isinstance(part, Sample):
                self._sampled(part, run, order)
            else:
                self._said(part, run, order)
        raise BugError("the guest session ended without Finished")

    def _look(self, run: Run) -> None:
        """The host's own look; raises `_StopError` when the command has to end."""
        if reason := self._watch.stop_reason():
            raise _StopError(reason)
        at_ms = (self._clock.monotonic_ns() - run.started_ns) // 1_000_000
        if (fate := self._machine.fate(0)) and fate.code == OUT_OF_DISK:
            raise GuestLostError(fate.words)  # it stands still; nothing else will say so
        run.host = self._machine.usage()
        self._notice(run.monitor.elapsed(at_ms))
        self._notice(run.monitor.looked(run.host, at_ms))
        held = self._held_ns()
        if run.held_ns >= 0 and held - run.held_ns >= THROTTLED_NS:
            self._watch.throttled(held - run.held_ns)
            run.held_ns = -1

    def _held_ns(self) -> int:
        return self._machine.session.statistics().get("throttled_ns", 0)

    def _sampled(self, part: Sample, run: Run, order: str) -> None:
        sample = _sample(part) | _host_sample(run)
        if len(run.samples) < SAMPLES:
            run.samples.append(sample)
        now = self._clock.monotonic_ns()
        if now - (run.monitored_ns or run.started_ns) >= MONITOR_NS:
            run.monitored_ns = now
            if not order:
                self._watch.monitored(sample)
        if not order:
            self._notice(run.monitor.sampled(sample))

    def _said(self, part: Output, run: Run, order: str) -> None:
        run.first_output_ns = run.first_output_ns or self._clock.monotonic_ns()
        room = max(0, self._limits.output_mb * MIB - run.written)
        run.written += len(part.data)
        kept = part.data[:room]
        (run.stdout if part.stream == STDOUT else run.stderr).extend(kept)
        self._watch.heard(part.stream, kept)
        if not order:
            self._notice(run.monitor.written(run.written))

    def _by_force(self) -> Finished:
        """The agent did not obey: the machine goes, and with it whatever still ran."""
        self._machine.destroy()
        return Finished(cause=Finished.REQUESTED, signal=SIGKILL, syscall=-1)  # as an agent that obeys says it


def _cause(finished: Finished) -> str:
    """The cause's name; a number nobody knows (the channel refuses it) is no error of ours."""
    known = {number: name.lower() for name, number in Finished.Cause.items()}
    return known.get(finished.cause, "unknown")


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
        "fds": part.fds,
    }


def _host_sample(run: Run) -> dict[str, int]:
    """What the host saw when it last looked."""
    return {
        "host_cpu_usec": run.host.cpu_usec,
        "host_memory_bytes": run.host.memory_bytes,
        "overlay_bytes": run.host.overlay_bytes,
        "output_bytes": run.written,
    }


def exec_data(ending: Ending, result: CommandResult) -> dict[str, Any]:
    """What the closing `exec_event` records of a command: numbers and digests, never its output."""
    data: dict[str, Any] = {"by": ending.by, "exit_code": result.exit_code, "signal": result.signal}
    if ending.by == "seccomp":
        data["syscall"] = result.syscall
    if ending.breach:
        data["quota"] = ending.breach
    return data

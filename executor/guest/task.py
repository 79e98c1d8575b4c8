"""One command while it runs: output, samples, limits, and its end. Rim; why it ended is judged in `ending`."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final, Protocol

from executor.channel import channel_pb2 as pb
from executor.guest.cgroup import Group
from executor.guest.ending import Cause, Ending, Facts, SeccompKill, judge, parse_audit
from executor.guest.workspace import Workspace

SAMPLE_S: Final = 0.2
READ_BYTES: Final = 64 * 1024
BACKLOG_BYTES: Final = 256 * 1024
"""While this much waits for the host, the task's pipes are not read: the task blocks, the agent's memory stays flat."""
AUDIT_PATIENCE_S: Final = 0.25
"""The kernel writes audit records from a thread of its own, a moment after the kill."""


class Process(Protocol):
    """What a task needs of whatever runs its command."""

    group: Group
    pid: int
    stdout: int
    stderr: int
    answer: int

    def wait_status(self) -> int | None:
        """The command's wait status once `answer` is readable."""

    def end(self) -> None:
        """Kill and reap everything."""


class KernelLog:
    """Seccomp kills, read from the kernel's log from where it stood at the beginning."""

    def __init__(self) -> None:
        """Open the log at its end."""
        self._fd: Final = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)

    def kills(self) -> list[SeccompKill]:
        """Kills logged since the last call."""
        found: list[SeccompKill] = []
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return found
            except BrokenPipeError:
                continue  # records were overwritten before they were read: the next read goes on behind them
            kill = parse_audit(record.decode(errors="replace"))
            if kill is not None:
                found.append(kill)

    def close(self) -> None:
        """Let go of the log."""
        os.close(self._fd)


class Task:
    """A started command."""

    def __init__(
        self,
        task_id: str,
        process: Process,
        workspace: Workspace,
        *,
        send: Callable[[pb.FromGuest], None],
        wallclock_s: int | None,
        output_bytes: int | None,
    ) -> None:
        """Limits that are None are not enforced here."""
        self.task_id: Final = task_id
        self._process: Final = process
        self._workspace: Final = workspace
        self._send: Final = send
        self._log: Final = KernelLog()
        self._output_left = output_bytes
        self._enforced: Final = wallclock_s is not None
        self._stopped: Cause | None = None
        self._open = {process.stdout: 1, process.stderr: 2}
        self.started_ns: Final = time.monotonic_ns()
        self.deadline_ns: Final = None if wallclock_s is None else self.started_ns + wallclock_s * 1_000_000_000
        self._next_sample_ns = self.started_ns + int(SAMPLE_S * 1e9)
        self._status: int | None = None

    def descriptors(self, *, backlog: int) -> list[int]:
        """What to poll for reading now."""
        pipes = list(self._open) if backlog < BACKLOG_BYTES else []
        return [*pipes, self._process.answer]

    def timeout_ms(self) -> int:
        """Until the next thing that happens by itself."""
        due = self._next_sample_ns if self.deadline_ns is None else min(self._next_sample_ns, self.deadline_ns)
        return max(0, -(-(due - time.monotonic_ns()) // 1_000_000))

    def readable(self, descriptor: int) -> bool:
        """Handle a readable descriptor; whether the command has ended."""
        if descriptor == self._process.answer:
            self._status = self._process.wait_status()
            return True
        self._read(descriptor)
        return self._stopped is not None

    def tick(self) -> bool:
        """Handle what is due by time; whether the command has to end."""
        now = time.monotonic_ns()
        if self.deadline_ns is not None and now >= self.deadline_ns:
            self._stopped = "WALLCLOCK"
        elif now >= self._next_sample_ns:
            self._next_sample_ns = now + int(SAMPLE_S * 1e9)
            sample = self.sample()
            self._send(pb.FromGuest(sample=sample))
            if self._workspace.over_quota():
                self._stopped = "DISK"
            elif sample.forks_refused and self._enforced:
                self._stopped = "PIDS"
        return self._stopped is not None

    def stop(self, cause: Cause) -> None:
        """Note why the agent ends the command."""
        self._stopped = self._stopped or cause

    def sample(self) -> pb.Sample:
        """Figures as of now."""
        usage = self._process.group.usage()
        return pb.Sample(
            task_id=self.task_id,
            at_ns=time.monotonic_ns() - self.started_ns,
            cpu_usec=usage.cpu_usec,
            memory_bytes=usage.memory_bytes,
            memory_peak_bytes=usage.memory_peak_bytes,
            disk_bytes=self._workspace.used_bytes(),
            pids=max(0, usage.pids - 1),  # the launcher does not count
            fds=usage.fds,
            forks_refused=usage.forks_refused,
        )

    def _read(self, descriptor: int) -> bool:
        """Pass a piece of output on; False when there is none at the moment."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            del self._open[descriptor]
            return False
        if self._output_left is not None:
            if len(data) > self._output_left:
                data = data[: self._output_left]
                self._stopped = self._stopped or "OUTPUT"
            self._output_left -= len(data)
        if data:
            output = pb.Output(task_id=self.task_id, stream=self._open[descriptor], data=data)
            self._send(pb.FromGuest(output=output))
        return True

    def finish(self) -> pb.Finished:
        """Kill what is left, read what the pipes still hold, and say how it ended."""
        duration = time.monotonic_ns() - self.started_ns
        usage = self.sample()
        oom_kills = self._process.group.oom_kills()
        forks_refused = usage.forks_refused if self._enforced else 0
        self._process.end()
        # The writers are dead: each pipe holds at most its capacity, then ends.
        for descriptor in list(self._open):
            while self._read(descriptor):
                pass
        over = self._workspace.over_quota()
        ending = self._judge(oom_kills, over=over, forks_refused=forks_refused)
        self._log.close()
        return pb.Finished(
            task_id=self.task_id,
            cause=getattr(pb.Finished, ending.cause),
            exit_code=ending.exit_code,
            signal=ending.signal,
            syscall=ending.syscall,
            usage=usage,
            duration_ns=duration,
        )

    def _judge(self, oom_kills: int, *, over: bool, forks_refused: int) -> Ending:
        kills = self._log.kills()
        killed = self._status is None or os.WIFSIGNALED(self._status)
        explained = self._stopped is not None or oom_kills > 0
        until = time.monotonic() + (AUDIT_PATIENCE_S if killed and not explained else 0)
        while not kills and time.monotonic() < until:
            select.select([], [], [], 0.005)
            kills = self._log.kills()
        return judge(
            Facts(
                wait_status=self._status,
                stopped_for=self._stopped,
                oom_kills=oom_kills,
                seccomp=tuple(kills),
                disk_over=over,
                forks_refused=forks_refused,
            )
        )

"""The guest's agent, as a conversation: the same steps and refusals as executor/guest/agent.py, on the modelled kernel.

Its judgement is not a copy: scope, configuration, environment, capability check and the reason of an end come from the
agent's own pure modules (executor/guest: scope, sandbox_plan, launch_request, capability, ending, workspace).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from executor.channel.channel_pb2 import Finished, Output, Sample
from executor.channel.ioguard import IOGuard
from executor.errors import GuestLostError
from executor.guest import compromised, sandbox_plan
from executor.guest.ending import Facts, judge
from executor.guest.errors import DeniedError
from executor.guest.sandbox_plan import WORKSPACE
from executor.guest.task import BACKLOG_BYTES, READ_BYTES, SAMPLE_S
from executor.guest.workspace import SCRATCH
from executor.intent import FileIn
from executor.outcome import CollectedFile
from executor.sim.agent import launch
from executor.sim.agent.preparation import Lease, Preparation
from executor.sim.agent.sources import document
from executor.sim.agent.task import MIB, Task
from executor.sim.clock import SimClock
from executor.sim.files import sandbox
from executor.sim.files.world import World
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.kernel.group import Group
from executor.sim.kernel.kernel import Kernel
from executor.sim.kernel.process import Process
from executor.sim.network.segment import Segment
from executor.sim.puppeteer import Zygote

OVERHEAD: Final = 64
"""Bytes of header and envelope around a piece of output, as the rate limit of the channel counts them."""
OUTSIDE_S: Final = 5.0
"""Real seconds somebody outside has to act at the moment the clock stands at."""


class Guest:
    """One machine's agent and the task it runs."""

    def __init__(
        self,
        clock: SimClock,
        zygote: Zygote,
        vm_id: str,
        seed: int,
        weaken: frozenset[str],
        segment: Segment | None = None,
    ) -> None:
        """Boot and configure it; `weaken` are the guest's controls that a drill takes away, `segment` its card's."""
        self.segment: Final = segment
        self.clock: Final = clock
        self.weaken: Final = weaken
        self.vm_id: Final = vm_id
        self.world: Final = World(clock.monotonic_ns(), seed, vm_id, hardened="lockdown" not in weaken, segment=segment)
        self.kernel: Final = Kernel(clock, zygote, self.world, seed)
        self.world.members = self.kernel.processes.values
        self.guard: IOGuard | None = IOGuard(clock.monotonic_ns())
        self._agent: Final = launch.guest_process(self.world, 60, "python3")
        self._agent.argv = ("python3", "/agent/main.py")
        self.kernel.agent = self._agent
        self._prepared: Preparation | None = None
        self.task: Task | None = None
        self.outbound: deque[Output | Sample | Finished] = deque()
        self.backlog = 0
        self.lost: Final = threading.Event()
        self.held_ns = 0
        """How long the channel's rate limit has kept the guest waiting."""
        self._held_since = 0

    # Prepare --------------------------------------------------------------------------------------------------------

    def prepare(self, lease: Lease) -> None:
        """Build the sandbox; raises `DeniedError`."""
        self._prepared = Preparation(self.world, lease, self.vm_id, self.weaken)

    @property
    def prepared(self) -> Preparation:
        """The sandbox; there after `prepare`."""
        if self._prepared is None:
            raise DeniedError("guest.bug", "no sandbox yet")
        return self._prepared

    def container(self) -> Process:
        """A fresh sandbox with its first process, the launcher, waiting."""
        terms = self.prepared.terms
        config = sandbox_plan.config(
            terms, root="/run/cordon/root", workspace=f"{SCRATCH}/1/workspace", cgroup="/cordon/t1001",
            seccomp=document("seccomp.json"),
        )  # fmt: skip
        own = "pid" in {entry["type"] for entry in config["linux"]["namespaces"]}
        self.kernel.begin()
        if not own:
            for pid, name in ((1, "init"), (2, "kthreadd")):
                self.kernel.processes[pid] = launch.guest_process(self.world, pid, name)
            self.kernel.processes[60] = self._agent
        table = sandbox.mounts_of(self.world, config, self.kernel.processes.values)
        launcher = launch.launcher(self.world, config, table, 1 if own else 101, sandbox_plan.lowered(terms))
        self.kernel.processes[launcher.pid] = launcher
        self.kernel.next_pid = (pid for pid in range(launcher.pid + 1, 1 << 22) if pid not in self.kernel.processes)
        pids = terms.limits.pids + 1 if terms.has("cgroup") else 0
        self.kernel.group = Group.of(config["linux"].get("resources", {}), pids=pids)
        return launcher

    # Files in and out -----------------------------------------------------------------------------------------------

    def put_file(self, given: FileIn) -> None:
        """Store a file; raises `DeniedError`."""
        self.prepared.put_file(given)

    def collect(self, paths: Iterable[str]) -> tuple[CollectedFile, ...]:
        """Files at or below `paths`."""
        if self._prepared is None:
            return ()
        return self._prepared.workspace.collect(paths, checked="collect_check" not in self.weaken)

    # Commands -------------------------------------------------------------------------------------------------------

    def start(self, task_id: str, argv: Sequence[bytes], cwd: str, env: Mapping[str, str], *, compromised: bool) -> int:
        """Start a command; its process id. Raises `DeniedError`."""
        if compromised:
            if "compromised_agent" not in self.weaken:
                raise DeniedError("guest.compromised_not_enabled", "this VM was not weakened for it")
            return self._taken_over(task_id, argv)
        launcher = self.container()
        path, given = self.prepared.checked(launcher, argv, cwd, env)
        environment = {name: value.decode("utf-8", "surrogateescape") for name, value in given.items()}
        words = [one.decode("utf-8", "surrogateescape") for one in argv]
        task = self._new_task(task_id, launcher)
        task.main = launch.child(self.kernel, launcher, words, environment, task)
        launch.execute(self.kernel, task.main, path, cwd or WORKSPACE, words)
        return launcher.pid

    def _new_task(self, task_id: str, launcher: Process) -> Task:
        terms = self._prepared.terms if self._prepared else None
        limits = terms.limits if terms else sandbox_plan.Limits()
        task = Task(task_id, launcher, self.clock.monotonic_ns())
        if terms is None or terms.has("quota"):
            task.deadline_ns = task.started_ns + limits.wallclock_timeout_s * 1_000_000_000
            task.output_left = limits.output_mb * MIB
        self.kernel.kills.clear()
        self.task = task
        return task

    def _taken_over(self, task_id: str, argv: Sequence[bytes]) -> int:
        """A command as the guest's root, outside every sandbox (executor/guest/compromised.py)."""
        if argv[1:2] == [compromised.INSIDE]:
            raise UnmodelledError("a program inside the agent's own process")
        here = f"{WORKSPACE}/".encode()
        inside = f"{SCRATCH}/1/workspace/".encode()
        argv = [inside + word.removeprefix(here) if word.startswith(here) else word for word in argv]
        self.kernel.begin()
        for pid, name in ((1, "init"), (2, "kthreadd")):
            self.kernel.processes[pid] = launch.guest_process(self.world, pid, name)
        self.kernel.processes[60] = self._agent
        self.kernel.next_pid = iter(range(70, 1 << 22))
        self.kernel.group = Group()
        task = self._new_task(task_id, self._agent)
        words = [one.decode("utf-8", "surrogateescape") for one in argv]
        child = launch.child(self.kernel, self._agent, words, {"PATH": "/usr/sbin:/usr/bin", "HOME": "/"}, task)
        child.limits = {7: launch.NOFILE_WITHOUT}
        task.main = child
        paths = [words[0]] if "/" in words[0] else [f"{one}/{words[0]}" for one in ("/usr/sbin", "/usr/bin")]
        path = next((one for one in paths if launch.is_there(child, one)), paths[-1])
        launch.execute(self.kernel, child, path, "/", words)
        return child.pid

    # While it runs --------------------------------------------------------------------------------------------------

    def advance(self, until_ns: int) -> Output | Sample | Finished | None:  # noqa: C901 - one turn of the clockwork
        """Let the guest go on until it has something to say to the host; None when `until_ns` comes first."""
        while True:
            now = self.clock.monotonic_ns()
            outside = self.clock.outside_ns()
            if outside is not None and now >= outside:
                self.lost.wait(OUTSIDE_S)
            if self.lost.is_set() or self.kernel.agent_lost:
                self.close()
                raise GuestLostError("the machine was destroyed" if self.lost.is_set() else "the agent is gone")
            wait = 0
            if self.outbound:
                first = self.outbound[0]
                wait = self._wait_for(first, now)
                if wait > 0:
                    self._held_since = self._held_since or now
                elif self._held_since:
                    self.held_ns, self._held_since = self.held_ns + now - self._held_since, 0
                if wait <= 0:
                    self.outbound.popleft()
                    self.backlog -= len(first.data) if isinstance(first, Output) else 0
                    return first
            if now >= until_ns:
                return None
            task = self.task
            moments = [until_ns, *([now + wait] if self.outbound else []), *([outside] if outside else [])]
            if task is not None:
                if self._due(task, now) or self._over(task):
                    self._finish(task)
                    continue
                if self._drain(task, whole=False):
                    continue
                moments += [task.sample_ns, *([task.deadline_ns] if task.deadline_ns else [])]
                if not self.kernel.idle:
                    self.kernel.due_ns = min(moments)
                    self._turns(task)
                    continue
                due = self.kernel.next_ns()
                moments += [due] if due is not None else []
            self.clock.wait_until(min(moments))
            self.kernel.tick()

    def _turns(self, task: Task) -> None:
        """Let processes go on until something is due or said, or nobody can."""
        kernel = self.kernel
        kernel.over_time = False
        while True:
            kernel.step()
            if kernel.idle or kernel.over_time or task.stdout.buffer or task.stderr.buffer or self._over(task):
                return
            if self.clock.monotonic_ns() >= kernel.due_ns or self.lost.is_set() or kernel.agent_lost:
                return

    def _wait_for(self, part: Output | Sample | Finished, now: int) -> int:
        """How long the channel's rate limit holds `part` back; 0: it has gone through."""
        if self.guard is None:
            return 0
        size = OVERHEAD + (len(part.data) if isinstance(part, Output) else 0)
        if self.guard.allowance(now) >= size:
            self.guard.spend(size)
            return 0
        return max(1, self.guard.wait_ns(size))

    def _due(self, task: Task, now: int) -> bool:
        """What happens by itself: the wall clock, and a sample with a look at the quota."""
        if task.deadline_ns and now >= task.deadline_ns:
            task.stopped = task.stopped or "WALLCLOCK"
        elif now >= task.sample_ns:
            task.sample_ns = now + int(SAMPLE_S * 1e9)
            self.outbound.append(self.sample(task))
            if self._over_quota():
                task.stopped = task.stopped or "DISK"
            elif self.kernel.group.forks_refused and task.output_left is not None:
                task.stopped = task.stopped or "PIDS"
        return task.stopped is not None

    def disk_bytes(self) -> int:
        """Bytes the task has written that count for its quota."""
        return self._prepared.workspace.used() if self._prepared else 0

    def _over_quota(self) -> bool:
        return self._prepared is not None and self._prepared.workspace.over()

    @staticmethod
    def _over(task: Task) -> bool:
        return task.main is None or not task.main.alive

    def _drain(self, task: Task, *, whole: bool) -> bool:
        """Read the task's pipes as far as the channel takes it; whether there was anything."""
        moved = False
        for stream, pipe in ((1, task.stdout), (2, task.stderr)):
            while pipe.buffer and (whole or self.backlog < BACKLOG_BYTES):
                data = bytes(pipe.buffer[:READ_BYTES])
                del pipe.buffer[:READ_BYTES]
                moved = True
                if task.output_left is not None:
                    if len(data) > task.output_left:
                        data = data[: task.output_left]
                        task.stopped = task.stopped or "OUTPUT"
                    task.output_left -= len(data)
                if data:
                    self.outbound.append(Output(task_id=task.task_id, stream=stream, data=data))
                    self.backlog += len(data)
        if moved:
            self.kernel.tick()
        return moved

    def stop(self, task_id: str) -> None:
        """The host's kill order."""
        if self.task is not None and task_id in {"", self.task.task_id}:
            self.task.stopped = self.task.stopped or "REQUESTED"
            self._finish(self.task)

    def sample(self, task: Task) -> Sample:
        """Figures as of now."""
        return Sample(
            task_id=task.task_id,
            at_ns=self.clock.monotonic_ns() - task.started_ns,
            cpu_usec=self.kernel.group.cpu_ns // 1000,
            memory_bytes=self.kernel.group.memory,
            memory_peak_bytes=self.kernel.group.memory_peak,
            disk_bytes=self.disk_bytes(),
            pids=max(0, self.kernel.counted() - 1),
            fds=max((len(one.files) for one in self.kernel.processes.values() if one.confined), default=0),
            forks_refused=self.kernel.group.forks_refused,
        )

    def _finish(self, task: Task) -> None:
        """Kill what is left, read what the pipes hold, say how it ended."""
        usage = self.sample(task)
        status = task.main.status if task.main is not None else None
        if self.kernel.group.oom_kills:
            status = None
        self.kernel.finish(all_of_them=False)
        self._drain(task, whole=True)
        ending = judge(
            Facts(
                wait_status=status if status is not None and task.main is not None else None,
                stopped_for=task.stopped,
                oom_kills=self.kernel.group.oom_kills,
                seccomp=tuple(self.kernel.kills),
                disk_over=self._over_quota(),
                forks_refused=self.kernel.group.forks_refused if task.output_left is not None else 0,
            )
        )
        self.task = None
        self.outbound.append(
            Finished(
                task_id=task.task_id,
                cause=getattr(Finished, ending.cause),
                exit_code=ending.exit_code,
                signal=ending.signal,
                syscall=ending.syscall,
                usage=usage,
                duration_ns=self.clock.monotonic_ns() - task.started_ns,
            )
        )

    def lose(self) -> None:
        """It is destroyed; who follows it is told at once."""
        self.lost.set()

    def close(self) -> None:
        """End every puppet."""
        self.kernel.finish()

"""The guest's agent, as a conversation: the same steps and refusals as executor/guest/agent.py, on the modelled kernel.

Its judgement is not a copy: scope, configuration, environment, capability check and the reason of an end come from the
agent's own pure modules (executor/guest: scope, sandbox_plan, launch_request, capability, ending, workspace).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from executor.channel.channel_pb2 import Finished, Output, Sample
from executor.channel.ioguard import IOGuard
from executor.errors import GuestLostError
from executor.guest import artefact, compromised, launch_request, sandbox_plan
from executor.guest.capability import Programs
from executor.guest.ending import Cause, Facts, judge
from executor.guest.errors import DeniedError
from executor.guest.sandbox_plan import TASK_UID, WORKSPACE
from executor.guest.scope import Writable, writable
from executor.guest.task import BACKLOG_BYTES, READ_BYTES, SAMPLE_S
from executor.guest.workspace import INODE_SLACK, MAX_DEPTH, SCRATCH, SLACK_KIB, quota_for, relative
from executor.intent import FileIn, Limits
from executor.outcome import CollectedFile
from executor.sim import rootfs
from executor.sim.calls_processes import become, root_credentials, runnable
from executor.sim.clock import SimClock
from executor.sim.filter import Filter
from executor.sim.kernel import Kernel
from executor.sim.mounts import MountTable, Place, Walk
from executor.sim.nodes import Dentry, Node, Quota, error, file, folder
from executor.sim.process import (
    CAPS,
    Credentials,
    Namespaces,
    OpenFile,
    Pipe,
    Process,
    UnmodelledError,
)
from executor.sim.puppeteer import Zygote
from executor.sim.segment import Segment
from executor.sim.world import World

GUEST: Final = Path(__file__).parent.parent / "guest"
MIB: Final = 1024 * 1024
OVERHEAD: Final = 64
"""Bytes of header and envelope around a piece of output, as the rate limit of the channel counts them."""
_SEARCH: Final = ("/usr/bin", "/bin")
RLIMITS: Final = {
    "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14,
}  # fmt: skip
STATUS_HANDLE: Final = 4
"""Where the launcher tells the agent the command's wait status (fixtures/gold_image/launch.c)."""
NOFILE_WITHOUT: Final = (1024, 524288)
"""RLIMIT_NOFILE where nobody set one."""
COLLECT_BYTES: Final = 8 * MIB
COLLECT_FILES: Final = 4096
OUTSIDE_S: Final = 5.0
"""Real seconds somebody outside has to act at the moment the clock stands at."""


@lru_cache(maxsize=2)
def _json(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GUEST / name).read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=1)
def groups() -> Mapping[str, int]:
    """Capability -> group, from the very map the image was built with."""
    return {name: int(entry["gid"]) for name, entry in _json("capability_map.json")["capabilities"].items()}


@lru_cache(maxsize=1)
def _filter() -> Filter:
    return Filter.of(_json("seccomp.json"))


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
        self.workspace: Workspace | None = None
        self._agent: Final = self._guest_process(60, "python3")
        self._agent.argv = ("python3", "/agent/main.py")
        self.kernel.agent = self._agent
        self._terms: sandbox_plan.Terms | None = None
        self._lease: Lease | None = None
        self.task: Task | None = None
        self.outbound: deque[Output | Sample | Finished] = deque()
        self.backlog = 0
        self.lost: Final = threading.Event()
        self.held_ns = 0
        """How long the channel's rate limit has kept the guest waiting."""
        self._held_since = 0

    def _guest_process(self, pid: int, name: str, uid: int = 0) -> Process:
        table = self.world.guest
        root = Place(table.root, table.root.root)
        made = Process(pid, None, root_credentials(), table, root, root, program=name, argv=(name,))
        made.environment = {"HOME": "/", "TERM": "linux"}
        made.dumpable = uid == 0
        made.group = made.session = 0 if name == "kthreadd" else pid
        return made

    # Prepare --------------------------------------------------------------------------------------------------------

    def prepare(self, lease: Lease) -> None:
        """Build the sandbox; raises `DeniedError`."""
        capabilities = frozenset(lease.capabilities)
        by_identity = {
            (1, id(node)): name
            for name, nodes in rootfs.image_programs(tuple((gid, name) for name, gid in groups().items())).items()
            for node in nodes
        }
        programs = Programs(by_identity, groups(), 1)
        programs.check_known(capabilities)
        given = lease.limits
        limits = sandbox_plan.Limits(
            given.cpu_quota, given.mem_quota_mb, given.disk_quota_mb, given.wallclock_timeout_s, given.fd_limit,
            given.pids, given.output_mb,
        )  # fmt: skip
        sandbox_plan.check_limits(limits)
        places = writable(lease.paths_write)
        named = dict(lease.artefacts)
        if len(named) != len(lease.artefacts):
            raise DeniedError("guest.artefact_name", "two artefacts of one name")
        artefact.check_named(named, capabilities)
        shown = frozenset(groups()) if "capability_map" in self.weaken else capabilities
        terms = sandbox_plan.Terms(
            capabilities=capabilities,
            groups=programs.gids(shown),
            exec_lists=programs.exec_lists(shown),
            trees=tuple(place.path for place in places),
            limits=limits,
            hostname=self.vm_id,
            weaken=self.weaken,
            resolver="/etc/resolv.conf" if self.world.segment else "",
            artefacts=f"{SCRATCH}/1/artefact" if named else "",
        )
        owner = TASK_UID if terms.has("unprivileged_user") else 0
        self.workspace = Workspace(self.world, places, limits.disk_quota_mb if terms.has("quota") else 0, owner)
        self._terms, self._lease, self._programs = terms, lease, programs
        self.artefacts = Artefacts(self.world, named, checked=terms.has("artefact_check"))

    @property
    def terms(self) -> sandbox_plan.Terms:
        """The terms of the sandbox; there after `prepare`."""
        if self._terms is None:
            raise DeniedError("guest.bug", "no sandbox yet")
        return self._terms

    def container(self) -> Process:
        """A fresh sandbox with its first process, the launcher, waiting."""
        terms = self.terms
        config = sandbox_plan.config(
            terms, root="/run/cordon/root", workspace=f"{SCRATCH}/1/workspace", cgroup="/cordon/t1001",
            seccomp=_json("seccomp.json"),
        )  # fmt: skip
        own = "pid" in {entry["type"] for entry in config["linux"]["namespaces"]}
        self.kernel.begin()
        if not own:
            for pid, name in ((1, "init"), (2, "kthreadd")):
                self.kernel.processes[pid] = self._guest_process(pid, name)
            self.kernel.processes[60] = self._agent
        table = self.world.sandbox(config, self.kernel.processes.values)
        launcher = self._launcher(config, table, 1 if own else 101)
        self.kernel.processes[launcher.pid] = launcher
        self.kernel.next_pid = (pid for pid in range(launcher.pid + 1, 1 << 22) if pid not in self.kernel.processes)
        limits = config["linux"].get("resources", {})
        self.kernel.pids_limit = terms.limits.pids + 1 if terms.has("cgroup") else 0
        self.kernel.memory_limit = limits.get("memory", {}).get("limit", 0)
        return launcher

    def _launcher(self, config: Mapping[str, Any], table: MountTable, pid: int) -> Process:
        wanted = config["process"]
        root = Place(table.root, table.root.root)
        made = Process(pid, None, _credentials(wanted), table, root, root, program="launch", argv=("launch",))
        made.umask = wanted["user"]["umask"]
        made.limits = {RLIMITS[one["type"]]: (one["soft"], one["hard"]) for one in wanted.get("rlimits", ())}
        made.limits.setdefault(RLIMITS["RLIMIT_NOFILE"], NOFILE_WITHOUT)
        made.limits.setdefault(RLIMITS["RLIMIT_MEMLOCK"], (8 * MIB, 8 * MIB))
        made.filter = _filter() if "seccomp" in config["linux"] else None
        made.landlock = self.world.landlock(table, wanted["args"], {gid: name for name, gid in groups().items()})
        numbers = {"mount": "mnt", "network": "net"}
        kinds = {numbers.get(one["type"], one["type"]) for one in config["linux"]["namespaces"]}
        made.namespaces = Namespaces(**dict.fromkeys(kinds, 1))
        made.dumpable, made.confined, made.cgroup = False, True, "/cordon/t1001"
        made.environment = {"PATH": "/usr/bin:/bin"}
        status = OpenFile(None, Node(self.world.pipes, stat.S_IFIFO | 0o600), os.O_WRONLY, 0, None, "pipe", 1)
        status.extra = status.node.pipe = Pipe(readers=1, writers=1)
        made.files[STATUS_HANDLE] = (status, True)
        return made

    # Files in and out -----------------------------------------------------------------------------------------------

    def put_file(self, given: FileIn) -> None:
        """Store a file; raises `DeniedError`."""
        if self.workspace is None:
            raise DeniedError("guest.bug", "no sandbox yet")
        if given.path.startswith(f"{artefact.PLACE}/"):
            self.artefacts.put(given)
        else:
            self.workspace.put(given)

    def collect(self, paths: Iterable[str]) -> tuple[CollectedFile, ...]:
        """Files at or below `paths`."""
        found: list[CollectedFile] = []
        left = COLLECT_BYTES
        if self.workspace is None:
            return ()
        checked = "collect_check" not in self.weaken
        for path, node, refused in self.workspace.files([one.rstrip("/") for one in paths], checked=checked):
            if node is None or refused:
                found.append(CollectedFile(path, (node.mode if node else 0) & 0o7777, b"", refused))
            elif len(node.data) > left:
                why = f"{len(node.data)} bytes are more than the {left} left of {COLLECT_BYTES}"
                found.append(CollectedFile(path, node.mode & 0o7777, b"", why))
            else:
                left -= len(node.data)
                found.append(CollectedFile(path, node.mode & 0o7777, bytes(node.data)))
            if len(found) >= COLLECT_FILES:
                found.append(CollectedFile(path, 0, b"", f"more than {COLLECT_FILES} files"))
                break
        return tuple(found)

    # Commands -------------------------------------------------------------------------------------------------------

    def start(self, task_id: str, argv: Sequence[bytes], cwd: str, env: Mapping[str, str], *, compromised: bool) -> int:
        """Start a command; its process id. Raises `DeniedError`."""
        if compromised:
            if "compromised_agent" not in self.weaken:
                raise DeniedError("guest.compromised_not_enabled", "this VM was not weakened for it")
            return self._taken_over(task_id, argv)
        launcher = self.container()
        path, environment = self._checked(launcher, argv, cwd, env)
        task = self._new_task(task_id, launcher)
        child = self._child(
            launcher, argv, {name: value.decode("utf-8", "surrogateescape") for name, value in environment.items()}
        )
        task.main = child
        self._exec(child, path, cwd or WORKSPACE, [one.decode("utf-8", "surrogateescape") for one in argv])
        return launcher.pid

    def _checked(
        self, launcher: Process, argv: Sequence[bytes], cwd: str, env: Mapping[str, str]
    ) -> tuple[str, Mapping[str, bytes]]:
        """As `Sandbox.check` in executor/guest/sandbox.py: the lease's list, the capability map, the environment."""
        terms = self.terms
        if not argv:
            raise DeniedError("guest.bad_command", "an empty command")
        text = tuple(one.decode("utf-8", "surrogateescape") for one in argv)
        if terms.has("command_check") and (self._lease is None or text not in self._lease.commands):
            raise DeniedError("guest.command_not_in_lease", f"the lease does not list {list(text)}"[:200])
        if missing := self.artefacts.missing:
            raise DeniedError("guest.artefact_missing", f"{missing[0]} has not come")
        path = self._program(launcher, text[0], cwd or "/")
        environment = launch_request.environment(
            sandbox_plan.DEFAULT_ENV,
            [(name, value.encode()) for name, value in sorted(env.items())],
            self._lease.env_allowlist if self._lease else (),
            enforced=terms.has("env_filter"),
        )
        launch_request.encode(cwd=(cwd or WORKSPACE).encode(), file=path.encode(), argv=argv, env=environment)
        return path, environment

    def _program(self, launcher: Process, name: str, cwd: str) -> str:
        """The path that execve is given, once the capability map has said yes."""
        terms = self.terms
        candidates = (
            [name if name.startswith("/") else f"{cwd}/{name}"] if "/" in name else [f"{one}/{name}" for one in _SEARCH]
        )
        looker = Process(0, None, root_credentials(), launcher.mounts, launcher.root, launcher.root)
        for path in candidates:
            try:
                place = Walk(looker).find(path, launcher.root)[0]
            except OSError:
                continue
            node = place.dentry.node
            if node.kind != stat.S_IFREG:
                continue
            if terms.has("capability_map") and terms.has("readonly_root"):
                if id(node) in self.artefacts.complete:
                    return path
                known = place.mount.system is self.world.image
                identity = (1, id(node)) if known else (2, id(node))
                own = sandbox_plan.may_execute_own(terms)
                self._programs.check(identity, path, terms.capabilities, own_files=own)
            return path
        return candidates[0]

    def _new_task(self, task_id: str, launcher: Process) -> Task:
        enforced = self._terms is None or self.terms.has("quota")
        limits = self.terms.limits if self._terms else sandbox_plan.Limits()
        task = Task(task_id, launcher, self.clock.monotonic_ns())
        if enforced:
            task.deadline_ns = task.started_ns + limits.wallclock_timeout_s * 1_000_000_000
            task.output_left = limits.output_mb * MIB
        self.kernel.kills.clear()
        self.kernel.oom_kills = self.kernel.forks_refused = 0
        self.kernel.memory_peak = self.kernel.memory_now = self.kernel.cpu_ns = 0
        self.task = task
        return task

    def _child(self, parent: Process, argv: Sequence[bytes], environment: dict[str, str]) -> Process:
        """The launcher's child that becomes the command."""
        task = self.task
        pid = next(self.kernel.next_pid)
        made = Process(pid, parent, parent.credentials, parent.mounts, parent.root, parent.root)
        made.argv = tuple(one.decode("utf-8", "surrogateescape") for one in argv)
        made.environment, made.umask, made.limits = environment, parent.umask, dict(parent.limits)
        made.filter, made.landlock, made.namespaces = parent.filter, parent.landlock, parent.namespaces
        made.group = made.session = pid
        made.confined, made.cgroup = True, parent.cgroup
        parent.children.append(made)
        null = self.world.devtmpfs.root.node.children["null"]
        made.files[0] = (OpenFile(Place(self.world.guest.root, null), null.node, os.O_RDWR, count=1), False)
        if task is not None:
            for number, pipe in ((1, task.stdout), (2, task.stderr)):
                node = Node(self.world.pipes, stat.S_IFIFO | 0o600)
                made.files[number] = (OpenFile(None, node, os.O_WRONLY, 0, pipe, "pipe", 1), False)
        self.kernel.processes[pid] = made
        return made

    def _exec(self, child: Process, path: str, cwd: str, argv: list[str]) -> None:
        """chdir and execve as the launcher does them, with its words and exit codes when they fail."""
        stderr: Pipe = child.files[2][0].extra
        try:
            place = child.find(cwd)
            if not place.dentry.node.is_dir:
                raise error(errno.ENOTDIR)
            child.check_search(place)
            child.cwd = place
        except OSError as failure:
            stderr.buffer += f"launch: {cwd}: {failure.strerror}\n".encode()
            self.kernel.end(child, 126 << 8)
            return
        try:
            found = child.find(path)
            program, argv = runnable(child, found, path, argv, 5)
            child.argv = tuple(argv)
            child.executable = child.path_of(found)
            become(child, found)
        except OSError as failure:
            stderr.buffer += f"launch: {path}: {failure.strerror}\n".encode()
            self.kernel.end(child, (127 if failure.errno == errno.ENOENT else 126) << 8)
            return
        except UnmodelledError as what:
            self.kernel.give_up(child, str(what))
            return
        self.kernel.boot(child, program)

    def _taken_over(self, task_id: str, argv: Sequence[bytes]) -> int:
        """A command as the guest's root, outside every sandbox (executor/guest/compromised.py)."""
        if argv[1:2] == [compromised.INSIDE]:
            raise UnmodelledError("a program inside the agent's own process")
        here = f"{WORKSPACE}/".encode()
        inside = f"{SCRATCH}/1/workspace/".encode()
        argv = [inside + word.removeprefix(here) if word.startswith(here) else word for word in argv]
        self.kernel.begin()
        for pid, name in ((1, "init"), (2, "kthreadd")):
            self.kernel.processes[pid] = self._guest_process(pid, name)
        self.kernel.processes[60] = self._agent
        self.kernel.next_pid = iter(range(70, 1 << 22))
        self.kernel.pids_limit = self.kernel.memory_limit = 0
        task = self._new_task(task_id, self._agent)
        child = self._child(self._agent, argv, {"PATH": "/usr/sbin:/usr/bin", "HOME": "/"})
        child.limits = {7: NOFILE_WITHOUT}
        task.main = child
        name = argv[0].decode("utf-8", "surrogateescape")
        paths = [name] if "/" in name else [f"{one}/{name}" for one in ("/usr/sbin", "/usr/bin")]
        path = next((one for one in paths if _there(child, one)), paths[-1])
        self._exec(child, path, "/", [one.decode("utf-8", "surrogateescape") for one in argv])
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
                    self.kernel.over_time = False
                    self.kernel.step()
                    continue
                due = self.kernel.next_ns()
                moments += [due] if due is not None else []
            self.clock.wait_until(min(moments))
            self.kernel.tick()

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
            if self.workspace is not None and self.workspace.over():
                task.stopped = task.stopped or "DISK"
            elif self.kernel.forks_refused and task.output_left is not None:
                task.stopped = task.stopped or "PIDS"
        return task.stopped is not None

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
            cpu_usec=self.kernel.cpu_ns // 1000,
            memory_bytes=self.kernel.memory_now,
            memory_peak_bytes=self.kernel.memory_peak,
            disk_bytes=self.workspace.used() if self.workspace else 0,
            pids=max(0, self.kernel.counted() - 1),
            fds=max((len(one.files) for one in self.kernel.processes.values() if one.confined), default=0),
            forks_refused=self.kernel.forks_refused,
        )

    def _finish(self, task: Task) -> None:
        """Kill what is left, read what the pipes hold, say how it ended."""
        usage = self.sample(task)
        status = task.main.status if task.main is not None else None
        if self.kernel.oom_kills:
            status = None
        self.kernel.finish(all_of_them=False)
        self._drain(task, whole=True)
        ending = judge(
            Facts(
                wait_status=status if status is not None and task.main is not None else None,
                stopped_for=task.stopped,
                oom_kills=self.kernel.oom_kills,
                seccomp=tuple(self.kernel.kills),
                disk_over=self.workspace.over() if self.workspace else False,
                forks_refused=self.kernel.forks_refused if task.output_left is not None else 0,
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


def _there(process: Process, path: str) -> bool:
    try:
        process.find(path)
    except OSError:
        return False
    return True


def _credentials(wanted: Mapping[str, Any]) -> Credentials:
    sets = {
        kind: sum(CAPS[name.removeprefix("CAP_")] for name in names) for kind, names in wanted["capabilities"].items()
    }
    uid, gid = wanted["user"]["uid"], wanted["user"]["gid"]
    return Credentials(
        uid=(uid, uid, uid),
        gid=(gid, gid, gid),
        fsuid=uid,
        groups=tuple(wanted["user"]["additionalGids"]),
        no_new_privs=wanted["noNewPrivileges"],
        **sets,
    )


class Lease:
    """What the host said the sandbox is for."""

    def __init__(
        self,
        capabilities: Iterable[str],
        paths_write: Iterable[str],
        env_allowlist: Iterable[str],
        commands: Iterable[tuple[str, ...]],
        limits: Limits,
        artefacts: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.artefacts = tuple(artefacts)
        self.capabilities = tuple(capabilities)
        self.paths_write = tuple(paths_write)
        self.env_allowlist = tuple(env_allowlist)
        self.commands = frozenset(tuple(one) for one in commands)
        self.limits = limits


class Task:
    """A running command."""

    def __init__(self, task_id: str, launcher: Process, now_ns: int) -> None:
        self.task_id: Final = task_id
        self.launcher: Final = launcher
        self.main: Process | None = None
        self.stdout: Final = Pipe(readers=1, writers=1)
        self.stderr: Final = Pipe(readers=1, writers=1)
        self.started_ns: Final = now_ns
        self.deadline_ns = 0
        self.sample_ns = now_ns + int(SAMPLE_S * 1e9)
        self.output_left: int | None = None
        self.stopped: Cause | None = None


class Artefacts:
    """Programs a lease brings along: executor/guest/artefact.py on the modelled disk."""

    def __init__(self, world: World, named: Mapping[str, str], *, checked: bool) -> None:
        self._named, self._checked = named, checked
        self._received = 0
        self.complete: dict[int, str] = {}
        if named:
            self._folder = folder(folder(world.scratch.root, "1", 0o700), "artefact", 0o755)

    @property
    def missing(self) -> list[str]:
        """Names of those that have not come yet."""
        return sorted(set(self._named) - set(self.complete.values()))

    def put(self, given: FileIn) -> None:
        """Store one; raises `DeniedError`."""
        name = given.path.removeprefix(f"{artefact.PLACE}/")
        if name not in self._named or name in self.complete.values():
            raise DeniedError(
                "guest.artefact_name", f"the lease names no artefact {given.path!r:.120} that is still to come"
            )
        self._received += len(given.content)
        if self._received > artefact.MAX_BYTES:
            raise DeniedError("guest.artefact_size", f"the artefacts are over {artefact.MAX_BYTES} bytes")
        if self._checked and hashlib.sha256(given.content).hexdigest() != self._named[name]:
            raise DeniedError("guest.artefact_digest", f"{given.path} is not what the lease names")
        self.complete[id(file(self._folder, name, given.content, 0o555))] = name


class Workspace:
    """The task's folder on the scratch disk, with its quota: executor/guest/workspace.py on the modelled disk."""

    def __init__(self, world: World, places: Sequence[Writable], disk_quota_mb: int, owner: int) -> None:
        """`disk_quota_mb` 0 is no quota."""
        self._world = world
        self._places = places
        self._owner = owner
        self._limit = quota_for(disk_quota_mb) if disk_quota_mb else None
        self._quota = Quota(
            self._limit.bytes + SLACK_KIB * 1024 if self._limit else 0,
            self._limit.inodes + INODE_SLACK if self._limit else 0,
        )
        self._received = 0
        base = folder(world.scratch.root, "1", 0o700)
        self._counted(base.node)
        self.root = folder(base, "workspace", 0o755)
        self._counted(self.root.node)
        for place in places:
            self._make(place)

    def _counted(self, node: Node) -> None:
        node.quota, node.project, node.flags = self._quota, 1001, 0x20000000
        self._quota.inodes += 1
        if node.is_dir:
            self._quota.bytes += 4096

    def _make(self, place: Writable) -> None:
        if place.path == WORKSPACE:
            self.root.node.uid = self.root.node.gid = self._owner
            return
        name = relative(place.path)
        parent = self._folder(name.rpartition("/")[0])
        leaf = name.rpartition("/")[2]
        if leaf in parent.node.children:
            return
        if place.folder:
            node = folder(parent, leaf, 0o755, self._owner, self._owner).node
        else:
            node = file(parent, leaf, b"", 0o644, self._owner, self._owner)
        self._counted(node)

    def _is_writable(self, name: str) -> bool:
        path = f"{WORKSPACE}/{name}"
        return any(
            path == place.path or (place.folder and (place.path == WORKSPACE or path.startswith(f"{place.path}/")))
            for place in self._places
        )

    def _folder(self, name: str) -> Dentry:
        here, done = self.root, ""
        for part in name.split("/") if name else ():
            done = f"{done}/{part}".lstrip("/")
            found = here.node.children.get(part)
            if found is None:
                owner = self._owner if self._is_writable(done) else 0
                found = folder(here, part, 0o755, owner, owner)
                self._counted(found.node)
            if not found.node.is_dir:
                raise DeniedError("guest.put_failed", f"{WORKSPACE}/{done}: Not a directory")
            here = found
        return here

    def put(self, given: FileIn) -> None:
        """Store a file; raises `DeniedError`."""
        name = relative(given.path)
        self._received += len(given.content)
        if self._limit is not None and self._received > self._limit.bytes:
            raise DeniedError("guest.disk_quota", f"the files put in are over {self._limit.bytes} bytes of disk quota")
        parent = self._folder(name.rpartition("/")[0])
        leaf = name.rpartition("/")[2]
        owner = self._owner if self._is_writable(name) else 0
        found = parent.node.children.get(leaf)
        if found is not None and found.node.kind != stat.S_IFREG:
            raise DeniedError("guest.put_failed", f"{given.path} is there and is no regular file")
        node = found.node if found else file(parent, leaf, b"", 0o600, owner, owner)
        if found is None:
            self._counted(node)
        try:
            node.resize(0)
            node.resize(len(given.content))
        except OSError as failure:
            raise DeniedError("guest.put_failed", f"{given.path}: {failure.strerror}") from failure
        node.data[:] = given.content
        node.mode = stat.S_IFREG | given.mode & 0o777

    def used(self) -> int:
        """Bytes that count."""
        return self._quota.bytes

    def over(self) -> bool:
        """Whether more was written than the lease allows."""
        if self._limit is None:
            return False
        return self._quota.bytes > self._limit.bytes or self._quota.inodes > self._limit.inodes

    def files(self, paths: Iterable[str], *, checked: bool) -> Iterator[tuple[str, Node | None, str]]:
        """(path, node, why refused) of each file at or below `paths`."""
        for path in paths:
            if not checked:
                yield self._unchecked(path)
                continue
            try:
                name = "" if path == WORKSPACE else relative(path)
            except DeniedError as refusal:
                yield path, None, str(refusal)
                continue
            yield from self._walk(name)

    def _walk(self, name: str) -> Iterator[tuple[str, Node | None, str]]:
        path = f"{WORKSPACE}/{name}".rstrip("/")
        if name.count("/") >= MAX_DEPTH:
            yield path, None, f"more than {MAX_DEPTH} folders deep"
            return
        here = self.root
        for part in name.split("/") if name else ():
            found = here.node.children.get(part)
            if here.node.kind == stat.S_IFLNK or (found and found.node.kind == stat.S_IFLNK):
                yield path, None, "a link, or leads out of the workspace"
                return
            if found is None:
                yield path, None, os.strerror(errno.ENOENT if here.node.is_dir else errno.ENOTDIR)
                return
            here = found
        node = here.node
        if node.kind == stat.S_IFREG:
            yield path, node, ""
        elif not node.is_dir:
            yield path, node, "not a regular file"
        else:
            for leaf in sorted(node.children):
                yield from self._walk(f"{name}/{leaf}".lstrip("/"))

    def _unchecked(self, path: str) -> tuple[str, Node | None, str]:
        """For the drill that takes the check away: an ordinary open by the agent, links followed."""
        table = self._world.guest
        root = Place(table.root, table.root.root)
        looker = Process(0, None, root_credentials(), table, root, root)
        inside = path.removeprefix(WORKSPACE)
        target = f"{SCRATCH}/1/workspace{inside}" if inside != path else path
        try:
            node = looker.find(target).dentry.node
        except OSError as failure:
            return path, None, str(failure.strerror)
        if node.read is not None:
            shown = Node(node.system, node.mode)
            shown.data += node.read(looker)
            return path, shown, ""
        return path, node, ""

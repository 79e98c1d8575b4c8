"""The guest's kernel as far as the sandbox's controls show: processes, who runs next, and what ends whom.

One puppet computes at a time, in the order in which they became ready, so a run is the same each time. What a puppet
computes takes no virtual time until it has used FREE_NS of its processor; from then on each nanosecond counts as
`SLOWDOWN`, which is what an emulated processor makes of it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from executor.guest.ending import SeccompKill
from executor.sim.clock import SimClock
from executor.sim.files.nodes import error
from executor.sim.files.world import World
from executor.sim.kernel.ends import EndedError, UnmodelledError, WaitError
from executor.sim.kernel.entry import dispatch
from executor.sim.kernel.group import WHOLE, Group
from executor.sim.kernel.process import OpenFile, Pipe, Process, released
from executor.sim.puppeteer import GRACE_S, PATIENCE_S, Puppet, PuppetGoneError, Zygote

CALL_NS: Final = 20_000
"""Virtual time of a call, of the order a software-emulated guest takes."""
FORK_NS: Final = 5_000_000
"""Virtual time of a fork of Python, as a software-emulated guest takes it."""
SLOWDOWN: Final = 20
MARK: Final = "CORDON-UNMODELLED"
"""In front of what the model has no answer to, in the output of the process that asked."""
SIGKILL: Final = int(signal.SIGKILL)
SIGSTOP: Final = int(signal.SIGSTOP)
SIGCONT: Final = int(signal.SIGCONT)
SIGSYS: Final = int(signal.SIGSYS)
PYTHON_IGNORES: Final = frozenset({int(signal.SIGPIPE), int(signal.SIGXFSZ)})
"""What Python ignores when it begins."""
X32: Final = 0x40000000
OWN_BYTES: Final = 3 * 1024 * 1024
"""Memory of its own that a Python process of the image has when it begins."""
LOOK_S: Final = 0.003
"""A puppet that took longer between two calls may have taken memory."""
FREE_NS: Final = 100_000_000
"""Processor time between two calls that takes no virtual time: what any program needs, however slow the host is."""
FREE_MODELLED_NS: Final = 1_000_000_000
"""The same of a program that is machine code in a guest and Python here: a turn of dash's loop takes an emulated
processor some 15 us, and the model of it four times as long."""
LOOK_AGAIN_S: Final = 0.005
INERT: Final = frozenset({
    "stat", "fstat", "access", "statvfs", "fstatvfs", "readlink", "listdir", "getcwd", "lseek", "getxattr",
    "unlink", "mkdir", "rmdir", "rename", "symlink", "link", "chmod", "fchmod", "utime", "truncate", "umask",
    "uname", "cpus", "getpid", "getppid", "getpgid", "getpgrp", "getsid", "getuid", "geteuid", "getgid", "getegid",
    "getgroups", "clock", "times", "getrusage", "getrlimit", "getrandom", "sigaction", "sched_getscheduler",
    "getpriority",
})  # fmt: skip
"""Calls after which nobody who waits finds anything changed but the time."""
_IGNORED_BY_DEFAULT: Final = frozenset({int(signal.SIGCHLD), int(signal.SIGURG), int(signal.SIGWINCH), 18})


class Kernel:
    """Runs the processes of one machine."""

    def __init__(self, clock: SimClock, zygote: Zygote, world: World, seed: int) -> None:
        """`world` is the machine's file systems and settings."""
        self.clock: Final = clock
        self.world: Final = world
        self.zygote: Final = zygote
        self.seed = seed
        self.processes: dict[int, Process] = {}
        self.kills: list[SeccompKill] = []
        """What the audit record tells of seccomp."""
        self.group = Group()
        self.keys: dict[str, int] = {}
        self.unmodelled: list[str] = []
        self.next_pid: Iterator[int] = itertools.count(2)
        self._ready: deque[tuple[Process, Any]] = deque()
        self._blocked: dict[Process, tuple[Sequence[Any], int | None]] = {}
        self.agent: Process | None = None
        self.agent_lost = False
        """Whether the guest's agent was ended or stopped: nobody speaks for the machine any more."""
        self._interrupted: dict[Process, list[tuple[Sequence[Any], bool]]] = {}
        self._parked: dict[Process, Any] = {}
        """Stopped processes that would have gone on, with what they are to be told."""

    # Running --------------------------------------------------------------------------------------------------------

    def boot(self, process: Process, program: str) -> None:
        """Let a process begin to run `program`."""
        self.processes[process.pid] = process
        self.start_puppet(process, program)

    def start_puppet(self, process: Process, program: str) -> None:
        """A fresh puppet for `process`, running `program`."""
        if process.puppet is not None:
            process.puppet.end()
        order = {"program": program, "argv": list(process.argv), "env": list(process.environment.items())}
        process.puppet = self.zygote.spawn(order)
        process.program = program
        if program.startswith("python"):
            process.ignored |= PYTHON_IGNORES
        self._ready.append((process, None))

    def ready(self, process: Process, reply: Any) -> None:
        """`process` goes on with `reply` when its turn comes."""
        self._ready.append((process, reply))

    @property
    def idle(self) -> bool:
        """Whether nobody can go on before time passes."""
        return not self._ready

    def next_ns(self) -> int | None:
        """When the next waiting process is due."""
        moments = [until for _, until in self._blocked.values() if until is not None]
        moments += [one.alarm_ns for one in self.processes.values() if one.alarm_ns and one.alive]
        return min(moments, default=None)

    def step(self) -> None:
        """Let the process whose turn it is go on until its next call, and answer that."""
        process, reply = self._ready.popleft()
        puppet = process.puppet
        if not process.alive or puppet is None:
            return
        if process.stopped:
            self._parked[process] = reply
            return
        if reply is not None:
            puppet.send(reply)
        message = self._listen(process)
        if message is not None:
            self._handle(process, message)
            self.clock.spend(CALL_NS)

    def _listen(self, process: Process) -> Any:
        """The process's next call; None when it is gone, or has to be before it made one."""
        puppet = process.puppet
        if puppet is None:
            return None
        try:
            message = self._said(process, puppet)
            if message is None:
                return None
            process.computing_ns = None
            if time.perf_counter() - puppet.resumed_s > LOOK_S:
                self._measure(process)
        except (PuppetGoneError, TimeoutError):
            self.end(process, int(signal.SIGSEGV))
            return None
        return message if process.alive else None

    def _said(self, process: Process, puppet: Puppet) -> Any:
        """The next message; None when something is due before it comes, or it will never come."""
        try:
            if process.computing_ns is None:
                return puppet.receive(GRACE_S)
        except TimeoutError:
            pass  # it computes
        return puppet.receive() if self._compute(process, puppet) else None

    def _compute(self, process: Process, puppet: Puppet) -> bool:
        """Let it compute until it makes a call; False when something is due before, or it was ended for its memory.

        Only its processor's time counts, and that from `FREE_NS` on: what a busy host takes longer for is no event of
        the machine's. The clock stops where something is due, so samples and deadlines come when they should.
        """
        if process.computing_ns is None:
            process.computing_ns = puppet.cpu_ns()
        free_ns = FREE_NS if process.program.startswith("python") else FREE_MODELLED_NS
        waited = 0.0
        while not puppet.waiting(LOOK_AGAIN_S):
            waited += LOOK_AGAIN_S
            used = puppet.cpu_ns() - process.computing_ns - free_ns
            if used > 0:
                process.computing_ns += used
                self._charge(process, used)
            self._measure(process)
            if not process.alive:
                return False
            if self.over_time or waited > PATIENCE_S:
                self._ready.appendleft((process, None))  # goes on computing; whoever runs the machine looks
                return False
        return True

    over_time = False
    """Whether something outside is due: set by the machine's clockwork while a puppet only computes."""
    due_ns = 1 << 62
    """When something outside is due."""

    def _charge(self, process: Process, real_ns: int) -> None:
        """Processor time that was used without a call; the group's share of the processor makes it last longer."""
        share = self.group.share if process.confined else WHOLE
        took = max(0, min(real_ns * SLOWDOWN * WHOLE // share, self.due_ns - self.clock.monotonic_ns()))
        process.cpu_ns += self.group.computes(took, share)
        self.clock.spend(took)
        self.over_time = self.clock.monotonic_ns() >= self.due_ns

    def _measure(self, process: Process) -> None:
        """Look at the memory a puppet holds."""
        if process.puppet is not None:
            self.use_memory(process, max(0, process.puppet.memory_bytes() - self.zygote.base_bytes) + OWN_BYTES)

    def use_memory(self, process: Process, more: int) -> None:
        """Notice what a process holds; over the group's limit the whole group is killed, as memory.oom.group says."""
        process.memory = more
        held = sum(one.memory for one in self.processes.values() if one.alive) + self.world.shared_memory()
        if not self.group.holds(held):
            for one in list(self.processes.values()):
                if one.alive and one.confined:
                    self.end(one, SIGKILL)

    def _interrupt_with_handler(self, process: Process, message: Sequence[Any], *, again: bool) -> None:
        """Have the puppet run its handler first; it says `resume` then, and the call goes on."""
        self._interrupted.setdefault(process, []).append((message, again))
        self._ready.append((process, ["signal", process.pending.pop(0)]))

    def _handle(self, process: Process, message: Sequence[Any]) -> None:
        again = False
        closed = message[0] == "closed"
        if closed:
            message = self._closed_before(process, message)
        if message[0] == "resume":
            message, again = self._interrupted[process].pop()
            if again and message[0] == "pause" and not process.pending:
                self._ready.append((process, ["ok", None]))  # its handler has run, and that was all it waited for
                return
        if process.pending:
            self._interrupt_with_handler(process, message, again=again)
            return
        try:
            self._ready.append((process, ["ok", dispatch(self, process, message, again=again)]))
        except WaitError as wait:
            self._blocked[process] = (message, wait.until_ns)
        except OSError as failure:
            self._ready.append((process, ["error", failure.errno or errno.EIO]))
        except UnmodelledError as what:
            self.give_up(process, str(what))
        except EndedError:
            pass
        if self._blocked and (closed or message[0] not in INERT or self._late()):
            self._wake()

    def _closed_before(self, process: Process, message: Sequence[Any]) -> Sequence[Any]:
        """Close what the puppet closed before it made a call; that call. Each takes its time and passes the filter."""
        for number in message[1]:
            with contextlib.suppress(OSError):
                dispatch(self, process, ["close", number])
            self.clock.spend(CALL_NS)
        return message[2:]

    def _late(self) -> bool:
        """Whether somebody who waits until a moment has waited long enough."""
        now = self.clock.monotonic_ns()
        return any(until is not None and until <= now for _, until in self._blocked.values())

    def _wake(self) -> None:
        """Make the calls that waited again: something may have changed. Who sleeps waits for the time alone."""
        now = self.clock.monotonic_ns()
        for process, (message, until) in list(self._blocked.items()):
            if process not in self._blocked:
                continue
            if message[0] == "sleep" and until is not None and until > now and process.alive and not process.pending:
                continue
            if not process.alive:
                del self._blocked[process]
                continue
            if process.pending:
                del self._blocked[process]
                self._interrupt_with_handler(process, message, again=True)
                continue
            try:
                answer = ["ok", dispatch(self, process, message, again=True)]
            except WaitError as wait:
                self._blocked[process] = (message, wait.until_ns)
                continue
            except OSError as failure:
                answer = ["error", failure.errno or errno.EIO]
            except UnmodelledError as what:
                del self._blocked[process]
                self.give_up(process, str(what))
                continue
            except EndedError:
                self._blocked.pop(process, None)
                continue
            self._blocked.pop(process, None)
            self._ready.append((process, answer))

    def tick(self) -> None:
        """Time has passed: whoever waited for it goes on."""
        now = self.clock.monotonic_ns()
        for process in list(self.processes.values()):
            if process.alarm_ns and process.alive and process.alarm_ns <= now:
                process.alarm_ns = 0
                self.signal(process, int(signal.SIGALRM))
        self._wake()

    # Processes ------------------------------------------------------------------------------------------------------

    def split(self, process: Process) -> int:
        """fork: the puppet is told that it may, and hands over its child's end; the child's id."""
        puppet = process.puppet
        if puppet is None:
            raise error(errno.ESRCH)
        puppet.send(["ok", None])
        self.clock.spend(FORK_NS)
        made = Process(
            next(self.next_pid), process, process.credentials, process.mounts, process.root, process.cwd,
            process.program, process.argv, dict(process.environment), process.executable, process.group,
            process.session, process.umask,
        )  # fmt: skip
        made.limits, made.filter, made.landlock = dict(process.limits), process.filter, process.landlock
        made.namespaces, made.caught, made.ignored = process.namespaces, set(process.caught), set(process.ignored)
        made.masked, made.moved = set(process.masked), process.moved
        made.confined, made.nice, made.oom_score = process.confined, process.nice, process.oom_score
        made.dumpable, made.cgroup, made.personality = process.dumpable, process.cgroup, process.personality
        for number, (opened, close) in process.files.items():
            made.files[number] = (opened, close)
            opened.count += 1
        made.puppet = puppet.receive_child()
        process.children.append(made)
        self.processes[made.pid] = made
        self._ready.append((made, ["ok", 0]))
        return made.pid

    def memory(self, process: Process, address: int, size: int) -> bytes:
        """Bytes of a puppet's memory; it waits for an answer and gives them in the meantime."""
        if process.puppet is None:
            return bytes(size)
        process.puppet.send(["peek", address, size])
        answer: Sequence[Any] = process.puppet.receive()
        return bytes(answer[1])

    def set_memory(self, process: Process, address: int, data: bytes) -> None:
        """Write them."""
        if process.puppet is not None:
            process.puppet.send(["poke", address, data])
            process.puppet.receive()

    def peek(self, process: Process, opened: OpenFile, offset: int, size: int) -> bytes:
        """/proc/PID/mem."""
        target: Process = opened.node.pipe
        return self.memory(target, offset, size)

    def random(self, size: int) -> bytes:
        """The machine's generator."""
        return self.world.random(size)

    def counted(self) -> int:
        """Processes that count for the group's limit: the dead who are not buried too."""
        return sum(1 for one in self.processes.values() if one.confined)

    def give_up(self, process: Process, what: str) -> None:
        """The model has no answer: say so in the process's output, and end it."""
        self.unmodelled.append(what)
        line = f"{MARK} {what}\n".encode()
        for number in (2, 1):
            entry = process.files.get(number)
            if entry is not None and entry[0].kind == "pipe":
                pipe: Pipe = entry[0].extra
                pipe.buffer += line
                break
        self.end(process, SIGKILL)

    def signal(self, process: Process, number: int) -> None:
        """Deliver a signal. The first process of a pid namespace is deaf to what its own cannot make it hear."""
        if not process.alive or number == 0:
            return
        if number == SIGCONT and process.stopped:
            process.stopped = False
            if process in self._parked:
                self._ready.append((process, self._parked.pop(process)))
        if process.pid == 1 and number in {SIGKILL, SIGSTOP}:
            return
        if process is self.agent and number != SIGCONT:
            self.agent_lost = True
        if number == SIGKILL:
            self.end(process, number)
        elif number == SIGSTOP:
            process.stopped = True
        elif number in process.masked:
            process.queued.append(number)
            self._wake()
        elif number in process.caught or (number == 2 and process.program.startswith("python") and not process.ignored):
            process.pending.append(number)
            self._wake()
        elif number not in process.ignored and number not in _IGNORED_BY_DEFAULT and process.pid != 1:
            self.end(process, number)

    def end(self, process: Process, status: int) -> None:
        """`process` is over; `status` is its wait status."""
        if not process.alive:
            return
        process.status = status
        for number in list(process.files):
            opened = process.files.pop(number)[0]
            opened.count -= 1
            if opened.count == 0:
                released(opened)
        if process.puppet is not None:
            process.puppet.end()
            process.puppet = None
        self._blocked.pop(process, None)
        init = self.reaper(process)
        for child in process.children:
            if child.death_signal and child.alive:
                self.signal(child, child.death_signal)
            child.parent = init
            if not child.alive and (init is None or init.puppet is None):
                self.processes.pop(child.pid, None)  # whoever inherits the dead buries them
            elif init is not None and init is not process:
                init.children.append(child)
        process.children = []
        if process.parent is None or process.parent.puppet is None:
            self.forget(process)
        elif process.parent.alive and int(signal.SIGCHLD) in process.parent.caught:
            self.signal(process.parent, int(signal.SIGCHLD))

    def reaper(self, process: Process) -> Process | None:
        """Who inherits the children of `process`: the first process of its pid namespace."""
        for one in self.processes.values():
            if one is not process and one.alive and one.puppet is None and one.confined == process.confined:
                return one
        return None

    def forget(self, process: Process) -> None:
        """Nobody will ask for it any more."""
        self.processes.pop(process.pid, None)
        if process.parent is not None and process in process.parent.children:
            process.parent.children.remove(process)

    def finish(self, *, all_of_them: bool = True) -> None:
        """End the task's processes. One that shares the guest's pid namespace and left its group is overlooked."""
        left = set()
        for process in list(self.processes.values()):
            if not all_of_them and process.alive and process.moved and not process.namespaces.pid:
                left.add(process)
            elif process.confined or process.puppet is not None:
                self.end(process, SIGKILL)
                self.processes.pop(process.pid, None)
        self._ready = deque(one for one in self._ready if one[0] in left)
        self._blocked = {process: why for process, why in self._blocked.items() if process in left}

    def begin(self) -> None:
        """Forget the processes of the last command, but those that it left behind."""
        for process in list(self.processes.values()):
            if process.puppet is None or not process.alive:
                del self.processes[process.pid]

    def spread(self, number: int, *, group: int) -> list[Process]:
        """Living processes of a process group."""
        return [one for one in self.processes.values() if one.alive and one.group == group and number >= 0]

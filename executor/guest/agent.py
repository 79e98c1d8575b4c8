"""The agent's conversation with the host: which message may come when, and what is done about it.

    NEW --Configure--> CONFIGURED --Prepare--> PREPARED --Start--> RUNNING --(end)--> PREPARED
                            ^----------- Reset ----'

A VM that is used again is configured again: fresh entropy and time, before the next task's sandbox is built.

A message in the wrong state is a fault, and a fault ends the VM. Admission rules, in order: state, then content, then
do. `Ping` and `PowerOff` are always welcome; `Kill` is welcome when nothing runs (it crossed with the end).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from executor.channel import channel_pb2 as pb
from executor.channel.frame import PROTOCOL
from executor.guest import cgroup, collecting, kernel, network, reset, syscalls
from executor.guest.capability import Programs
from executor.guest.digest import sha256
from executor.guest.errors import DeniedError, FaultError
from executor.guest.port import Port
from executor.guest.sandbox import Sandbox, boot_id
from executor.guest.spare import Spares
from executor.guest.task import Task

State = Literal["NEW", "CONFIGURED", "PREPARED", "RUNNING"]
CONTROLS: Final = frozenset(
    {
        *("seccomp", "readonly_root", "capabilities", "unprivileged_user", "masked_paths", "capability_map", "noexec"),
        *("landlock", "namespaces", "cgroup", "rlimits", "quota", "lockdown", "command_check", "env_filter"),
        *("collect_check", "artefact_check", "compromised_agent", "reset"),
    }
)
"""The names `Configure.weaken` may hold; the host's list is executor/weaken.py, and a test compares the two."""
MIB: Final = 1024 * 1024
MAX_SAID: Final = 2000
"""Characters of a text for a person: the host refuses longer ones."""
_ALLOWED: Final[Mapping[str, frozenset[State]]] = {
    "configure": frozenset({"NEW", "CONFIGURED"}),
    "prepare": frozenset({"CONFIGURED"}),
    "put_file": frozenset({"PREPARED"}),
    "start": frozenset({"PREPARED"}),
    "kill": frozenset({"PREPARED", "RUNNING"}),
    "collect": frozenset({"PREPARED"}),
    "reset": frozenset({"CONFIGURED", "PREPARED"}),
    "ping": frozenset({"NEW", "CONFIGURED", "PREPARED", "RUNNING"}),
    "power_off": frozenset({"NEW", "CONFIGURED", "PREPARED", "RUNNING"}),
}
"""Message -> states it may come in."""


class PowerOffError(Exception):
    """The host asked for the end; raised to leave the loop."""


class Agent:
    """State of the conversation."""

    def __init__(
        self, port: Port, programs: Programs, seccomp: Mapping[str, Any], baseline: reset.Baseline, spares: Spares
    ) -> None:
        """`port` is open, nothing was sent on it; `baseline` is what there is before the first task and any spare."""
        self._port: Final = port
        self._programs: Final = programs
        self._seccomp: Final = seccomp
        self._baseline: Final = baseline
        self.state: State = "NEW"
        self._hostname = kernel.read("/proc/sys/kernel/hostname")
        self._weaken: frozenset[str] = frozenset()
        self._sandbox: Sandbox | None = None
        self._spares: Final = spares
        self._sandboxes = spares.highest
        self.task: Task | None = None
        self._compromised: Any = None
        self._refusing = ""
        """Path of a file that was refused while more of its pieces are on their way."""

    def ready(self) -> pb.FromGuest:
        """The `Ready` of this moment. Before `Configure` the boot id is left out: reading it would fix it."""
        configured = self.state != "NEW"
        return pb.FromGuest(
            ready=pb.Ready(
                protocol=PROTOCOL,
                agent_digest=_agent_digest(),
                kernel=os.uname().release,
                boot_id=boot_id() if configured else "",
                hostname=self._hostname,
                configured=configured,
                boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                weaken=sorted(self._weaken),
            )
        )

    def handle(self, message: pb.ToGuest) -> None:
        """Do what `message` asks; raises `FaultError` when the VM cannot go on."""
        kind = message.WhichOneof("body")
        if kind is None or self.state not in _ALLOWED[kind]:
            raise FaultError("guest.unexpected_message", f"{kind or 'an unknown message'} in state {self.state}")
        getattr(self, f"_on_{kind}")(getattr(message, kind))

    def _on_configure(self, message: pb.Configure) -> None:
        weaken = frozenset(message.weaken)
        if unknown := sorted(weaken - CONTROLS):
            raise FaultError("guest.unknown_control", f"no such control: {', '.join(unknown)}")
        if len(message.entropy) < 32:
            raise FaultError("guest.no_entropy", "a VM needs at least 32 bytes of fresh entropy")
        kernel.set_clock(message.wall_clock_ns)
        kernel.reseed(message.entropy)
        if message.hostname:
            syscalls.sethostname(message.hostname)
            self._hostname = message.hostname
        if self.state == "NEW":
            self._close_up(weaken)
        self._weaken = weaken
        self.state = "CONFIGURED"
        self._port.send(self.ready())

    @staticmethod
    def _close_up(weaken: frozenset[str]) -> None:
        """What is done once in a VM's life: there is no way back from it."""
        if "readonly_root" in weaken:
            kernel.load_late("overlay.ko")
        network.set_up()
        if "lockdown" not in weaken:
            kernel.lock_down()

    def _on_prepare(self, message: pb.Prepare) -> None:
        self._sandboxes += 1
        try:
            self._sandbox = Sandbox(
                self._sandboxes,
                message,
                self._programs,
                self._seccomp,
                hostname=self._hostname,
                weaken=self._weaken,
                spares=self._spares,
            )
        except DeniedError as error:
            self._deny(message.lease_id, error)
            return
        self.state = "PREPARED"
        self._port.send(pb.FromGuest(prepared=pb.Prepared(lease_id=message.lease_id)))

    def _deny(self, task_id: str, error: DeniedError) -> None:
        denied = pb.Denied(task_id=task_id[:MAX_SAID], code=error.code, message=str(error)[:MAX_SAID])
        self._port.send(pb.FromGuest(denied=denied))

    @property
    def _prepared(self) -> Sandbox:
        if self._sandbox is None:
            raise FaultError("guest.bug", f"no sandbox in state {self.state}")
        return self._sandbox

    def _on_put_file(self, message: pb.PutFile) -> None:
        if (
            self._refusing == message.path
        ):  # the rest of a file that was refused: one refusal is the answer to all of it
            self._refusing = "" if message.last else self._refusing
            return
        try:
            stored = self._prepared.put(message.path, message.mode, message.data, last=message.last)
        except DeniedError as error:
            self._refusing = "" if message.last else message.path
            self._deny(message.path, error)
            return
        if stored is not None:
            answer = pb.FileStored(path=message.path, size=stored[0], sha256=stored[1])
            self._port.send(pb.FromGuest(file_stored=answer))

    def _on_start(self, message: pb.Start) -> None:
        sandbox = self._prepared
        enforced = sandbox.terms.has("quota")
        limits = sandbox.terms.limits
        process: Any
        try:
            if message.compromised:
                process = self._compromised = self._take_over(list(message.argv))
            else:
                request = sandbox.check(message)
                process = sandbox.container
        except DeniedError as error:
            self._deny(message.task_id, error)
            return
        self.task = Task(
            message.task_id,
            process,
            sandbox.workspace,
            send=self._port.send,
            wallclock_s=limits.wallclock_timeout_s if enforced else None,
            output_bytes=limits.output_mb * MIB if enforced else None,
        )
        if not message.compromised:
            sandbox.container.send(request)
        self.state = "RUNNING"
        self._port.send(pb.FromGuest(started=pb.Started(task_id=message.task_id, pid=process.pid)))
        if message.compromised:
            process.inside(self._port, message.task_id)

    def _take_over(self, argv: list[bytes]) -> Any:
        """Run `argv` as after a taken-over agent; raises `DeniedError` in an ordinary VM."""
        if "compromised_agent" not in self._weaken:
            raise DeniedError("guest.compromised_not_enabled", "this VM was not weakened for it")
        from executor.guest import compromised  # noqa: PLC0415 - drills only

        return compromised.Process(argv, self._prepared.workspace)

    def finish(self) -> None:
        """The running command has ended or must: say how, and make ready for the next."""
        if self.task is None:
            raise FaultError("guest.bug", "nothing runs")
        self._port.send(pb.FromGuest(finished=self.task.finish()))
        self.task = None
        self.state = "PREPARED"
        if self._compromised is not None:
            self._compromised.remove()
            self._compromised = None

    def _on_kill(self, message: pb.Kill) -> None:
        if self.task is not None and message.task_id in {"", self.task.task_id}:
            self.task.stop("REQUESTED")
            self.finish()

    def _on_collect(self, message: pb.Collect) -> None:
        checked = "collect_check" not in self._weaken
        files = self._prepared.workspace.files(message.paths, checked=checked)
        count = collecting.send_files(files, message.max_bytes, self._port)
        self._port.send(pb.FromGuest(collect_done=pb.CollectDone(files=count)))

    def _on_reset(self, _message: pb.Reset) -> None:
        self._spares.clear()
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None
        if "reset" not in self._weaken:
            reset.forget()
            if found := reset.wait_clean(self._baseline):
                raise FaultError("guest.reset_incomplete", f"the last task left: {', '.join(found)}"[:400])
        self.state = "CONFIGURED"
        self._port.send(self.ready())

    def _on_ping(self, message: pb.Ping) -> None:
        self._port.send(pb.FromGuest(pong=pb.Pong(nonce=message.nonce)))

    def _on_power_off(self, _message: pb.PowerOff) -> None:
        raise PowerOffError


def _agent_digest() -> str:
    with open("/agent/manifest.json", "rb") as manifest:  # noqa: PTH123 - pathlib costs 60 ms of boot
        return str(sha256(manifest.read()).hexdigest())


def set_up() -> None:
    """What has to be done once, at boot, before the host is told that the agent is ready."""
    syscalls.become_subreaper()
    cgroup.set_up()
    kernel.write("/proc/sys/kernel/printk_ratelimit", "0")  # no task may drown the audit record of its own kill
    for folder in ("/run/cordon", "/run/crun"):
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs 60 ms of boot

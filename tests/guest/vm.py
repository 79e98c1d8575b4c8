"""A VM for tests of the guest agent: bare QEMU in software emulation, and the channel spoken by hand.

Small on purpose: the project's own host side is executor/channel and executor/domain, tested elsewhere. Here the other
end must be able to send what a good host never would.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.channel import channel_pb2 as pb
from executor.channel import frame
from executor.image import ensure_agent_disk, ensure_gold_image

BOOT_DEADLINE_S = 120.0
"""Far above the few seconds a boot takes, for a machine that is busy with other builds."""
ANSWER_DEADLINE_S = 90.0


@dataclass
class Run:
    """One command as it went."""

    started: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    finished: pb.Finished | None = None
    denied: pb.Denied | None = None
    samples: list[pb.Sample] = field(default_factory=list)

    @property
    def cause(self) -> str:
        """Name of the cause, or the denial's code."""
        if self.denied is not None:
            return str(self.denied.code)
        assert self.finished is not None
        return str(pb.Finished.Cause.Name(self.finished.cause))

    @property
    def code(self) -> int:
        """The exit code of a command that ended by itself."""
        assert self.finished is not None, self
        assert self.cause == "EXITED", (self.cause, self.finished, self.stderr)
        return int(self.finished.exit_code)


class GoneError(Exception):
    """The VM closed the channel."""


class GuestVm:
    """A booted VM and the host end of its channel."""

    def __init__(self, folder: Path, *, memory_mib: int = 512, append: str = "", devices: Sequence[str] = ()) -> None:
        gold = ensure_gold_image()
        self.agent = ensure_agent_disk()
        overlay = folder / "overlay.qcow2"
        make = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(gold.qcow2), "-F", "qcow2", str(overlay)]
        subprocess.run(make, check=True)
        self._socket = folder / "agent.sock"
        self.console = folder / "console.log"
        argv = [
            "qemu-system-x86_64", "-accel", "tcg,tb-size=256", "-machine", "q35", "-cpu", "max", "-m", str(memory_mib),
            "-nodefaults", "-display", "none", "-no-reboot",
            "-kernel", str(gold.kernel), "-initrd", str(gold.initrd), "-append", f"{gold.cmdline} {append}".strip(),
            "-serial", f"file:{self.console}",
            "-drive", f"file={overlay},if=virtio,format=qcow2",
            "-drive", f"file={self.agent.path},if=virtio,format=raw,readonly=on",
            "-device", "virtio-serial-pci", "-device", "virtio-rng-pci",
            "-chardev", f"socket,id=agent,path={self._socket},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.cordon.agent.0",
            *devices,
        ]  # fmt: skip
        if os.geteuid() == 0:
            # Files are open by then; the emulator itself runs as nobody.
            argv += ["-runas", "nobody"]
        self.booted_at = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._parser = frame.FrameParser()
        self._sequence = 0
        self._inbox: list[pb.FromGuest] = []
        self._link = self._connect()
        self.ready = self.expect("ready", deadline_s=BOOT_DEADLINE_S).ready
        self.boot_s = time.monotonic() - self.booted_at
        self._tasks = 0

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX)
        until = time.monotonic() + 10
        while True:
            try:
                link.connect(str(self._socket))
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    assert self.process.stderr is not None
                    raise AssertionError(f"QEMU did not start: {self.process.stderr.read().decode()}") from None
                select.select([], [], [], 0.01)
            else:
                return link

    def send_raw(self, data: bytes) -> None:
        """Put bytes on the channel."""
        self._link.sendall(data)

    def send(self, **body: Any) -> None:
        """Send one message, for example `send(ping=pb.Ping(nonce=1))`."""
        self._sequence += 1
        self.send_raw(frame.encode(self._sequence, pb.ToGuest(**body).SerializeToString()))

    def receive(self, *, deadline_s: float = ANSWER_DEADLINE_S) -> pb.FromGuest:
        """The next message; raises `GoneError` when the VM closed the channel."""
        until = time.monotonic() + deadline_s
        while not self._inbox:
            left = until - time.monotonic()
            assert left > 0, f"no message in {deadline_s} s; console:\n{self.console_text()}"
            if select.select([self._link], [], [], left)[0]:
                data = self._link.recv(1 << 20)
                if not data:
                    raise GoneError(self.console_text())
                for item in self._parser.feed(data):
                    message = pb.FromGuest()
                    message.ParseFromString(item.payload)
                    self._inbox.append(message)
        return self._inbox.pop(0)

    def expect(self, kind: str, *, deadline_s: float = ANSWER_DEADLINE_S) -> pb.FromGuest:
        """The next message, which has to be a `kind`."""
        message = self.receive(deadline_s=deadline_s)
        assert message.WhichOneof("body") == kind, f"expected {kind}: {message}; console:\n{self.console_text()}"
        return message

    def console_text(self) -> str:
        """What the VM wrote to its console."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def configure(self, *weaken: str, hostname: str = "vm-test") -> pb.Ready:
        """Configure the VM."""
        body = pb.Configure(
            vm_id="test", hostname=hostname, wall_clock_ns=time.time_ns(), entropy=os.urandom(64), weaken=weaken
        )
        self.send(configure=body)
        return self.expect("ready").ready

    def prepare(
        self,
        *argvs: Sequence[str],
        capabilities: Sequence[str] = ("base:execute",),
        paths_write: Sequence[str] = ("/workspace/**",),
        env_allowlist: Sequence[str] = (),
        artefacts: Sequence[tuple[str, str]] = (),
        **limits: int,
    ) -> pb.FromGuest:
        """Prepare a sandbox whose lease lists `argvs`; the answer."""
        plan: dict[str, int] = {
            "cpu_quota": 100, "mem_quota_mb": 128, "disk_quota_mb": 64, "wallclock_timeout_s": 60, "fd_limit": 128,
            "pids": 32, "output_mb": 4,
        }  # fmt: skip
        self.send(
            prepare=pb.Prepare(
                lease_id="lease",
                capabilities=capabilities,
                paths_write=paths_write,
                env_allowlist=env_allowlist,
                limits=pb.Limits(**(plan | limits)),
                artefacts=[pb.Artefact(name=name, sha256=sha256) for name, sha256 in artefacts],
                commands_allowlist=[
                    json.dumps(list(argv), ensure_ascii=False, separators=(",", ":")) for argv in argvs
                ],
            )
        )
        return self.receive()

    def put(self, path: str, data: bytes, mode: int = 0o644) -> pb.FromGuest:
        """Put a file into the workspace; the answer."""
        self.send(put_file=pb.PutFile(path=path, mode=mode, data=data, last=True))
        return self.receive()

    def start(self, *argv: str | bytes, env: dict[str, bytes] | None = None, compromised: bool = False) -> str:
        """Send a `Start`; the task's id."""
        self._tasks += 1
        task_id = f"task-{self._tasks}"
        self.send(
            start=pb.Start(
                task_id=task_id,
                argv=[item.encode() if isinstance(item, str) else item for item in argv],
                cwd="/workspace",
                env=[pb.EnvVar(name=name, value=value) for name, value in (env or {}).items()],
                compromised=compromised,
            )
        )
        return task_id

    def end(self) -> Run:
        """Read until the started command has ended or was denied."""
        run = Run()
        while run.finished is None and run.denied is None:
            message = self.receive()
            kind = message.WhichOneof("body")
            if kind == "output":
                if message.output.stream == 1:
                    run.stdout += message.output.data
                else:
                    run.stderr += message.output.data
            elif kind == "started":
                run.started = True
            elif kind == "sample":
                run.samples.append(message.sample)
            elif kind == "finished":
                run.finished = message.finished
            elif kind == "denied":
                run.denied = message.denied
            else:
                raise AssertionError(f"unexpected: {message}")
        return run

    def run(self, *argv: str | bytes, env: dict[str, bytes] | None = None, compromised: bool = False) -> Run:
        """Run a command to its end."""
        self.start(*argv, env=env, compromised=compromised)
        return self.end()

    def sandbox(self, *argvs: Sequence[str], **options: Any) -> None:
        """A new sandbox in place of the last one."""
        self.send(reset=pb.Reset())
        self.expect("ready")
        answer = self.prepare(*argvs, **options)
        assert answer.WhichOneof("body") == "prepared", answer

    def sh(self, script: str, **options: Any) -> Run:
        """Run a shell script in a new sandbox."""
        argv = ("/bin/sh", "-c", script)
        self.sandbox(argv, **options)
        return self.run(*argv)

    def collect(self, *paths: str, max_bytes: int = 1 << 20) -> tuple[dict[str, bytes], dict[str, str]]:
        """(contents, refusals) by path."""
        self.send(collect=pb.Collect(paths=paths, max_bytes=max_bytes))
        contents: dict[str, bytes] = {}
        refused: dict[str, str] = {}
        while True:
            message = self.receive()
            if message.WhichOneof("body") == "collect_done":
                assert message.collect_done.files == len(contents)
                return contents, refused
            piece = message.file_piece
            if piece.refused:
                refused[piece.path] = piece.refused
            else:
                contents[piece.path] = contents.get(piece.path, b"") + piece.data

    def wait_off(self, seconds: float = 30.0) -> int:
        """Wait until the VM has ended; QEMU's exit code."""
        return self.process.wait(seconds)

    def close(self) -> None:
        """End the VM, whatever state it is in."""
        self._link.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextlib.contextmanager
def booted(folder: Path, **options: Any) -> Iterator[GuestVm]:
    """A VM for the time of a `with` block."""
    vm = GuestVm(folder, **options)
    try:
        yield vm
    finally:
        vm.close()

"""The conversation with one guest agent: which message may come when, on top of a `GuestChannel`.

Every method sends one request and accepts exactly the answers that fit it; anything else is a violation
(`unexpected_message`) that closes the channel. `Fault` from the agent raises `GuestLostError`: the VM is spent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from executor.canonical import dumps
from executor.channel import channel_pb2 as pb
from executor.channel.frame import PROTOCOL
from executor.channel.host import ChannelTimeoutError, GuestChannel
from executor.clock import Clock
from executor.errors import FrameViolationError, GuestLostError
from executor.intent import Command, FileIn, Limits
from executor.outcome import CollectedFile

ANSWER_NS: Final = 20_000_000_000
"""How long the agent may take over an order that is not a command run; tcg guests are slow, hung ones are caught."""
PIECE: Final = 256 * 1024
"""Bytes of a file in one message."""
ENTROPY: Final = 64
"""Bytes of fresh seed per acquire: twice the kernel generator's key."""
COLLECT_BYTES: Final = 8 * 1024 * 1024
"""Bytes of collected files the host accepts from one task."""
COLLECT_NAMES: Final = 4 * 1024 * 1024
"""Characters of names, and of reasons why not, that the host accepts beside them; the agent stops at half of it."""
COLLECT_FILES: Final = 4096
"""Files the host accepts from one task, refused ones included; the agent stops there too."""


@dataclass(frozen=True, slots=True)
class Denial:
    """The agent refused to run a command; `code` is `guest.<short_name>`."""

    code: str
    message: str


class GuestSession:
    """Requests to one agent. Owned by one thread."""

    def __init__(self, channel: GuestChannel, clock: Clock) -> None:
        """Speak over `channel`; `clock` sets deadlines and the guest's time."""
        self._channel = channel
        self._clock = clock

    def wait_ready(self, deadline_ns: int) -> pb.Ready:
        """The agent's first words after boot; raises `GuestLostError` when they do not come."""
        ready = self._expect("ready", deadline_ns).ready
        if ready.protocol != PROTOCOL:
            raise GuestLostError(f"the agent speaks protocol {ready.protocol}, this host {PROTOCOL}: rebuild the image")
        return ready

    def configure(self, vm_id: str, *, weaken: Iterable[str] = ()) -> pb.Ready:
        """Give the VM its identity, the time and fresh entropy; raises when it applied something else."""
        wanted = sorted(weaken)
        order = pb.Configure(
            vm_id=vm_id,
            hostname=vm_id,
            wall_clock_ns=self._clock.now_ns(),
            entropy=os.urandom(ENTROPY),
            weaken=wanted,
        )
        self._channel.send(pb.ToGuest(configure=order))
        ready = self._expect("ready").ready
        if not ready.configured or sorted(ready.weaken) != wanted or ready.hostname != vm_id:
            self._violation("unexpected_message", f"asked to be {vm_id} weakened by {wanted}, the guest says otherwise")
        return ready

    def prepare(
        self,
        lease_id: str,
        *,
        capabilities: Iterable[str],
        paths_write: Iterable[str],
        env_allowlist: Iterable[str],
        commands: Iterable[tuple[str, ...]],
        limits: Limits,
        artefacts: Iterable[tuple[str, str]] = (),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Denial | None:
        """Build the sandbox of a lease; the agent may refuse a scope that it cannot enforce.

        `meanwhile` is done while the guest is at it; what it raises is raised.
        """
        order = pb.Prepare(
            lease_id=lease_id,
            capabilities=list(capabilities),
            paths_write=list(paths_write),
            env_allowlist=list(env_allowlist),
            commands_allowlist=[dumps(list(argv)).decode() for argv in commands],
            limits=pb.Limits(
                cpu_quota=limits.cpu_quota,
                mem_quota_mb=limits.mem_quota_mb,
                disk_quota_mb=limits.disk_quota_mb,
                wallclock_timeout_s=limits.wallclock_timeout_s,
                fd_limit=limits.fd_limit,
                pids=limits.pids,
                output_mb=limits.output_mb,
            ),
            artefacts=[pb.Artefact(name=name, sha256=sha256) for name, sha256 in artefacts],
        )
        self._channel.send(pb.ToGuest(prepare=order))
        meanwhile()
        answer = self._expect_one_of({"prepared", "denied"})
        if answer.WhichOneof("body") == "denied":
            return Denial(answer.denied.code, answer.denied.message)
        if answer.prepared.lease_id != lease_id:
            self._violation("unexpected_message", "the guest prepared another lease")
        return None

    def put_file(self, file: FileIn) -> Denial | None:
        """Store `file` in the workspace; a refusal (a path outside it) comes back as a `Denial`."""
        pieces = [file.content[at : at + PIECE] for at in range(0, len(file.content), PIECE)] or [b""]
        for number, piece in enumerate(pieces, 1):
            order = pb.PutFile(path=file.path, mode=file.mode, data=piece, last=number == len(pieces))
            self._channel.send(pb.ToGuest(put_file=order))
        answer = self._expect_one_of({"file_stored", "denied"})
        if answer.WhichOneof("body") == "denied":
            return Denial(answer.denied.code, answer.denied.message)
        if answer.file_stored.size != len(file.content):
            self._violation("unexpected_message", f"stored {answer.file_stored.size} of {len(file.content)} bytes")
        return None

    def start(
        self, task_id: str, command: Command, env: Mapping[str, str], *, compromised: bool = False
    ) -> pb.Started | Denial:
        """Start one command; the agent may refuse, then nothing runs."""
        order = pb.Start(
            task_id=task_id,
            argv=[argument.encode() for argument in command.argv],
            cwd=command.cwd,
            env=[pb.EnvVar(name=name, value=value.encode()) for name, value in sorted(env.items())],
            compromised=compromised,
        )
        self._channel.send(pb.ToGuest(start=order))
        answer = self._expect_one_of({"started", "denied"})
        if answer.WhichOneof("body") == "denied":
            return Denial(answer.denied.code, answer.denied.message)
        return answer.started

    def follow(
        self, task_id: str, deadline_ns: int, *, poll: Callable[[], int] | None = None
    ) -> Iterator[pb.Output | pb.Sample | pb.Finished]:
        """What a running command says, ending with `Finished`.

        `poll` is asked before each wait for the latest time (monotonic ns) to wait until; it may raise to stop.
        Raises `ChannelTimeoutError` at `deadline_ns`.
        """
        while True:
            until = min(deadline_ns, poll()) if poll else deadline_ns
            message = self._receive_until(until, deadline_ns)
            if message is None:
                continue
            kind = message.WhichOneof("body")
            if kind not in {"output", "sample", "finished"}:
                if not self._channel.checked:
                    continue
                self._unexpected(message, {"output", "sample", "finished"})
            part: pb.Output | pb.Sample | pb.Finished = getattr(message, kind)
            if part.task_id != task_id and self._channel.checked:
                self._violation("unexpected_message", f"{kind} for another task")
            yield part
            if isinstance(part, pb.Finished):
                return

    def kill(self, task_id: str, reason: str) -> None:
        """Order the running command's end; `follow` then yields `Finished`."""
        self._channel.send(pb.ToGuest(kill=pb.Kill(task_id=task_id, reason=reason)))

    def collect(self, paths: Iterable[str]) -> tuple[CollectedFile, ...]:
        """Files at or below `paths`, each whole or with the reason why not."""
        wanted = [path.rstrip("/") for path in paths]
        self._channel.send(pb.ToGuest(collect=pb.Collect(paths=wanted, max_bytes=COLLECT_BYTES)))
        files: list[CollectedFile] = []
        content = bytearray()
        total = names = 0
        under_way = ""
        while True:
            message = self._expect_one_of({"file_piece", "collect_done"})
            if message.WhichOneof("body") == "collect_done":
                return tuple(files)
            piece = message.file_piece
            total += len(piece.data)
            names += len(piece.path) + len(piece.refused)
            asked = any(piece.path == path or piece.path.startswith(f"{path}/") for path in wanted)
            asked = asked and ".." not in piece.path.split("/")
            in_order = piece.offset == len(content) and (under_way or piece.path) == piece.path
            if self._channel.checked and not (asked and in_order):
                self._violation("unexpected_message", "a file nobody asked for, or not in order")
            if total > COLLECT_BYTES or names > COLLECT_NAMES or len(files) > COLLECT_FILES:
                self._violation("unexpected_message", "more of the workspace than was asked for")
            content += piece.data
            under_way = piece.path
            if piece.last or piece.refused:
                files.append(
                    CollectedFile(piece.path, piece.mode, b"" if piece.refused else bytes(content), piece.refused)
                )
                content.clear()
                under_way = ""

    def reset(self) -> pb.Ready:
        """Wipe the workspace and take the sandbox down, for another use of the VM."""
        self._channel.send(pb.ToGuest(reset=pb.Reset()))
        return self._expect("ready").ready

    def ping(self, nonce: int) -> None:
        """Health check; raises `GuestLostError` unless the agent answers with the same number."""
        self._channel.send(pb.ToGuest(ping=pb.Ping(nonce=nonce)))
        if self._expect("pong").pong.nonce != nonce:
            self._violation("unexpected_message", "pong with another number")

    def hung_up(self) -> bool:
        """Whether the guest's end is gone; asks the socket, reads nothing."""
        return self._channel.hung_up()

    def weaken(self, controls: Collection[str]) -> None:
        """Take controls of the channel away: a drill's positive control."""
        self._channel.weaken(controls)

    def close(self) -> None:
        """Close the channel; a second call is silent."""
        self._channel.close()

    def statistics(self) -> dict[str, int]:
        """The channel's counters."""
        return self._channel.statistics()

    def _receive_until(self, until_ns: int, deadline_ns: int) -> pb.FromGuest | None:
        try:
            message = self._channel.receive(until_ns)
        except ChannelTimeoutError:
            if self._clock.monotonic_ns() >= deadline_ns:
                raise
            return None
        if message.WhichOneof("body") == "fault":
            raise GuestLostError(f"the agent gave up: {message.fault.code}: {message.fault.message}"[:500])
        return message

    def _expect(self, kind: str, deadline_ns: int | None = None) -> pb.FromGuest:
        return self._expect_one_of({kind}, deadline_ns)

    def _expect_one_of(self, kinds: set[str], deadline_ns: int | None = None) -> pb.FromGuest:
        deadline = deadline_ns if deadline_ns is not None else self._clock.monotonic_ns() + ANSWER_NS
        message = self._receive_until(deadline, deadline)
        if message is None:
            raise GuestLostError("the guest did not answer in time")
        if message.WhichOneof("body") not in kinds:
            self._unexpected(message, kinds)
        return message

    def _unexpected(self, message: pb.FromGuest, kinds: set[str]) -> NoReturn:
        self._violation("unexpected_message", f"{message.WhichOneof('body')} where {' or '.join(sorted(kinds))} fits")

    def _violation(self, reason: str, message: str) -> NoReturn:
        self._channel.close()
        raise FrameViolationError(reason, f"guest channel: {message}")

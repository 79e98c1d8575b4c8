"""Targets that talk to a machine: the host's side of the channel and its collector, against an agent turned hostile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from executor.channel import channel_pb2 as pb
from executor.channel import frame
from executor.channel.host import GuestChannel
from executor.channel.session import COLLECT_BYTES, Denial, GuestSession
from executor.clock import SystemClock
from executor.errors import FrameViolationError, OutsideError
from executor.intent import Command, FileIn, Limits
from harness.redteam.attacks import bent_bytes, texts
from harness.redteam.target import EscapeError, Target

_CLOCK: Final = SystemClock()
_PATIENCE_NS: Final = 300_000_000
"""A peer that says nothing is waited for so long; attacks end with a hung-up line, which is seen at once."""
_plain = texts.map(lambda text: text.encode("utf-8", "replace").decode())
_paths = _plain | st.sampled_from(["/workspace/out", "/workspace/out/a", "/workspace/outer", "/etc/shadow"])
_PIECES: Final = ("path", "mode", "offset", "data", "last", "refused")


def _messages() -> SearchStrategy[list[dict[str, Any]]]:
    """What a hostile agent may say, as (kind, fields)."""
    number = st.integers(0, 2**31 - 1)
    said = (
        st.fixed_dictionaries(
            {"ready": st.fixed_dictionaries({"protocol": number, "hostname": _plain, "configured": st.booleans()})}
        )
        | st.fixed_dictionaries({"prepared": st.fixed_dictionaries({"lease_id": _plain | st.just("lease")})})
        | st.fixed_dictionaries({"file_stored": st.fixed_dictionaries({"path": _paths, "size": number | st.just(5)})})
        | st.fixed_dictionaries(
            {"started": st.fixed_dictionaries({"task_id": _plain | st.just("task"), "pid": number})}
        )
        | st.fixed_dictionaries(
            {
                "output": st.fixed_dictionaries(
                    {"task_id": _plain | st.just("task"), "stream": number, "data": st.binary(max_size=50)}
                )
            }
        )
        | st.fixed_dictionaries(
            {"finished": st.fixed_dictionaries({"task_id": _plain | st.just("task"), "exit_code": number})}
        )
        | st.fixed_dictionaries({"denied": st.fixed_dictionaries({"code": _plain, "message": _plain})})
        | st.fixed_dictionaries({"pong": st.fixed_dictionaries({"nonce": number})})
        | st.fixed_dictionaries({"fault": st.fixed_dictionaries({"code": _plain, "message": _plain})})
    )
    return st.lists(said, max_size=8)


def _pieces() -> SearchStrategy[list[dict[str, Any]]]:
    piece = st.fixed_dictionaries(
        {
            "path": _paths,
            "mode": st.integers(0, 2**32 - 1),
            "offset": st.integers(0, 8) | st.integers(0, 2**63),
            "data": st.binary(max_size=8) | st.integers(0, 3).map(lambda units: b"x" * (units << 14)),
            "last": st.booleans(),
            "refused": st.just("") | _plain,
        }
    )
    done = st.fixed_dictionaries({"collect_done": st.fixed_dictionaries({"files": st.integers(0, 2**31 - 1)})})
    return st.lists(piece.map(lambda fields: {"file_piece": fields}) | done, max_size=12)


def _frames(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(
        frame.encode(number, pb.FromGuest(**message).SerializeToString()) for number, message in enumerate(messages, 1)
    )


@contextmanager
def _line(data: bytes) -> Iterator[GuestSession]:
    """A session whose peer says `data` and hangs up."""
    host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = GuestChannel(host, _CLOCK, half_frame_ns=50_000_000)

    def speak() -> None:
        try:
            guest.sendall(data)
            guest.shutdown(socket.SHUT_WR)
            while guest.recv(1 << 16):
                pass
        except OSError:
            return

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield GuestSession(channel, _CLOCK)
    finally:
        channel.close()
        speaker.join()
        guest.close()


def _session(_: Any, attack: Any) -> None:
    """Whatever the agent says, the host is answered as it asked, or the guest is lost: nothing else comes out."""
    data = _frames(attack["said"]) + attack["rest"]
    with _line(data) as session:
        try:
            _converse(session)
        except (OutsideError, FrameViolationError):
            return


def _converse(session: GuestSession) -> None:
    denied = session.prepare(
        "lease", capabilities=(), paths_write=(), env_allowlist=(), commands=(("true",),), limits=Limits()
    )
    stored = session.put_file(FileIn("/workspace/a", b"12345"))
    started = session.start("task", Command(("true",)), {})
    for answer in (denied, stored, started):
        if isinstance(answer, Denial):
            return
    for part in session.follow("task", _CLOCK.monotonic_ns() + _PATIENCE_NS):
        if part.task_id != "task":
            raise EscapeError("a word about another task is taken for this one's")
    session.ping(7)


def _collect(_: Any, attack: Any) -> None:
    """Only files that were asked for come back, whole and within bounds."""
    asked = ["/workspace/out"]
    with _line(_frames(attack)) as session:
        try:
            files = session.collect(asked)
        except (OutsideError, FrameViolationError):
            return
    if wild := [file.path for file in files if file.path != asked[0] and not file.path.startswith(f"{asked[0]}/")]:
        raise EscapeError(f"a file comes back that nobody asked for: {wild[0]!r}")
    if any(".." in file.path.split("/") for file in files):
        raise EscapeError("a path with .. comes back")
    if sum(len(file.content) for file in files) > COLLECT_BYTES:
        raise EscapeError("more comes back than may")


TARGETS: Final = (
    Target(
        "session",
        "the host's side of the conversation",
        lambda: st.fixed_dictionaries(
            {"said": _messages(), "rest": st.just(b"") | bent_bytes([frame.encode(1, b"\x5a\x00"), b""])}
        ),
        _session,
        examples=150,
    ),
    Target("collector", "collected files", _pieces, _collect, examples=150),
)

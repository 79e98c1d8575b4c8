"""The conversation's bounds: what an honest agent may send at most is taken, one more of anything is a violation."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from executor.channel import channel_pb2 as pb
from executor.channel.frame import encode
from executor.channel.host import GuestChannel
from executor.channel.ioguard import IOGuard
from executor.channel.session import COLLECT_BYTES, COLLECT_FILES, COLLECT_NAMES, PIECE, GuestSession
from executor.clock import SystemClock
from executor.errors import FrameViolationError
from executor.outcome import CollectedFile

CLOCK = SystemClock()
UNGUARDED = 1 << 40
Collect = Callable[[list[pb.FilePiece]], tuple[CollectedFile, ...]]


@pytest.fixture
def collect() -> Iterator[Collect]:
    """Has a guest answer `collect` of /workspace/o with the given pieces."""
    host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    guard = IOGuard(CLOCK.monotonic_ns(), refill=UNGUARDED, burst=UNGUARDED)
    session = GuestSession(GuestChannel(host, CLOCK, guard=guard), CLOCK)

    def answered(pieces: list[pb.FilePiece]) -> tuple[CollectedFile, ...]:
        done = pb.FromGuest(collect_done=pb.CollectDone(files=1))
        messages = [*(pb.FromGuest(file_piece=piece) for piece in pieces), done]
        frames = b"".join(encode(number, one.SerializeToString()) for number, one in enumerate(messages, 1))

        def say() -> None:
            try:
                guest.sendall(frames)
            except OSError:
                return  # the host hung up

        speaker = threading.Thread(target=say)
        speaker.start()
        try:
            return session.collect(["/workspace/o"])
        finally:
            session.close()
            speaker.join(10)

    yield answered
    guest.close()


def whole(path: str, size: int) -> list[pb.FilePiece]:
    """A file of `size` bytes as the agent sends it."""
    starts = range(0, size, PIECE)
    return [
        pb.FilePiece(path=path, offset=at, data=b"x" * min(PIECE, size - at), last=at + PIECE >= size) for at in starts
    ]


@pytest.mark.parametrize("sizes", [(COLLECT_BYTES,), (COLLECT_BYTES // 2, COLLECT_BYTES // 2)])
def test_exactly_as_much_as_may_be_handed_back_arrives(collect: Collect, sizes: tuple[int, ...]) -> None:
    """The cap counts what is in the files: their names must not make a violation of the last bytes."""
    pieces = [piece for number, size in enumerate(sizes) for piece in whole(f"/workspace/o/{number}", size)]
    assert [len(file.content) for file in collect(pieces)] == list(sizes)


@pytest.mark.parametrize(
    "pieces",
    [
        whole("/workspace/o/a", COLLECT_BYTES + 1),
        [pb.FilePiece(path=f"/workspace/o/{number:04}{'n' * 4000}", last=True, refused="no")
         for number in range(COLLECT_NAMES // 4000 + 1)],
        [pb.FilePiece(path="/workspace/o/a", last=True)] * (COLLECT_FILES + 2),
    ],
    ids=["bytes", "names", "files"],
)  # fmt: skip
def test_one_more_than_may_be_handed_back_is_a_violation(collect: Collect, pieces: list[pb.FilePiece]) -> None:
    """Of bytes, of names, of files: an agent that goes on is not ours any more."""
    with pytest.raises(FrameViolationError, match="more of the workspace than was asked for"):
        collect(pieces)

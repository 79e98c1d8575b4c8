"""The host's end of the channel against a peer that does its worst, over real sockets."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.channel import channel_pb2 as pb
from executor.channel.frame import HEADER, MAGIC, encode
from executor.channel.host import ChannelTimeoutError, GuestChannel
from executor.channel.ioguard import IOGuard
from executor.channel.session import GuestSession
from executor.clock import SystemClock
from executor.errors import FrameViolationError, GuestLostError

CLOCK = SystemClock()
SECOND = 1_000_000_000
POLL = 7
"""poll(2)'s number on x86-64."""


@pytest.fixture
def ends() -> Iterator[tuple[GuestChannel, socket.socket]]:
    """A channel with a short patience, and the guest's raw end of it."""
    host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel = GuestChannel(host, CLOCK, half_frame_ns=50_000_000)
    yield channel, guest
    channel.close()
    guest.close()


def soon(seconds: float = 5) -> int:
    return CLOCK.monotonic_ns() + round(seconds * SECOND)


def pong(sequence: int, nonce: int = 7) -> bytes:
    return encode(sequence, pb.FromGuest(pong=pb.Pong(nonce=nonce)).SerializeToString())


def drain(channel: GuestChannel) -> None:
    deadline = soon()
    while True:
        channel.receive(deadline)


def violation(channel: GuestChannel, guest: socket.socket, data: bytes) -> str:
    """The reason the channel refuses `data` for; afterwards it must be closed."""
    guest.sendall(data)
    with pytest.raises(FrameViolationError) as caught:
        drain(channel)
    with pytest.raises(GuestLostError):
        channel.receive(soon())
    assert guest.recv(1) == b"", "the host hung up"
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEADER.pack(0x1234, 1, 0, 1), "bad_magic"),
        (HEADER.pack(MAGIC, 0, 0, 1), "empty"),
        (HEADER.pack(MAGIC, 16 * 1024 * 1024 + 1, 0, 1), "too_long"),
        (HEADER.pack(MAGIC, 1, 0, 1) + b"x", "bad_crc"),
        (pong(1) + pong(1), "bad_sequence"),
        (pong(2), "bad_sequence"),
        (encode(1, b"\xff\xff\xff"), "bad_message"),
        (encode(1, b"\xfa\x3f\x00"), "unknown_message"),
        (pong(1)[:-1], "half_frame"),
        (b"\xef", "half_frame"),
    ],
    ids=["magic", "empty", "too-long", "crc", "replayed", "future", "no-protobuf", "unknown", "half", "one-byte"],
)
def test_a_violation_closes_the_channel_with_its_reason(
    ends: tuple[GuestChannel, socket.socket], data: bytes, reason: str
) -> None:
    """Each way to break the protocol is named, and nothing is read after it."""
    assert violation(*ends, data) == reason


def test_messages_before_a_violation_in_the_same_read_are_not_acted_on(
    ends: tuple[GuestChannel, socket.socket],
) -> None:
    """A violation outranks messages that came with it: nothing of a peer that broke the protocol is acted on."""
    assert violation(*ends, pong(1) + b"junk" * 8) == "bad_magic"


def test_silence_ends_at_the_deadline_and_leaves_the_channel_usable(ends: tuple[GuestChannel, socket.socket]) -> None:
    """A timeout is not a violation: the next message still arrives."""
    channel, guest = ends
    with pytest.raises(ChannelTimeoutError):
        channel.receive(soon(0.02))
    guest.sendall(pong(1))
    assert channel.receive(soon()).pong.nonce == 7


def test_end_of_file_is_a_lost_guest(ends: tuple[GuestChannel, socket.socket]) -> None:
    """A dead QEMU shows as GuestLostError, at once."""
    channel, guest = ends
    guest.close()
    with pytest.raises(GuestLostError, match="closed its channel"):
        channel.receive(soon())


def test_closing_wakes_a_waiting_reader(ends: tuple[GuestChannel, socket.socket]) -> None:
    """`close` from another thread ends `receive`; a second close is silent."""
    channel, _ = ends
    raised: list[Exception] = []

    def read() -> None:
        try:
            channel.receive(soon(20))
        except GuestLostError as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    channel.close()
    channel.close()
    reader.join(5)
    assert not reader.is_alive()
    assert len(raised) == 1


def test_closing_wakes_a_reader_although_its_descriptor_is_anothers_at_once() -> None:
    """Whoever closes opens something next, on the same number: the reader must not wait for that one.

    Both threads on one processor: the reader, woken, looks only after the number was given away.
    """
    processors = os.sched_getaffinity(0)
    one = {min(processors)}
    for _ in range(10):
        host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        channel, waits = GuestChannel(host, CLOCK), threading.Event()

        def read(channel: GuestChannel = channel, waits: threading.Event = waits) -> None:
            os.sched_setaffinity(0, one)
            waits.set()
            with pytest.raises(GuestLostError, match="closed"):
                channel.receive(soon(20))

        reader = threading.Thread(target=read, daemon=True)
        os.sched_setaffinity(0, one)
        try:
            reader.start()
            waits.wait(5)
            _wait_asleep(reader)
            channel.close()
            taken = [os.eventfd(0) for _ in range(4)]
        finally:
            os.sched_setaffinity(0, processors)
        reader.join(5)
        woken = not reader.is_alive()
        for descriptor in taken:
            os.close(descriptor)
        guest.close()
        assert woken
        assert host.fileno() == -1, "who was last has closed it"


def _wait_asleep(thread: threading.Thread) -> None:
    """Wait until the kernel says that `thread` sleeps in its poll."""
    deadline = soon()
    where = Path(f"/proc/self/task/{thread.native_id}/syscall")
    while not where.read_text().startswith(f"{POLL} "):
        assert CLOCK.monotonic_ns() < deadline
        os.sched_yield()


def test_a_flood_is_read_no_faster_than_the_bucket_allows() -> None:
    """Ten seconds of flood in virtual time cost exactly burst + rate * time, and the rest stays with the guest."""
    host, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    guard = IOGuard(CLOCK.monotonic_ns(), refill=512 * 1024, burst=64 * 1024)
    channel = GuestChannel(host, CLOCK, guard=guard)
    frame = encode(1, b"x" * (8 * 1024 * 1024))
    stop = threading.Event()

    def flood() -> None:
        left = memoryview(frame)
        while left and not stop.is_set():
            try:
                left = left[guest.send(left[:65536]) :]
            except OSError:
                return

    sender = threading.Thread(target=flood)
    sender.start()
    begun = CLOCK.monotonic_ns()
    with pytest.raises(ChannelTimeoutError):
        channel.receive(soon(0.5))
    spent = CLOCK.monotonic_ns() - begun
    received = channel.statistics()["bytes_received"]
    stop.set()
    channel.close()
    guest.close()
    sender.join(5)
    assert received <= 64 * 1024 + 512 * 1024 * spent // SECOND + 1
    assert received >= 64 * 1024
    assert channel.statistics()["throttles"] > 0


def test_an_answer_out_of_turn_is_a_violation(ends: tuple[GuestChannel, socket.socket]) -> None:
    """The session accepts only the answers that fit its question."""
    channel, guest = ends
    session = GuestSession(channel, CLOCK)
    guest.sendall(pong(1, nonce=8))
    with pytest.raises(FrameViolationError) as caught:
        session.ping(9)
    assert caught.value.reason == "unexpected_message"


def test_a_fault_from_the_agent_loses_the_guest(ends: tuple[GuestChannel, socket.socket]) -> None:
    """An agent that gives up is believed; its words are bounded."""
    channel, guest = ends
    fault = pb.FromGuest(fault=pb.Fault(code="guest.x", message="y" * 4000))
    guest.sendall(encode(1, fault.SerializeToString()))
    with pytest.raises(GuestLostError) as caught:
        GuestSession(channel, CLOCK).ping(1)
    assert len(str(caught.value)) <= 500


def test_a_guest_that_says_it_is_another_is_refused(ends: tuple[GuestChannel, socket.socket]) -> None:
    """Ready must repeat the identity and the weakening that were asked for."""
    channel, guest = ends
    ready = pb.FromGuest(ready=pb.Ready(protocol=1, configured=True, hostname="vm-1", weaken=["seccomp"]))
    guest.sendall(encode(1, ready.SerializeToString()))
    with pytest.raises(FrameViolationError):
        GuestSession(channel, CLOCK).configure("vm-1")

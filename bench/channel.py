"""The guest channel's host end: how fast frames are verified, and what a guest that floods costs.

Bars: parser >= 100 MB/s; a flood of 10 s through IOGuard stays within 5 % of 1 MiB/s plus the burst, and the host's
memory grows by 8 MiB at most. The flooding guest is a process that writes valid frames into the socket as fast as it
is let; nothing of the reading side is replaced.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.channel import channel_pb2 as pb
from executor.channel.frame import FrameParser, encode
from executor.channel.host import CHUNK, ChannelTimeoutError, GuestChannel
from executor.channel.ioguard import BURST, REFILL
from executor.clock import SystemClock

ROUNDS: Final = 20
ROUND_BYTES: Final = 32 * 1024 * 1024
FLOOD_S: Final = 10
PIECE: Final = 32 * 1024
"""Bytes of output in one frame: what the agent sends at most."""
SIZES: Final = {"1KiB": 1024, "32KiB": PIECE, "1MiB": 1024 * 1024}


def figures() -> list[dict[str, Any]]:
    """Parser rates by frame size, then the flood."""
    found = [spread(f"channel.parse.{name}", "MB/s", _parse_rates(size)) for name, size in SIZES.items()]
    received, seconds, growth = _flood()
    allowed = REFILL * seconds + BURST
    return [
        *found,
        spread("channel.flood.of_the_allowed", "%", [100 * received / allowed]),
        spread("channel.flood.memory_growth", "MiB", [growth / 1024]),
    ]


def _parse_rates(size: int) -> list[float]:
    """MB/s for frames of `size`, fed as they are read: `CHUNK` bytes at a time."""
    payload = bytes(range(256)) * (size // 256)
    count = ROUND_BYTES // size
    stream = b"".join(encode(number, payload) for number in range(1, count + 1))
    rates = []
    for _ in range(ROUNDS):
        parser = FrameParser()
        done = 0
        begun = time.perf_counter()
        for at in range(0, len(stream), CHUNK):
            done += sum(1 for _ in parser.feed(stream[at : at + CHUNK]))
        took = time.perf_counter() - begun
        if done != count:
            raise RuntimeError(f"{done} of {count} frames came out")
        rates.append(len(stream) / took / 1e6)
    return rates


def _flood() -> tuple[int, float, float]:
    """Bytes let in, seconds it took, and by how many KiB this process grew."""
    ours, theirs = socket.socketpair()
    guest = multiprocessing.get_context("spawn").Process(target=flood, args=(theirs,))
    guest.start()
    theirs.close()
    clock = SystemClock()
    channel = GuestChannel(ours, clock)
    try:
        channel.receive(clock.monotonic_ns() + 30_000_000_000)  # it has begun; the bucket refills while we wait for it
        before, received = _resident_kib(), channel.statistics()["bytes_received"]
        begun = clock.monotonic_ns()
        end = begun + FLOOD_S * 1_000_000_000
        peak = before
        while clock.monotonic_ns() < end:
            try:
                channel.receive(end)
            except ChannelTimeoutError:
                break
            peak = max(peak, _resident_kib())
        took = (clock.monotonic_ns() - begun) / 1e9
        return channel.statistics()["bytes_received"] - received, took, peak - before
    finally:
        channel.close()
        guest.kill()
        guest.join()


def flood(link: socket.socket) -> None:
    """A guest that writes and never stops."""
    body = pb.FromGuest(output=pb.Output(task_id="t", stream=1, data=b"x" * PIECE)).SerializeToString()
    number = 0
    while True:
        number += 1
        link.sendall(encode(number, body))


def _resident_kib() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


if __name__ == "__main__":
    json.dump(figures(), sys.stdout, indent=2)
    sys.stdout.write("\n")

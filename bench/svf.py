"""How many events a second become durable, how fast a trail is verified, and whether memory stays flat.

Bars: >= 10,000 events/s acknowledged durable with 8 writers, >= 100,000 events/s verified, memory flat over 1,000,000
events. The trail is written below `TMPDIR`: point that at a real disk (on tmpfs an fsync costs nothing, and the figure
says nothing). Every event is emitted by a blocking `emit`, which returns after its fsync.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.clock import SystemClock
from executor.keys import SeedSigner
from executor.svf import SvfLog, verify

WRITERS: Final = 8
SLICES: Final = 20
"""Parts the run is cut into; rate and memory are measured for each."""
_FIELDS: Final = {
    "intent_id": "intent-0123456789",
    "lease_id": "lease-0123456789abcdef0123456789abcdef",
    "vm_id": "vm-0123456789",
    "engine": "kvm",
    "policy_digest": f"sha256:{'a' * 64}",
}


def figures(events: int = 100_000) -> list[dict[str, Any]]:
    """Rates over `SLICES` parts of `events`, the latency of one emit, verification, and memory."""
    signer = SeedSigner(b"b" * 32)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        rates, memory, latencies = _write(directory, signer, events)
        seconds = []
        for _ in range(5 if events <= 100_000 else 1):
            begun = time.perf_counter()
            summary = verify(directory, {signer.kid: signer.public}, sealed=True)
            seconds.append(time.perf_counter() - begun)
        before = _resident_kib()
        verify(directory, {signer.kid: signer.public})
    return [
        spread(f"svf.emit.{WRITERS}_writers", "events/s", rates),
        spread(f"svf.emit.{WRITERS}_writers.latency", "ms", latencies),
        spread("svf.verify", "events/s", [summary.records / value for value in seconds]),
        spread("svf.resident", "KiB", memory),
        spread("svf.resident.growth", "KiB", [memory[-1] - memory[len(memory) // 4], _resident_kib() - before]),
    ]


def _write(directory: Path, signer: SeedSigner, events: int) -> tuple[list[float], list[float], list[float]]:
    """Rate and resident memory after each slice, and a sample of latencies in milliseconds."""
    rates: list[float] = []
    memory: list[float] = []
    latencies: list[float] = []
    each = events // SLICES // WRITERS
    with SvfLog.open(directory, SystemClock(), signer) as log:

        def write(number: int) -> None:
            for turn in range(each):
                begun = time.perf_counter_ns()
                log.emit("exec_event.STARTED", "cp20", task_id=f"task-{number}", data={"n": turn}, **_FIELDS)
                if turn % 50 == 0:
                    latencies.append((time.perf_counter_ns() - begun) / 1e6)

        for _ in range(SLICES):
            threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
            begun = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rates.append(each * WRITERS / (time.perf_counter() - begun))
            memory.append(_resident_kib())
    return rates, memory, latencies


def _resident_kib() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="how many events (100,000)")
    json.dump(figures(parser.parse_args().events), sys.stdout, indent=2)
    sys.stdout.write("\n")

"""The host's disk is full, where machines or the state are kept: tasks end with that cause, and all is well again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from executor.api import Request
from executor.errors import OutOfDiskError, OutsideError
from executor.fate import OUT_OF_DISK, WORDS
from executor.intent import Intent
from executor.machine import Machine, Profile
from executor.paths import runtime_dir
from executor.service import LocalExecutor, open_executor
from executor.svf import read
from executor.svf.machine import check_trace, match_trail

pytestmark = pytest.mark.vm
POLICIES = Path(__file__).parents[2] / "policies"
MIB = 1024 * 1024


def clear(base: Path) -> None:
    """Take away what a killed run has left of its disks, and the machines on them: nobody else looks there."""
    subprocess.run(["pkill", "-KILL", "-f", f"{base}/"], check=False)
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    for path in reversed([path for path in mounted if path.startswith(f"{base}/")]):
        subprocess.run(["umount", "-l", path], check=True)
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def disks() -> Iterator[dict[str, Path]]:
    """Two small disks of memory, where QEMU's account can reach them: for the machines and for the state."""
    runtime_dir().parent.mkdir(parents=True, exist_ok=True)
    for left in runtime_dir().parent.glob("full-*"):
        if not Path("/proc", left.name.removeprefix("full-")).exists():
            clear(left)
    base = runtime_dir().parent / f"full-{os.getpid()}"
    base.mkdir(mode=0o711)
    made = {"machines": base / "m", "state": base / "s"}
    mounted = []
    try:
        for name, size in (("machines", "2560m"), ("state", "96m")):
            made[name].mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "none", made[name]], check=True)
            mounted.append(made[name])
        yield made
    finally:
        for path in mounted:  # lazily: libvirt's root may be in there, and stays open as long as this process
            subprocess.run(["umount", "-l", path], check=True)
        shutil.rmtree(base)


@pytest.fixture(scope="module")
def executor(disks: dict[str, Path]) -> Iterator[LocalExecutor]:
    """One executor on real VMs, on these disks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORDON_RUNTIME", str(disks["machines"]))
        made = open_executor("auto", state=disks["state"], policies=POLICIES, drill=True)
        assert made.wait_warm(120)
        yield made
        made.close()


def intent(name: str, *argv: str) -> Intent:
    return Intent.parse({"intent_id": name, "requester": "drill", "commands": [{"argv": list(argv)}]})


def fill(folder: Path, left: int) -> Path:
    """A file that leaves `left` bytes free."""
    ballast = folder / "ballast"
    found = subprocess.run(["df", "--output=avail", "-B1", folder], capture_output=True, text=True, check=True).stdout
    subprocess.run(["fallocate", "-l", str(int(found.split()[1]) - left), ballast], check=True)
    return ballast


class Filler:
    """Fills a folder's disk once the first command runs; says what was in the way."""

    def __init__(self, folder: Path, left: int) -> None:
        self._folder = folder
        self._left = left
        self.ballast: Path | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "exec_event.STARTED" and self.ballast is None:
            self.ballast = fill(self._folder, self._left)

    def output(self, command: int, stream: int, data: bytes) -> None:
        """Not of interest."""

    def done(self) -> None:
        assert self.ballast is not None
        self.ballast.unlink()


def healed(executor: LocalExecutor, name: str) -> None:
    """The next task runs."""
    outcome = executor.run(Request(intent(name, "echo", "healed")))
    assert outcome.results[0].stdout == b"healed\n"
    assert check_trace(outcome.events, complete=True) == []


def test_full_where_machines_are(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """QEMU holds the machine still when it cannot write; the task ends at once, later ones run once there is room."""
    filler = Filler(disks["machines"], 8 * MIB)
    write = "sleep 2; head -c 60000000 /dev/urandom > big; sync; sleep 40"
    outcome = executor.run(Request(intent("drill-full", "sh", "-c", write), observer=filler))
    filler.done()
    assert (outcome.effect, outcome.reasons) == ("aborted", (OUT_OF_DISK,)), outcome.message
    assert [event["data"] for event in outcome.events if event["type"] == "exec_event.ABORTED"] == [
        {"cause": OUT_OF_DISK, "what": WORDS[OUT_OF_DISK]}
    ]
    assert not match_trail(outcome.events, "aborted")
    assert check_trace(outcome.events, complete=True) == []
    healed(executor, "drill-healed")


def test_no_room_for_another_machine(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """With the pool empty and no room for an overlay whoever asks is told so; with room the pool fills by itself."""
    assert executor.wait_warm(60)
    ballast = fill(disks["machines"], 0)
    got: list[Machine] = []

    def take_all() -> None:
        for _ in range(6):
            got.append(executor.machines.acquire(Profile(), frozenset()))  # noqa: PERF401 - kept when it raises

    try:
        with pytest.raises(OutOfDiskError):
            take_all()
        assert executor.run(Request(intent("drill-room", "true"))).reasons == ("host.disk",)
    finally:
        ballast.unlink()
        for machine in got:
            machine.destroy()
    assert executor.wait_warm(60)
    healed(executor, "drill-room-2")


def test_full_where_the_state_is(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """What was begun is closed on record, the caller is told why, and with room again tasks run."""
    filler = Filler(disks["state"], 0)
    with pytest.raises(OutsideError) as error:
        executor.run(Request(intent("drill-state", "sleep", "1"), observer=filler))
    filler.done()
    assert error.value.code == OUT_OF_DISK
    healed(executor, "drill-state-2")


def test_full_where_the_state_is_before_anything_runs(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """A task that cannot be leased for want of room is turned away on record: no trail stays open."""
    ballast = fill(disks["state"], 0)
    try:
        with pytest.raises(OutsideError) as error:
            executor.run(Request(intent("drill-state-3", "true")))
    finally:
        ballast.unlink()
    assert error.value.code == OUT_OF_DISK
    events = [event for event in read(disks["state"] / "logs" / "svf_audit") if event.intent_id == "drill-state-3"]
    assert events[-1].type == "task_event.REJECTED"
    assert events[-1].data == {"reason": OUT_OF_DISK}
    healed(executor, "drill-state-4")

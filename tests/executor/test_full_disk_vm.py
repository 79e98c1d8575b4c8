"""The host's disk is full, where machines or the state are kept: tasks end with that cause, and all is well again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.api import Request
from executor.errors import OutsideError
from executor.fate import OUT_OF_DISK, WORDS
from executor.intent import Intent
from executor.paths import runtime_dir
from executor.service import LocalExecutor, open_executor
from executor.svf.machine import check_trace, match_trail

pytestmark = pytest.mark.vm
POLICIES = Path(__file__).parents[2] / "policies"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def disks() -> Iterator[dict[str, Path]]:
    """Two small disks of memory, where QEMU's account can reach them: for the machines and for the state."""
    base = runtime_dir().parent / f"full-{os.getpid()}"
    base.mkdir(mode=0o711)
    made = {"machines": base / "m", "state": base / "s"}
    mounted = []
    try:
        for name, size in (("machines", "1536m"), ("state", "96m")):
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


def test_full_where_machines_are(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """QEMU holds the machine still when it cannot write; the task ends at once, later ones run once there is room."""
    ballast = fill(disks["machines"], 8 * MIB)
    try:
        outcome = executor.run(
            Request(intent("drill-full", "sh", "-c", "head -c 60000000 /dev/urandom > big; sync; sleep 40"))
        )
    finally:
        ballast.unlink()
    assert (outcome.effect, outcome.reasons) == ("aborted", (OUT_OF_DISK,)), outcome.message
    assert [event["data"] for event in outcome.events if event["type"] == "exec_event.ABORTED"] == [
        {"cause": OUT_OF_DISK, "what": WORDS[OUT_OF_DISK]}
    ]
    assert not match_trail(outcome.events, "aborted")
    assert check_trace(outcome.events, complete=True) == []
    assert executor.run(Request(intent("drill-healed", "echo", "healed"))).results[0].stdout == b"healed\n"


def test_no_room_for_another_machine(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """With the pool empty and no room for an overlay the task is told so, and the pool fills again with room."""
    ballast = fill(disks["machines"], 0)
    try:
        causes = [executor.run(Request(intent(f"drill-room-{n}", "true"))).reasons for n in range(5)]
    finally:
        ballast.unlink()
    assert causes[-1] == (OUT_OF_DISK,)
    assert set(causes) <= {(), (OUT_OF_DISK,)}
    assert executor.wait_warm(60)
    assert executor.run(Request(intent("drill-room", "echo", "healed"))).results[0].stdout == b"healed\n"


def test_full_where_the_state_is(executor: LocalExecutor, disks: dict[str, Path]) -> None:
    """Nothing begins that could not be recorded, no trail stays open, and with room again tasks run."""
    ballast = fill(disks["state"], 0)
    try:
        with pytest.raises(OutsideError) as error:
            executor.run(Request(intent("drill-state", "true")))
    finally:
        ballast.unlink()
    assert error.value.code in {OUT_OF_DISK, "svf.unwritable"}
    outcome = executor.run(Request(intent("drill-state-2", "echo", "healed")))
    assert outcome.results[0].stdout == b"healed\n"
    assert check_trace(outcome.events, complete=True) == []

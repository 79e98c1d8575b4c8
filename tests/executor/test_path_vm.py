"""The whole path on real VMs: what a caller of the executor can rely on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.api import Request
from executor.domain.rundir import processes_of
from executor.errors import LeaseRefusedError
from executor.intent import Command, Intent
from executor.outcome import Outcome
from executor.paths import runtime_dir
from executor.service import LocalExecutor, open_executor
from executor.svf import verify
from executor.svf.machine import check_trace

pytestmark = pytest.mark.vm
ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder of this module's own."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def executor(state: Path) -> Iterator[LocalExecutor]:
    """One executor on real VMs."""
    executor = open_executor("auto", state=state, policies=POLICIES, drill=True)
    yield executor
    executor.close()


def intent(name: str, *argv: str, **more: Any) -> Intent:
    return Intent.parse({"intent_id": name, "requester": "drill", "commands": [{"argv": list(argv)}], **more})


def types(outcome: Outcome) -> list[str]:
    return [event["type"] for event in outcome.events if event["type"] != "resource_event.MONITORED"]


def test_output_comes_back_byte_for_byte(executor: LocalExecutor) -> None:
    """stdout and stderr are separate and binary-safe, and the trail obeys the state machine."""
    code = "import os; os.write(1, bytes(range(256))); os.write(2, b'\\xff\\0')"
    outcome = executor.run(Request(intent("bytes", "python3", "-c", code, capabilities=["base:execute", "dev:python"])))
    (result,) = outcome.results
    assert (outcome.effect, result.stdout, result.stderr) == ("completed", bytes(range(256)), b"\xff\0")
    assert check_trace(outcome.events) == []


def test_files_go_in_and_come_out(executor: LocalExecutor) -> None:
    """A file put into the workspace is there for the command, and what it wrote is handed back."""
    outcome = executor.run(
        Request(
            intent(
                "files",
                "sh",
                "-c",
                "cat in.txt > out.txt; echo more >> out.txt",
                files=[{"path": "/workspace/in.txt", "text": "given\n"}],
                collect=["/workspace/out.txt"],
            )
        )
    )
    assert [(file.path, file.content, file.refused) for file in outcome.files] == [
        ("/workspace/out.txt", b"given\nmore\n", "")
    ]


def test_a_run_leaves_no_process_no_overlay_and_an_intact_record(executor: LocalExecutor, state: Path) -> None:
    """After a run its VM is gone from the process table and the disk, and the audit trail verifies."""
    outcome = executor.run(Request(intent("gone", "true")))
    assert outcome.effect == "completed"
    assert not list(runtime_dir().glob(f"r-*/{outcome.vm_id}"))
    assert not any(outcome.vm_id in line for line in subprocess.check_output(["ps", "-ef"], text=True).splitlines())
    verify(state / "logs" / "svf_audit", None)


@pytest.mark.parametrize(
    ("name", "limits", "argv", "effect", "end"),
    [
        ("time", {"wallclock_timeout_s": 1}, ("sleep", "60"), "timeout", "exec_event.TIMEOUT"),
        ("out", {"output_mb": 1}, ("sh", "-c", "yes"), "breached", "exec_event.KILLED"),
        ("mem", {"mem_quota_mb": 32}, ("sh", "-c", "tail /dev/zero"), "breached", "exec_event.KILLED"),
    ],
    ids=["wall-clock", "output", "memory"],
)
def test_a_limit_ends_the_command_and_says_which(
    executor: LocalExecutor, name: str, limits: dict[str, int], argv: tuple[str, ...], effect: str, end: str
) -> None:
    """Each quota that is exceeded has its own event, and the path ends in order."""
    outcome = executor.run(Request(intent(f"limit-{name}", *argv, limits=limits)))
    assert (outcome.effect, end in types(outcome)) == (effect, True)
    assert check_trace(outcome.events) == []


def test_two_clones_share_no_random_numbers_ids_or_clock(executor: LocalExecutor) -> None:
    """Machines restored from one memory image differ in entropy, boot id and hostname, and know the time."""
    code = "cd /proc/sys/kernel; cat random/boot_id hostname; head -c 16 /dev/urandom | od -An -tx1; date +%s"
    said = [executor.run(Request(intent(f"clone-{n}", "sh", "-c", code))).results[0].stdout.split() for n in range(2)]
    assert said[0][0] != said[1][0]
    assert said[0][2:-1] != said[1][2:-1]
    assert int(said[1][-1]) >= int(said[0][-1]) > 1_700_000_000


def test_a_tampered_lease_never_reaches_a_machine(executor: LocalExecutor) -> None:
    """One changed field: denied before execution, for the signature."""
    outcome = executor.run(Request(intent("tamper", "true"), tamper={"limits.pids": 9999}))
    assert (outcome.effect, outcome.reasons) == ("refused", ("lease.signature",))
    assert types(outcome)[-2:] == ["lease_event.DENIED", "task_event.REJECTED"]
    assert LeaseRefusedError.code == "lease.refused"


def test_a_command_the_lease_does_not_list_is_refused_on_both_sides(executor: LocalExecutor) -> None:
    """The host refuses it; with the host's check taken away, the guest still does."""
    other = (Command(("whoami",)),)
    host = executor.run(Request(intent("outside", "true"), attempt=other))
    guest = executor.run(Request(intent("outside-2", "true"), attempt=other, weaken=frozenset({"lease_check"})))
    assert (host.effect, host.reasons) == ("refused", ("lease.command",))
    assert (guest.effect, guest.reasons) == ("refused", ("guest.command_not_in_lease",))


KILLED = """
import sys, os
from pathlib import Path
from executor.service import open_executor
from executor.api import Request
from executor.intent import Intent
executor = open_executor("auto", state=Path(sys.argv[1]), policies=Path(sys.argv[2]), drill=True)
print("open", flush=True)
if sys.argv[3] == "close":
    sys.exit(executor.close())
executor.run(Request(Intent.parse({"intent_id": "k", "requester": "drill", "commands": [{"argv": ["sleep", "60"]}]})))
"""


def test_after_kill_9_the_next_start_reaps_everything(tmp_path: Path) -> None:
    """A killed executor's QEMU, overlay and sockets are gone once the next one has opened."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), str(POLICIES)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command, "run"], stdout=subprocess.PIPE, text=True, env=environment) as killed:
        assert killed.stdout
        assert killed.stdout.readline() == "open\n"
        mine = {path for path in runtime_dir().glob("r-*") if _owner(path) == killed.pid}
        deadline = time.monotonic() + 60
        while not any(map(processes_of, mine)) and time.monotonic() < deadline:
            time.sleep(0.05)  # until it has a machine to leave behind
        assert any(map(processes_of, mine))
        os.kill(killed.pid, signal.SIGKILL)
    subprocess.run([*command, "close"], check=True, env=environment, stdout=subprocess.DEVNULL)
    assert not any(path.exists() for path in mine)
    assert not any(map(processes_of, mine))


def _owner(path: Path) -> int:
    """The process that holds the run directory's lock, from the kernel's own list."""
    inode = (path / "lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        found = re.search(r"FLOCK\s+\S+\s+\S+\s+(\d+)\s+\S+:(\d+)\s", line)
        if found and int(found[2]) == inode:
            return int(found[1])
    return 0

"""What happens to a task when something breaks under it: it ends ABORTED with the cause, and the next one runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from executor.api import Request
from executor.clock import parse_rfc3339
from executor.control.kill import KillOrder
from executor.domain import VmHost
from executor.domain.groups import GroupBounds
from executor.domain.rundir import processes_of
from executor.domain.usage import read_stat
from executor.fate import WORDS
from executor.intent import Intent
from executor.outcome import Outcome
from executor.paths import runtime_dir
from executor.quota import MIB
from executor.service import LocalExecutor, open_executor
from executor.svf.machine import check_trace, match_trail

pytestmark = pytest.mark.vm
POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """One executor on real VMs."""
    executor = open_executor("auto", state=tmp_path_factory.mktemp("state"), policies=POLICIES, drill=True)
    yield executor
    executor.close()


def intent(name: str, *argv: str, **more: Any) -> Intent:
    return Intent.parse({"intent_id": name, "requester": "drill", "commands": [{"argv": list(argv)}], **more})


class Meddler:
    """Looks on and does something once the first command runs; says when it did."""

    def __init__(self, act: Callable[[str], None]) -> None:
        self._act = act
        self.acted = threading.Event()
        self.failed: BaseException | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "exec_event.STARTED" and not self.acted.is_set():
            self.acted.set()
            threading.Thread(target=self._do, args=(event["vm_id"],)).start()

    def _do(self, name: str) -> None:
        try:
            self._act(name)
        except BaseException as error:  # noqa: BLE001 - a thread's error belongs to the test
            self.failed = error

    def output(self, command: int, stream: int, data: bytes) -> None:
        """Not of interest."""


def aborted(executor: LocalExecutor, request: Request, cause: str) -> Outcome:
    """Run it; it ends aborted for `cause`, in order, leaves no machine, and the next task runs."""
    outcome = executor.run(request)
    assert getattr(request.observer, "failed", None) is None
    assert (outcome.effect, outcome.reasons) == ("aborted", (cause,)), outcome.message
    assert [event["data"] for event in outcome.events if event["type"] == "exec_event.ABORTED"] == [
        {"cause": cause, "what": WORDS[cause]}
    ]
    assert WORDS[cause] in outcome.message
    assert check_trace(outcome.events, complete=True) == []
    assert not list(runtime_dir().glob(f"r-*/{outcome.vm_id}"))
    healed = executor.run(Request(intent(f"after-{request.intent.intent_id}", "echo", "healed")))
    assert healed.results[0].stdout == b"healed\n"
    return outcome


def meddled(executor: LocalExecutor, name: str, act: Callable[[str], None], cause: str) -> Outcome:
    meddler = Meddler(act)
    outcome = aborted(executor, Request(intent(name, "sleep", "40"), observer=meddler), cause)
    assert meddler.failed is None
    assert not match_trail(outcome.events, "aborted")
    return outcome


def host(executor: LocalExecutor) -> VmHost:
    assert isinstance(executor._host, VmHost)
    return executor._host


def resident(pid: int) -> int:
    """Bytes of memory that process `pid` has."""
    return read_stat(Path(f"/proc/{pid}/stat").read_text())[2] * os.sysconf("SC_PAGE_SIZE")


def qemu(name: str) -> int:
    (pid,) = {
        pid
        for run in runtime_dir().glob("r-*")
        for pid in processes_of(run)
        if f"guest={name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    }
    return pid


def test_qemu_killed(executor: LocalExecutor) -> None:
    """The host's OOM killer, or a hand that slipped: SIGKILL at QEMU."""
    meddled(executor, "qemu-killed", lambda name: os.kill(qemu(name), signal.SIGKILL), "host.qemu_killed")


def test_libvirt_destroys_the_domain(executor: LocalExecutor) -> None:
    """An error of libvirt's, as an operator's `virsh destroy` shows it: the domain is gone from under us."""

    def destroy(name: str) -> None:
        host(executor).hypervisor._live().lookupByName(name).destroy()

    meddled(executor, "domain-destroyed", destroy, "hypervisor.destroyed")


def test_guest_kernel_panics(executor: LocalExecutor) -> None:
    """A panic restarts the guest, a restart ends the machine."""
    weaken = frozenset({"compromised_agent", "lockdown", "masked_paths"})
    argv = ("sh", "-c", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 40")
    aborted(executor, Request(intent("panic", *argv), weaken=weaken), "guest.panicked")


def test_agent_crashes(executor: LocalExecutor) -> None:
    """A guest without its agent must not exist: init ends it."""
    kill = "kill -9 $(grep -l 'agent/main[.]py' /proc/[0-9]*/cmdline | cut -d/ -f3)"
    argv = ("sh", "-c", f"{kill}; sleep 40")
    aborted(executor, Request(intent("agent", *argv), weaken=frozenset({"compromised_agent"})), "guest.agent_crashed")


def test_host_has_no_memory_for_qemu(executor: LocalExecutor) -> None:
    """The kernel kills QEMU because its control group may have no more memory: told from any other kill."""
    if reason := host(executor).groups.why_not:
        pytest.skip(f"this host has no control groups for us: {reason}")

    def squeeze(name: str) -> None:
        host(executor).groups.hold(qemu(name), name, GroupBounds(resident(qemu(name)) // MIB + 48))

    argv = ("python3", "-c", "import time; time.sleep(2); x = bytearray(300 << 20); time.sleep(40)")
    asked = intent("no-memory", *argv, capabilities=["base:execute", "dev:python"], limits={"mem_quota_mb": 400})
    meddler = Meddler(squeeze)
    aborted(executor, Request(asked, observer=meddler), "host.out_of_memory")
    assert meddler.acted.is_set()


def test_machine_that_qemu_gave_up_for_memory_says_so(executor: LocalExecutor) -> None:
    """It meets its address space's limit, which no group counts: what it said last is the evidence then."""

    def give_up(name: str) -> None:
        pid = qemu(name)
        log = next(runtime_dir().glob(f"r-*/lv/log/qemu/{name}.log"))
        with log.open("ab") as file:  # what glib writes before it aborts
            file.write(b"qemu-system-x86_64: GLib: ../gmem.c:106: failed to allocate 67108864 bytes\n")
        os.kill(pid, signal.SIGABRT)

    meddled(executor, "glib-gave-up", give_up, "host.out_of_memory")


def test_dead_mans_switch(executor: LocalExecutor) -> None:
    """Neither guest nor host ends the command in time: its machine is destroyed at timeout + 5 s and a little."""
    weaken = frozenset({"quota", "host_wallclock"})
    request = Request(intent("kept", "sleep", "60", limits={"wallclock_timeout_s": 2}), weaken=weaken)
    begun = time.monotonic()
    outcome = executor.run(request)
    assert 7 <= time.monotonic() - begun < 30
    assert (outcome.effect, outcome.reasons) == ("aborted", ("vm.outlived_task",))
    assert not match_trail(outcome.events, "outlived")
    assert check_trace(outcome.events, complete=True) == []


def test_host_ends_what_the_guest_lets_go_on(executor: LocalExecutor) -> None:
    """With the guest's limits off the host sees memory, disk and output for itself; each ends within a second."""
    cases = {
        "memory": (("python3", "-c", "x = bytearray(150 << 20); import time; time.sleep(30)"), {"mem_quota_mb": 64}),
        "disk": (("sh", "-c", "head -c 40000000 /dev/zero > big; sleep 30"), {"disk_quota_mb": 8}),
        "output": (("sh", "-c", "head -c 1500000 /dev/zero; sleep 30"), {"output_mb": 1}),
        "pids": (("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 30 & done; wait"), {"pids": 4}),
    }
    for quota, (argv, limits) in cases.items():
        asked = intent(f"host-{quota}", *argv, capabilities=["base:execute", "dev:python"], limits=limits)
        outcome = executor.run(Request(asked, weaken=frozenset({"quota", "cgroup", "rlimits"})))
        assert (outcome.effect, outcome.reasons) == ("breached", (f"quota.{quota}",))
        assert not match_trail(outcome.events, "breached")
        events = {event["type"]: event for event in outcome.events}
        assert events["resource_event.BREACH"]["data"]["quota"] == quota
        assert outcome.results[0].duration_ns < 28 * 10**9


def test_kill_order_ends_a_task_within_a_second(executor: LocalExecutor) -> None:
    """From the order to the record of the command's end; the record names who gave it."""
    order = KillOrder("requester", "drill", "ada", "enough")
    ordered: list[int] = []

    def kill(_: str) -> None:
        ordered.append(time.time_ns())
        executor.kill(order)

    outcome = executor.run(Request(intent("killed", "sleep", "40"), observer=Meddler(kill)))
    assert (outcome.effect, outcome.reasons) == ("killed", ("control.killed",))
    (killed,) = [event for event in outcome.events if event["type"] == "exec_event.KILLED"]
    assert (killed["data"]["ordered_by"], killed["data"]["why"]) == ("ada", "enough")
    assert parse_rfc3339(killed["ts"]) - ordered[0] < 10**9


def test_machine_that_ignores_the_order_is_destroyed_within_a_second(executor: LocalExecutor) -> None:
    """QEMU stopped: nobody in there obeys anything; the machine goes and the command counts as killed."""
    order = KillOrder("all", "", "ada")
    ordered: list[int] = []

    def stop_and_kill(name: str) -> None:
        os.kill(qemu(name), signal.SIGSTOP)
        ordered.append(time.time_ns())
        executor.kill(order)

    outcome = executor.run(Request(intent("stuck", "sleep", "40"), observer=Meddler(stop_and_kill)))
    assert (outcome.effect, outcome.reasons) == ("killed", ("control.killed",))
    (killed,) = [event for event in outcome.events if event["type"] == "exec_event.KILLED"]
    assert parse_rfc3339(killed["ts"]) - ordered[0] < 10**9
    assert check_trace(outcome.events, complete=True) == []

"""Class W, what outlives its owner: an executor is killed while a task runs, and another one starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from executor.svf.files import log_files
from harness.judgement.facts import Facts
from harness.procedures.own import OwnExecutor
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage
from harness.procedures.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from executor.service import LocalExecutor

NEEDS_QEMU: Final = "the simulator has no QEMU processes"


def qemus_of(own: OwnExecutor) -> frozenset[int]:
    """The QEMU processes in its runtime folder. They are nobody's children: libvirt lets them go on their own."""
    from executor.domain.rundir import processes_of  # noqa: PLC0415 - only where machines are

    return frozenset(processes_of(own.runtime))


def alive(pids: frozenset[int]) -> int:
    """How many of `pids` still run; one that only waits to be collected does not."""
    return sum(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _disks(own: OwnExecutor) -> frozenset[Path]:
    """What its machines write to, of those that are being made, too."""
    return frozenset(own.runtime.glob("r-*/vm-*/overlay.qcow2"))


def _overlays(own: OwnExecutor, before: frozenset[Path]) -> int:
    return sum(path.exists() for path in before if own.runtime in path.parents)


@procedure(unsimulated=NEEDS_QEMU)
def killed_executor(stage: Stage, *, kill: bool = True, restart: bool = True) -> Facts:
    """Kills an executor in the middle of a task and starts another in its place; looks for what the first one left.

    `restart: false` leaves out the next start. `kill: false` starts the other beside it, which must take nothing of the
    living one's.
    """
    own = stage.own_executor()
    request = stage.request({"commands": [{"argv": ["sleep", "3" if not kill else "300"]}]})
    running = own.submit("run", request)
    until("its task runs", lambda: any(event.type == "exec_event.STARTED" for event in own.events()))
    qemus = qemus_of(own)
    overlays = _disks(own)
    if kill:
        own.kill()
        if restart:
            _cut_short(own)
    orphaned = alive(qemus) if kill else 0
    if restart:
        stage.own_executor(state=own.state if kill else None)
    left = alive(qemus) + _overlays(own, overlays)
    if not kill:
        stage.judged(request, running.result(PATIENCE_S))
    return {
        "refusal": "absence orphans" if kill and not left else "",
        "orphaned_by_the_kill": orphaned > 0,
        "left_after_the_next_start": left > 0,
        "machines_of_the_living": len(qemus) > 0,
        "trail_mended": any(event.type == "control_event.RESUMED" for event in own.events()) if restart else False,
    }


def _cut_short(own: OwnExecutor) -> None:
    """The last write to its trail did not come to its end, as happens to who is killed while writing."""
    with log_files(own.state / "logs" / "svf_audit")[-1].path.open("ab") as file:
        file.write(b'{"actor":"cp20","data":{')


@procedure(unsimulated=NEEDS_QEMU)
def sick_machine(stage: Stage) -> Facts:
    """Kills the QEMU processes of machines that wait; then a task comes, and what died is on record."""
    own = stage.own_executor()

    def waiting() -> set[str]:
        return {event.vm_id for event in own.events() if event.type == "vm_event.READY"}

    until("a machine waits", lambda: bool(waiting()) and bool(qemus_of(own)))
    died = waiting()
    for pid in qemus_of(own):
        if Path("/proc", str(pid), "comm").read_text().startswith("qemu-"):  # its OPA is in that folder too
            os.kill(pid, signal.SIGKILL)
    request = stage.request({"commands": [{"argv": ["true"]}]})
    outcome = own.run(request, seconds=PATIENCE_S)
    stage.judged(request, outcome)
    own.close()
    told = {vm: [event.type for event in own.events() if event.vm_id == vm] for vm in died}
    due = ["vm_event.READY", "vm_event.ZOMBIE", "vm_event.DESTROYED"]
    return {
        "ended": outcome.effect,
        "died_waiting": len(died) > 0,
        "told_of_each": all(kinds == due for kinds in told.values()),
        "task_got_another": outcome.vm_id not in died,
    }


@procedure(unsimulated=NEEDS_QEMU)
def unfinished_machine(stage: Stage, *, tries: int = 5) -> Facts:
    """Kills an executor while it makes its first machine, before anything is on record of it; then the service starts.

    It is tried again, at most `tries` times, when the machine was on record before the kill.
    """
    for _ in range(tries):
        own = stage.own_executor()
        until("a machine is being made", lambda own=own: bool(_machines(own)))  # type: ignore[misc]  # mypy: defaults
        own.kill()
        told = {event.vm_id for event in own.events()}
        if unfinished := _machines(own) - told:
            break
    else:
        return {"unfinished": False, "told_of_each": False, "left": False}
    qemus = qemus_of(own)
    after = stage.own_executor(state=own.state)
    after.call("harness.procedures.orphans:_served", str(own.state))
    after.close()
    due = ["vm_event.ZOMBIE", "vm_event.DESTROYED"]
    return {
        "unfinished": True,
        "told_of_each": all(
            [event.type for event in own.events() if event.vm_id == name] == due for name in unfinished
        ),
        "left": alive(qemus) > 0,
    }


def _machines(own: OwnExecutor) -> frozenset[str]:
    """Names of the machines of which there is a disk."""
    return frozenset(disk.parent.name for disk in _disks(own))


def _served(executor: LocalExecutor, state: str) -> None:
    """Runs in the executor's own process: the service, which closes the record of what a killed one left, and ends."""
    from harness.procedures.child.serving import Serving  # noqa: PLC0415 - only in the child

    with Serving(executor, state, workers=1):
        pass

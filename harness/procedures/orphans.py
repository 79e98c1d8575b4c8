"""Class W, what outlives its owner: an executor is killed while a task runs, and another one starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.judgement.facts import Facts
from harness.procedures.own import OwnExecutor
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage
from harness.procedures.waiting import PATIENCE_S, until

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
    overlays = frozenset(own.runtime.glob("r-*/vm-*/overlay.qcow2"))
    if kill:
        own.kill()
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
    }

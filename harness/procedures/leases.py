"""Class A, leases: the procedures that hand in what `lease_tricks` and `lease_two_keys` prepare."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Final

from executor.errors import BugError
from executor.lease import LeaseWatch, Running
from harness.judgement.facts import Facts
from harness.procedures import lease_two_keys  # noqa: F401 - registers its tricks
from harness.procedures.lease_desk import Desk, Presented, Unchecked
from harness.procedures.lease_tricks import TRICKS
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

_AT_ONCE: Final = 8


def _unchecked(name: str) -> Unchecked:
    known: dict[str, Unchecked] = {"": "", "signatures": "signatures", "lease": "lease"}
    if name not in known:
        raise BugError(f"nothing called {name!r} is checked; there are signatures and lease")
    return known[name]


@procedure()
def lease_trick(stage: Stage, *, name: str, unchecked: str = "") -> Facts:
    """Hands in a lease that something is wrong with, at a desk with real keys; `unchecked`: signatures or lease."""
    if name not in TRICKS:
        raise BugError(f"no trick {name}; there are {', '.join(TRICKS)}")
    desk = Desk(stage.folder())
    try:
        refused = desk.refusal(TRICKS[name](desk), _unchecked(unchecked))
    finally:
        desk.authority.close()
    return {"refusal": f"denial {refused}" if refused else "", "taken": not refused}


@procedure()
def lease_at_once(stage: Stage, *, tasks: int = _AT_ONCE, unchecked: str = "") -> Facts:
    """Hands one lease in for as many tasks at the same moment; `tasks: 1` is the honest one."""
    desk = Desk(stage.folder())
    handed_in = desk.honest()
    start = Barrier(tasks)

    def hand_in(number: int) -> str:
        start.wait()
        return desk.refusal(
            Presented(handed_in.document, replace(handed_in.facts, task_id=f"task-{number}")), _unchecked(unchecked)
        )

    try:
        with ThreadPoolExecutor(tasks) as pool:
            refused = sorted(pool.map(hand_in, range(tasks)))
    finally:
        desk.authority.close()
    taken = refused.count("")
    return {"refusal": f"denial {refused[-1]}" if taken == 1 and refused[-1] else "", "taken": taken}


@procedure()
def lease_ends_under_way(stage: Stage, *, end: str, watched: bool = True) -> Facts:
    """A task runs on after its lease's end; `watched: false` asks nobody. `end`: revoked, expired or none."""
    desk = Desk(stage.folder())
    try:
        lease = desk.issue(task_id="task-1")
        watch = LeaseWatch()
        if watched:
            watch.start(Running(lease.lease_id, "task-1", lease.expires_ns()))
        if end == "revoked":
            desk.authority.revoke(lease.lease_id, by="ada", why="a drill")
        desk.clock.advance(601 if end == "expired" else 1)
        kills = watch.due(desk.clock.now_ns(), desk.authority.registry.revocations([lease.lease_id]))
    finally:
        desk.authority.close()
    reason = kills[0].reason if kills else ""
    return {"refusal": f"denial {reason}" if reason else "", "runs_on": not kills}

"""What the host does about a task when the guest lets it go on: its limits taken away, only the host is left."""

from __future__ import annotations

from typing import Any, Final

from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

_TASKS: Final[dict[str, tuple[list[str], dict[str, int]]]] = {
    "memory": (["python3", "-c", "x = bytearray(150 << 20); import time; time.sleep(15)"], {"mem_quota_mb": 64}),
    "disk": (["sh", "-c", "head -c 40000000 /dev/zero > big; sleep 15"], {"disk_quota_mb": 8}),
    "output": (["sh", "-c", "head -c 1500000 /dev/zero; sleep 15"], {"output_mb": 1}),
    "pids": (["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 15 & done; wait"], {"pids": 4}),
}
"""By quota: a task that goes over it and then waits to be ended."""


@procedure()
def host_quota(stage: Stage, *, quota: str) -> Facts:
    """A task goes over `quota` in a guest that enforces nothing."""
    argv, limits = _TASKS[quota]
    raw: dict[str, Any] = {
        "requester": "drill",
        "capabilities": ["base:execute", "dev:python"],
        "commands": [{"argv": argv}],
        "limits": {**limits, "wallclock_timeout_s": 60},
    }
    outcome = stage.run(stage.request(raw, weaken=["quota", "cgroup", "rlimits"]))
    return {"ended": [outcome.effect, *outcome.reasons], "went_on": outcome.effect in {"completed", "failed"}}


@procedure()
def outlived(stage: Stage) -> Facts:
    """A task sleeps past its time where neither guest nor host looks at the clock: the dead man's switch is left."""
    raw = {
        "requester": "drill",
        "commands": [{"argv": ["sleep", "20"]}],
        "limits": {"wallclock_timeout_s": 1},
    }
    outcome = stage.run(stage.request(raw, weaken=["quota", "host_wallclock"]))
    return {"ended": [outcome.effect, *outcome.reasons]}

"""Canaries of one task in the next: in a machine that is used again after RESET, and between tasks side by side."""

from __future__ import annotations

import secrets
from typing import Any, Final

from executor.outcome import Outcome
from harness.judgement.facts import Facts
from harness.procedures.cleanup import SHELL, together
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

NEEDS_REUSE: Final = "the simulator's machines see one task each: there is no RESET to look behind"
NEXT_S: Final = 90.0
"""Seconds for one task in an executor of one's own on a crowded host."""


def plant(canary: str) -> str:
    """A shell script that leaves `canary` where a task can leave something: disk, tmpfs, arguments, environment."""
    return f"""\
mkdir -p /workspace/deep/er
for place in /workspace /workspace/deep/er /tmp /dev/shm; do echo {canary} > $place/canary; done 2>/dev/null
(CANARY={canary} exec sh -c 'trap "" HUP TERM; while :; do sleep 1; done' {canary}) >/dev/null 2>&1 </dev/null &
echo planted"""


SEARCH: Final = """\
cat /workspace/* /workspace/deep/er/* /tmp/* /dev/shm/* 2>/dev/null
for process in /proc/[0-9]*; do cat "$process/cmdline" "$process/environ" 2>/dev/null; done
echo searched-$((1 + 1))"""
"""A shell script that prints all that a task can read of others; whether a canary is in it is seen outside."""


def _task(script: str) -> dict[str, Any]:
    return {"commands": [{"argv": ["sh", "-c", script]}], "capabilities": SHELL, "requester": "drill"}


def _canary() -> str:
    return f"canary-{secrets.token_hex(12)}"


def _said(outcome: Outcome) -> bytes:
    return b"".join(result.stdout + result.stderr for result in outcome.results)


@procedure(unsimulated=NEEDS_REUSE)
def used_again(stage: Stage, *, reuse: bool = True, tasks: int = 2) -> Facts:
    """Runs a task that leaves a canary everywhere, then others that look for it, in an executor that reuses machines.

    `reuse: false` gives each a machine of its own. A machine sees two tasks: with a third it is worn.
    """
    own = stage.own_executor(max_uses=2 if reuse else 0)
    canary = _canary()
    scripts = [plant(canary), *[SEARCH] * (tasks - 1)]
    outcomes = []
    for script in scripts:
        request = stage.request(_task(script))
        outcomes.append(own.run(request, seconds=NEXT_S))
        stage.judged(request, outcomes[-1])
    later = b"".join(_said(outcome) for outcome in outcomes[1:])
    found = canary.encode() in later
    return {
        "refusal": "" if found else "absence canary",
        "planted": b"planted" in _said(outcomes[0]),
        "searched": later.count(b"searched-2"),
        "canary_found": found,
        "machines": len({outcome.vm_id for outcome in outcomes}),
    }


@procedure()
def side_by_side(stage: Stage) -> Facts:
    """Runs two tasks at once, each with a canary of its own, that look for each other's while both run."""
    canaries = _canary(), _canary()
    requests = [stage.request(_task(f"{plant(canary)}\nsleep 2\n{SEARCH}")) for canary in canaries]
    outcomes = together(stage.executor.run, requests)
    for request, outcome in zip(requests, outcomes, strict=True):
        stage.judged(request, outcome)
    said = [_said(outcome) for outcome in outcomes]
    return {
        "planted": sum(b"planted" in words for words in said),
        "searched": sum(b"searched-2" in words for words in said),
        "canary_found": any(other.encode() in words for words, other in zip(said, canaries[::-1], strict=True)),
        "machines": len({outcome.vm_id for outcome in outcomes}),
    }

"""Class G: an agent that was taken over breaks the channel's protocol, on the whole path of a real task.

The program runs inside the guest agent's own process, so that what it sends comes in the agent's place and order. Each
attack ends with a forged `Finished`: a host that believes the broken part says that the command completed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from executor.errors import BugError
from harness.judgement.facts import Facts
from harness.procedures.orphans import NEEDS_QEMU
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

if TYPE_CHECKING:
    from executor.outcome import Outcome

PROGRAM: Final = Path(__file__).parents[2] / "scenarios" / "escapes" / "g_channel" / "agent.py"
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_SELF: Final = Path("/proc/self")
MIB: Final = 1024


def _run(stage: Stage, attack: str, wallclock_s: int) -> Outcome:
    intent = {
        "requester": "drill",
        "capabilities": ["base:execute", "dev:python"],
        "commands": [{"argv": ["python3", "/workspace/agent.py", attack]}],
        "files": [{"path": "/workspace/agent.py", "text": PROGRAM.read_text()}],
        "collect": ["/workspace/out"] if attack.startswith("collect") else [],
        "limits": {"wallclock_timeout_s": wallclock_s},
    }
    return stage.run(stage.request(intent, weaken={"compromised_agent"}))


@procedure(unsimulated=NEEDS_QEMU)
def hostile_agent(stage: Stage, *, attack: str, wallclock_s: int = 30) -> Facts:
    """Runs one attack of a taken-over agent down the whole path, and says what the host made of it."""
    outcome = _run(stage, attack, wallclock_s)
    stopped = next((reason for reason in outcome.reasons if reason.startswith("channel.")), "")
    return {"refusal": f"denial {stopped}" if stopped else "", "effect": outcome.effect}


@procedure(unsimulated=NEEDS_QEMU)
def hostile_flood(stage: Stage, *, attack: str) -> Facts:
    """Floods the channel with frames that are in order; looks at this process's memory and at what is kept of them."""
    (_SELF / "clear_refs").write_text("5")  # the peak starts anew (proc(5))
    before = _peak_kib()
    outcome = _run(stage, attack, 60)
    kinds = [event["type"] for event in outcome.events]
    return {
        "refusal": "absence a flood at full speed" if "channel_event.THROTTLED" in kinds else "",
        "effect": outcome.effect,
        "memory_grown_mib": max(0, _peak_kib() - before) // MIB,
        "samples_kept": len(outcome.samples),
    }


def _peak_kib() -> int:
    found = _PEAK.search((_SELF / "status").read_text())
    if found is None:
        raise BugError("the kernel does not tell a process's peak of memory")
    return int(found[1])

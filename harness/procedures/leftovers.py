"""Class W: what a destroyed machine leaves on the host, and what two clones of one original have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from executor.paths import runtime_dir
from harness.judgement.facts import Facts
from harness.procedures.guest_root import as_guest_root
from harness.procedures.orphans import NEEDS_QEMU, alive
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine


def _traces(machine: VmMachine, pid: int) -> dict[str, bool]:
    """What of `machine` is still there."""
    vm = machine.vm
    sockets = Path("/proc/net/unix").read_text()
    below = [path.name for path in runtime_dir().rglob(f"*{machine.name}*")]
    return {
        "process": alive(frozenset({pid})) > 0,
        "overlay": vm.overlay.exists(),
        "channel": vm.spec.channel.exists() or str(vm.spec.channel) in sockets,
        "monitor": f"{machine.name}/monitor.sock" in sockets,
        "identity": any(name.endswith((".pid", ".xml", ".key")) for name in below),
    }


@procedure(unsimulated=NEEDS_QEMU)
def destroyed_machine(stage: Stage, *, trace: str, destroy: bool = True, used: bool = True) -> Facts:
    """Destroys a machine and looks for one kind of trace of it; `used: false` asks only whether it was alive before."""
    machine = stage.machine()
    pid = machine.vm.pid or 0
    before = _traces(machine, pid)
    if not used:
        return {"refusal": "", "before": before[trace], "after": before[trace]}
    if destroy:
        machine.destroy()
    after = _traces(machine, pid)
    return {"refusal": "" if after[trace] else f"absence {trace}", "before": before[trace], "after": after[trace]}


_LOOK: Final = b"""
import ctypes, json, os, time
seen = {
    "hostname": os.uname().nodename,
    "boot_id": open("/proc/sys/kernel/random/boot_id").read().strip(),
    "random": os.urandom(16).hex(),
    "clock": time.time_ns(),
    "hash_seed": hash("cordon"),
    "stack": open("/proc/self/stat").read().split()[27],
}
print(json.dumps(seen))
"""


def _looked(machine: VmMachine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_guest_root(machine, _LOOK))
    return found


@procedure(unsimulated=NEEDS_QEMU)
def clones_apart(stage: Stage, *, what: str, same: bool = False, running: bool = False) -> Facts:
    """Takes two clones of one original and compares one thing of theirs; `same: true` compares a machine with itself.

    `running: true` asks only whether both answer.
    """
    pair = stage.kept.once(f"clones {sorted(stage.weaken)}", lambda: _pair(stage))
    one, other = (pair[0], pair[0]) if same else pair
    if running:
        return {"refusal": "", "shared": False, "answer": len(pair)}
    shared = one[what] == other[what]
    return {"refusal": "" if shared else f"absence shared {what}", "shared": shared, "answer": len(pair)}


def _pair(stage: Stage) -> list[dict[str, Any]]:
    return [_looked(stage.machine(weaken={"compromised_agent"})) for _ in range(2)]

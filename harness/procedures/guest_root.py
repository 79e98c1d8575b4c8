"""Class V from inside: guest root after a taken-over agent, and what it can do to the machine it is in.

The agent is compromised on purpose: the program runs as the guest's root, outside every sandbox. What still holds is
the guest kernel's own lockdown, and behind it the machine: its devices, its read-only disk, the gold image below that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from executor.channel.channel_pb2 import Finished, Output
from executor.clock import SystemClock
from executor.errors import OutsideError
from executor.intent import Command, FileIn, Limits
from harness.judgement.facts import Facts
from harness.procedures.orphans import NEEDS_QEMU
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage
from harness.watch.canaries import file_digest

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine

PROGRAM: Final = Path(__file__).parents[2] / "scenarios" / "escapes" / "v_machine" / "machine.py"
SECONDS: Final = 60
_LINE: Final = "CORDON-MACHINE "


def as_guest_root(machine: VmMachine, source: bytes, *arguments: str) -> bytes:
    """What `source`, a Python program, prints as the root of `machine`'s guest. Raises `OutsideError`."""
    session, clock = machine.session, SystemClock()
    limits = Limits(200, 256, 64, SECONDS, 256, 64, 8)
    argv = ("python3", "/workspace/probe.py", *arguments)
    refused = session.prepare(
        "lease-of-a-drill",
        capabilities=["base:execute", "dev:python"],
        paths_write=["/workspace/**"],
        env_allowlist=[],
        commands=[argv],
        limits=limits,
    ) or session.put_file(FileIn("/workspace/probe.py", source))
    if refused:
        raise OutsideError(f"the guest refuses a drill: {refused.code}: {refused.message}")
    answer = session.start("drill", Command(argv), {}, compromised=True)
    if not hasattr(answer, "pid"):
        raise OutsideError(f"the guest refuses a drill: {answer}")
    printed = b""
    for part in session.follow("drill", clock.monotonic_ns() + SECONDS * 10**9):
        if isinstance(part, Output):
            printed += part.data
        elif isinstance(part, Finished) and part.exit_code:
            raise OutsideError(f"a program in the guest failed: {printed[-300:].decode(errors='replace')}")
    return printed


def told_by(printed: bytes) -> dict[str, Any]:
    """The program's one line; raises `OutsideError` when it did not come to that."""
    for line in printed.decode("utf-8", "replace").splitlines():
        if line.startswith(_LINE):
            found: dict[str, Any] = json.loads(line.removeprefix(_LINE))
            return found
    raise OutsideError("a program in the guest told nothing")


def _probed(stage: Stage) -> dict[str, Any]:
    """Every probe, in one machine."""
    return told_by(as_guest_root(stage.machine(weaken={"compromised_agent"}), PROGRAM.read_bytes()))


@procedure(unsimulated=NEEDS_QEMU)
def guest_root(stage: Stage, *, probe: str) -> Facts:
    """Tries one thing as the guest's root; all probes of a kind of machine share one."""
    told = stage.kept.once(f"guest root {sorted(stage.weaken)}", lambda: _probed(stage))
    return {"refusal": told[probe], "uid": told["uid"]}


@procedure(unsimulated=NEEDS_QEMU)
def guest_bus(stage: Stage, *, answers: bool = False) -> Facts:
    """Lists what the guest sees on its PCI buses, as vendor:device:class; `answers: true` counts it only."""
    told = stage.kept.once(f"guest root {sorted(stage.weaken)}", lambda: _probed(stage))
    if answers:
        return {"refusal": "", "devices": len(told["pci"])}
    refusal = "absence devices beyond the allowlist" if told["pci"] == list(BUS) else ""
    return {"refusal": refusal, "devices": told["pci"]}


BUS: Final = (
    "1af4:1042:010000",
    "1af4:1042:010000",
    "1af4:1043:078000",
    "1b36:000c:060400",
    "1b36:000c:060400",
    "1b36:000c:060400",
    "1b36:000c:060400",
    "8086:2918:060100",
    "8086:29c0:060000",
)
"""Disks, channel, ports, and the board's two bridges."""


@procedure(unsimulated=NEEDS_QEMU)
def guest_writes_disk(stage: Stage, *, write: bool = True) -> Facts:
    """Writes to the raw disk as guest root; the gold image below must not change, nor another machine see it."""
    machine = stage.machine(weaken={"compromised_agent"})
    base = stage.local.vms.artifacts.gold if not stage.weaken else machine.vm.spec.agent_disk
    before = file_digest(base)
    told = told_by(as_guest_root(machine, PROGRAM.read_bytes(), *(["write"] if write else [])))
    changed = file_digest(base) != before
    return {
        "refusal": "" if changed or not write else "absence a way to the base image",
        "wrote": told.get("wrote", False),
        "base_changed": changed,
    }

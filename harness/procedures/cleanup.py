"""Plan G: what a task leaves on the host when it has ended, however it ended, looked for in every place it was in."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from executor.api import Request
from executor.errors import OutsideError
from executor.outcome import Outcome
from executor.paths import runtime_dir
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage
from harness.procedures.waiting import until

NEEDS_HOST: Final = "the simulator leaves nothing on a host"
SETTLE_S: Final = 15.0
"""Far above the seconds it takes: the host may be crowded."""
SHELL: Final = ["base:execute", "fs:write_tmp"]
LEAVE: Final = """\
echo left > /workspace/left; echo left > /tmp/left; mkfifo /workspace/pipe; ln -s /etc/passwd /workspace/link
(trap '' HUP TERM INT; while :; do sleep 1; done) >/dev/null 2>&1 &
(trap '' HUP TERM INT; exec sleep 1000) >/dev/null 2>&1 &
sleep 0.3
"""
"""Leaves files and two daemons that ignore every polite signal."""
TASKS: Final[dict[str, dict[str, Any]]] = {
    "success": {"commands": [{"argv": ["true"]}]},
    "daemons": {"commands": [{"argv": ["sh", "-c", LEAVE]}], "capabilities": SHELL, "requester": "drill"},
    "timeout": {"commands": [{"argv": ["sleep", "300"]}], "limits": {"wallclock_timeout_s": 1}},
    "killed": {"commands": [{"argv": ["sh", "-c", "kill -9 $$"]}], "requester": "drill"},
    "denied": {"commands": [{"argv": ["true"]}], "capabilities": ["dev:gpu"]},
}
"""How a task ends -> the intent that ends so."""


def remains(vm_ids: Iterable[str]) -> dict[str, bool]:
    """Where on this host something still names one of these machines."""
    names = tuple(name for name in vm_ids if name)

    def named(text: str) -> bool:
        return any(name in text for name in names)

    files = [path for path in _below(runtime_dir()) if named(str(path))]
    return {
        "overlays": any(path.suffix == ".qcow2" for path in files),
        "files": any(path.suffix != ".qcow2" for path in files),
        "sockets": named(Path("/proc/net/unix").read_text("utf-8", "replace")),
        "processes": any(named(line) for line in _command_lines()),
        "mounts": named(Path("/proc/self/mountinfo").read_text("utf-8", "replace")),
        "control_groups": any(named(str(path)) for path in _groups()),
    }


def settled(vm_ids: Iterable[str]) -> dict[str, bool]:
    """`remains`, once libvirt has forgotten the machines and what it kept of them is tidied away in the background."""
    names = tuple(vm_ids)
    with suppress(OutsideError):  # then something stays, and is told
        until("nothing names the machines", lambda: not any(remains(names).values()), seconds=SETTLE_S)
    return remains(names)


def cards() -> frozenset[str]:
    """Network devices of this host."""
    return frozenset(name for _, name in socket.if_nameindex())


@procedure(unsimulated=NEEDS_HOST)
def leaves_nothing(stage: Stage, *, end: str = "success", at_once: int = 1) -> Facts:
    """Runs `at_once` tasks side by side that end as `end` says, and looks for what names their machines afterwards."""
    before = cards()
    requests = [stage.request(TASKS[end]) for _ in range(at_once)]
    outcomes = together(stage.executor.run, requests)
    for request, outcome in zip(requests, outcomes, strict=True):
        stage.judged(request, outcome)
    left = settled([outcome.vm_id for outcome in outcomes])
    found = any(left.values())
    return {
        "refusal": "" if found else "absence remains",
        "ended": sorted({outcome.effect for outcome in outcomes}),
        "machines": len({outcome.vm_id for outcome in outcomes if outcome.vm_id}),
        "new_network_devices": len(cards() - before),
        **left,
    }


def together(run: Callable[[Request], Outcome], requests: list[Request]) -> list[Outcome]:
    """All `requests` at once, each on a thread of its own."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(run, requests))


def _below(root: Path) -> Iterable[Path]:
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            yield Path(folder, name)


def _command_lines() -> Iterable[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue


def _groups() -> Iterable[Path]:
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            yield Path(folder, name)

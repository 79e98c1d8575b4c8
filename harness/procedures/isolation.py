"""Class W: what one task leaves, and whether the next one finds it, with everything a guest's root can look at."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

from executor.channel.channel_pb2 import Finished, Output
from executor.channel.session import Denial
from executor.clock import SystemClock
from executor.errors import OutsideError
from executor.intent import Command, Limits
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine

NEEDS_MEMORY: Final = "the simulator's tasks have no memory, disk or processes to leave anything in"
MARK: Final = "CORDON-FOUND "
_LIMITS: Final = Limits(wallclock_timeout_s=280, disk_quota_mb=64, mem_quota_mb=128, output_mb=1)
_PATIENCE_NS: Final = 300_000_000_000

_PLANT: Final = r"""
import os, sys, time
secret = bytes.fromhex(sys.argv[1]).hex().encode()
for path, size in (("/workspace/left", 1), ("/workspace/cached", 20000), ("/tmp/left", 20000)):
    with open(path, "wb") as out:
        out.write(secret * size)
        out.flush()
        os.fsync(out.fileno())
os.mkdir("/workspace/" + secret.decode())
hold = bytearray(secret * 20000)
os.write(1, secret)
os.write(2, secret)
if sys.argv[2] == "stay":
    while True:
        time.sleep(1)
"""
"""Leaves the canary in files, in the page cache, on the disk, in memory, in names, and on the channel."""

_SEARCH: Final = r"""
import json, os, sys
# The canary travels reversed: what looks for it must not be what it finds.
needle = sys.argv[1][::-1].encode()
me, found = {os.getpid(), os.getppid()}, set()
def look(where, path, most=1 << 22, at=0):
    try:
        with open(path, "rb", buffering=0) as source:
            source.seek(at)
            left, tail = most, b""
            while left > 0 and (data := source.read(1 << 20)):
                if needle in tail + data:
                    found.add(where)
                    return
                tail, left = data[-64:], left - len(data)
    except (OSError, ValueError, OverflowError):
        return
places = {"/scratch": "files", "/workspace": "files", "/tmp": "files", "/run": "runtime", "/dev/shm": "shm"}
for top, where in places.items():
    for folder, folders, names in os.walk(top):
        if any(needle.decode() in name for name in (*folders, *names)):
            found.add("names")
        for name in names:
            look(where, os.path.join(folder, name))
for entry in os.listdir("/proc"):
    if not entry.isdigit() or int(entry) in me:
        continue
    for name in ("cmdline", "environ"):
        look("processes", f"/proc/{entry}/{name}")
    try:
        maps = open(f"/proc/{entry}/maps").read().splitlines()
    except OSError:
        continue
    for line in maps:
        start, _, end = line.split()[0].partition("-")
        if "rw" in line.split()[1] and int(end, 16) - int(start, 16) < 1 << 25:
            look("memory", f"/proc/{entry}/mem", int(end, 16) - int(start, 16), int(start, 16))
print("CORDON-FOUND " + json.dumps(sorted(found)))
"""


@procedure(unsimulated=NEEDS_MEMORY)
def task_isolation(stage: Stage, *, next_to: str = "after", own: bool = False) -> Facts:
    """One task leaves a canary everywhere it can; another looks for it as the guest's root, after a taken-over agent.

    `next_to`: after (the first one has ended), beside (it still runs), same-machine (no new machine in between, which
    is what the control shows). `own`: the one that looks leaves a canary of its own first, and looks for that.
    """
    secret = secrets.token_hex(24)
    first = stage.machine(weaken=["command_check", "compromised_agent"])
    prepare(first)
    if next_to == "beside":
        start(first, _PLANT, secret, "stay")
        _wait_output(first, secret)
    else:
        planted = run(first, _PLANT, secret, "end")
        if secret not in planted:
            raise OutsideError("the canary was not planted")
    if next_to == "same-machine":
        second = first
    else:
        if next_to == "after":
            first.destroy()
        second = stage.machine(weaken=["command_check", "compromised_agent"])
        prepare(second)
    wanted = secret
    if own:
        wanted = secrets.token_hex(24)
        run(second, _PLANT, wanted, "end")
    said = run(second, _SEARCH, wanted[::-1], compromised=True)
    lines = [line.removeprefix(MARK) for line in said.splitlines() if line.startswith(MARK)]
    if len(lines) != 1:
        raise OutsideError(f"the search came to no end: {said[-300:]!r}")
    found = json.loads(lines[0])
    return {"refusal": "" if found else "absence canary", "files": "files" in found}


def prepare(machine: VmMachine) -> None:
    """Make a sandbox with Python and /tmp on a machine of one's own."""
    denied = machine.session.prepare(
        "lease-of-the-drill",
        capabilities=("base:execute", "dev:python", "fs:write_tmp"),
        paths_write=("/workspace/**",),
        env_allowlist=(),
        commands=(),
        limits=_LIMITS,
    )
    if denied is not None:
        raise OutsideError(f"{denied.code}: {denied.message}")


def start(machine: VmMachine, code: str, *arguments: str, compromised: bool = False) -> None:
    """Start Python code; the agent compares no commands here, the machines are weakened for it."""
    command = Command(("python3", "-I", "-S", "-c", code, *arguments))
    started = machine.session.start("task-of-the-drill", command, {}, compromised=compromised)
    if isinstance(started, Denial):
        raise OutsideError(f"{started.code}: {started.message}")


def run(machine: VmMachine, code: str, *arguments: str, compromised: bool = False) -> str:
    """Run Python code to its end: what it printed."""
    start(machine, code, *arguments, compromised=compromised)
    said = b""
    for part in machine.session.follow("task-of-the-drill", SystemClock().monotonic_ns() + _PATIENCE_NS):
        if isinstance(part, Output):
            said += part.data
        if isinstance(part, Finished) and (part.cause != Finished.EXITED or part.exit_code):
            raise OutsideError(f"ended as {Finished.Cause.Name(part.cause)} {part.exit_code}: {said[-300:]!r}")
    return said.decode("utf-8", "replace")


def _wait_output(machine: VmMachine, text: str) -> None:
    """Wait until the running command has printed `text`; it goes on running."""
    said = b""
    for part in machine.session.follow("task-of-the-drill", SystemClock().monotonic_ns() + _PATIENCE_NS):
        if isinstance(part, Output):
            said += part.data
        if text.encode() in said:
            return
    raise OutsideError("the canary was not planted")

"""One round of attacks in a process of its own, which may crash, hang or grow without taking the red team along.

The child has a bound on its memory, a clock for each attack, and writes each attack down before it makes it. Hangs and
bloat that Python can still see become exceptions in the child, which Hypothesis then minimises; a child that dies or is
stuck in C is seen by the parent, which takes the attack from the note and minimises it by trying smaller ones.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from executor.errors import BugError
from harness.redteam.target import EscapeError, Find, Kind, Target, dump, load

NOTE: Final = 4 << 20
"""Bytes for the attack under way."""
_HEAD: Final = struct.Struct("<QQ")
"""Number of the attack, bytes of its note."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one attack may cost."""

    seconds: float = 5.0
    """Before it counts as a hang; no target needs a tenth of it on a crowded host."""
    memory_mb: int = 512
    """Beyond what the process had before the round."""


class HangError(Exception):
    """An attack took too long."""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round."""

    examples: int
    find: Find | None


class Note:
    """The attack under way, in memory that outlives the child."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, NOTE)

    def write(self, number: int, text: str) -> None:
        """Attack `number` is about to be made."""
        data = text.encode()
        if len(data) > NOTE - _HEAD.size:
            data = b"null"  # too long to keep: told as lost without its attack
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data
        self._memory[: _HEAD.size] = _HEAD.pack(number, len(data))

    def read(self) -> tuple[int, str]:
        """Number and text of the last one."""
        number, size = _HEAD.unpack(self._memory[: _HEAD.size])
        return number, self._memory[_HEAD.size : _HEAD.size + size].decode()

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def judged(target: Target, opened: Any, attack: Any, bounds: Bounds) -> Find | None:
    """Make one attack here, under the clock; what it found."""
    try:
        with _clock(bounds.seconds):
            target.attack(opened, attack)
    except EscapeError as error:
        return Find(target.name, "escape", str(error), attack)
    except HangError:
        return Find(target.name, "hang", f"over {bounds.seconds} s of processor time", attack)
    except MemoryError:
        return Find(target.name, "bloat", f"over {bounds.memory_mb} MiB", attack)
    except RecursionError:
        return Find(target.name, "crash", "RecursionError", attack)
    except Exception as error:  # noqa: BLE001 - whatever a target lets out is a find
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)} {place.name}"  # noqa: PTH119 - the name in a traceback
        return Find(target.name, "crash", f"{type(error).__name__} in {where}: {str(error)[:200]}", attack)
    return None


@contextlib.contextmanager
def _clock(seconds: float) -> Iterator[None]:
    """Raise `HangError` in here after so much processor time: a busy host hangs nothing."""

    def over(_signal: int, _frame: Any) -> NoReturn:
        raise HangError

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def bound(bounds: Bounds) -> None:
    """Bound this process: no core files, and an address space of what it has and `memory_mb` more.

    Called once a target is open: an OPA it starts is a program of its own, and Go's wants terabytes of addresses.
    """
    with open("/proc/self/statm", encoding="ascii") as facts:  # noqa: PTH123 - read in a child of many
        pages = int(facts.read().split()[0])
    most = pages * resource.getpagesize() + (bounds.memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def in_child(work: Callable[[], Any], note: Note, bounds: Bounds) -> tuple[Any, Kind | None, str]:
    """Do `work`, which bounds itself, in a child: its JSON answer, or as what it was lost and why.

    Lost is one that died without an answer, or made no progress (by `note`) for three times an attack's time.
    """
    ours, theirs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _child(work, theirs)
    os.close(theirs)
    try:
        return _watched(pid, ours, note, bounds)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _child(work: Callable[[], Any], out: int) -> NoReturn:
    code = 1
    try:
        faulthandler.disable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        answer = json.dumps(work()).encode()
        while answer:
            answer = answer[os.write(out, answer) :]
        code = 0
    except Exception as error:  # noqa: BLE001 - what leaves a round is a mistake of the red team's own
        os.write(out, json.dumps({"bug": f"{type(error).__name__}: {error}"[:2000]}).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - a child never returns into the parent's code
        traceback.print_exc()
    os._exit(code)


def _watched(pid: int, ours: int, note: Note, bounds: Bounds) -> tuple[Any, Kind | None, str]:
    poll = select.poll()
    poll.register(ours, select.POLLIN | select.POLLHUP)
    answer = b""
    # Wall-clock time: three times the processor time, and a busy host's share.
    patience = bounds.seconds * 3 + 10
    last, since = note.read()[0], time.monotonic()
    while True:
        if poll.poll(200):
            data = os.read(ours, 1 << 16)
            if not data:
                break
            answer += data
        elif note.read()[0] != last:
            last, since = note.read()[0], time.monotonic()
        elif time.monotonic() - since > patience:
            return None, "hang", "stuck where Python cannot interrupt it"
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return None, "crash", f"{signal.Signals(os.WTERMSIG(status)).name} ended the process"
    if os.WEXITSTATUS(status) or not answer:
        return None, "crash", "the process ended by itself"
    told = json.loads(answer)
    if isinstance(told, dict) and "bug" in told:
        raise BugError(f"the red team itself: {told['bug']}")
    return told, None, ""


def try_alone(target: Target, attack: Any, bounds: Bounds) -> Find | None:
    """Make one attack in a child of its own: for replaying finds, and for shrinking what kills the child."""
    if target.slow:
        with target.opened() as opened:
            return judged(target, opened, attack, bounds)
    note = Note()
    try:

        def work() -> list[str] | None:
            note.write(1, "")
            with target.opened() as opened:
                bound(bounds)
                found = judged(target, opened, attack, bounds)
            return [found.kind, found.why] if found else None

        answer, lost, why = in_child(work, note, bounds)
        if lost is not None:
            return Find(target.name, lost, why, attack)
        return Find(target.name, answer[0], answer[1], attack) if answer else None
    finally:
        note.close()


def lost_attack(note: Note) -> Any:
    """The attack under way when a child was lost."""
    return load(note.read()[1] or "null")


def noted(note: Note, number: int, attack: Any) -> None:
    """Write down what is about to be made."""
    note.write(number, dump(attack))

"""The guest's side of a batch of break-out probes: stands in the workspace as `kit.py`, beside the probes themselves.

    python3 -P /workspace/kit.py attempt|twin MECHANISM...

Each probe runs in a child of its own, in the sandbox it was forked in, with a pipe of its own for what it prints; the
runner waits and prints one line, `CORDON-BATCH {"probe": ..., "exit": n, "signal": n, "syscall": n, "out": ...}`,
at the end `CORDON-BATCH {"done": n}`. A probe raises what the kernel told it (`OSError`), or `AbsentError`; one that
returns has got through. `syscall` is the last number a probe asked the kernel for by `kit.syscall`: the host compares
it with the audit record of the first kill. Only Python 3.11's standard library: nothing of the project is in the guest.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import select
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

TIMEOUT_MS: Final = 30_000
"""A probe still running then is killed and reported as such: no probe here waits for anything slow."""
OUTPUT: Final = 8192
"""Bytes of one probe's output that are handed on."""
WORKSPACE: Final = "/workspace"

libc: Final = ctypes.CDLL(None, use_errno=True)
_asked: Final = mmap.mmap(-1, mmap.PAGESIZE)
"""Shared with every child: the last system call asked for, readable after its death."""


class AbsentError(Exception):
    """The thing looked for is not there; the text names it as the scenario does."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An attempt and its harmless sibling."""

    attempt: Callable[[], object]
    twin: Callable[[], object]


PROBES: Final[dict[str, Probe]] = {}


def probe(mechanism: str, twin: Callable[[], object]) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Registers the function below it as the attempt `mechanism`."""

    def register(attempt: Callable[[], object]) -> Callable[[], object]:
        if mechanism in PROBES:
            raise ValueError(mechanism)
        PROBES[mechanism] = Probe(attempt, twin)
        return attempt

    return register


def fail(number: int) -> NoReturn:
    """Raise `number` as the kernel's answer."""
    raise OSError(number, os.strerror(number))


def syscall(number: int, *arguments: object) -> int:
    """One system call by number; raises `OSError`. Integers are passed as 64 bits, bytes and buffers as addresses."""
    _asked[:8] = struct.pack("<q", number)
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    libc.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    result = int(libc.syscall(ctypes.c_long(number), *passed))
    if result == -1:
        fail(ctypes.get_errno())
    return result


def call(name: str, *arguments: object) -> int:
    """One function of the C library that returns -1 and sets errno; raises `OSError`."""
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    ctypes.set_errno(0)
    result = int(getattr(libc, name)(*passed))
    if result == -1:
        fail(ctypes.get_errno())
    return result


def read(path: str, size: int = 4096) -> bytes:
    """The start of a file, in one read."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, size)
    finally:
        os.close(handle)


def write(path: str, data: bytes, flags: int = os.O_WRONLY) -> None:
    """Write `data` in one call to a file that is there."""
    handle = os.open(path, flags)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def own_folder() -> str:
    """A folder of this process's own in the workspace."""
    path = f"{WORKSPACE}/p{os.getpid()}"
    os.makedirs(path, exist_ok=True)
    return path


def in_child(work: Callable[[], object]) -> None:
    """Do `work` in a child; raises what the kernel told it there, kills this process as it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    if code := os.WEXITSTATUS(status):
        fail(code)


def need(condition: object, number: int = errno.EPERM) -> None:
    """An effect that did not come about counts as a refusal with `number`."""
    if not condition:
        fail(number)


def _say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _work(work: Callable[[], object], *, attempt: bool) -> int:
    """Do it and say how it went, in the words of the probe protocol; the exit code."""
    try:
        said = work()
    except AbsentError as thing:
        _say(f"CORDON-PROBE absent={thing}")
        return 1
    except OSError as error:
        _say(f"CORDON-PROBE errno={errno.errorcode.get(error.errno or 0, error.errno)}")
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the probe's own mistake and is told as such
        _say(f"CORDON-PROBE mistake={type(error).__name__}: {str(error)[:200]}")
        return 3
    told = f"={str(said)[:200]}" if said not in (None, True) and attempt else ""
    _say(f"CORDON-PROBE escaped{told}" if attempt else "CORDON-PROBE fine")
    return 0


def _child(work: Callable[[], object], out: int, *, attempt: bool) -> NoReturn:
    try:
        os.setsid()
        for target in (1, 2):
            os.dup2(out, target)
        os.close(out)
        code = _work(work, attempt=attempt)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - a child never returns into the runner
        os._exit(4)
    os._exit(code)


def run_one(mechanism: str, *, attempt: bool) -> dict[str, Any]:
    """One probe in a child of its own, to its end."""
    probe = PROBES[mechanism]
    _asked[:8] = struct.pack("<q", -1)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _child(probe.attempt if attempt else probe.twin, theirs, attempt=attempt)
    os.close(theirs)
    watch = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    late = not poll.poll(TIMEOUT_MS)
    if late:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(watch)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)  # whatever it left behind
    os.set_blocking(ours, False)
    try:
        text = os.read(ours, OUTPUT)
    except BlockingIOError:
        text = b""
    os.close(ours)
    ended = -1 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return {
        "probe": mechanism,
        "exit": ended,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "syscall": struct.unpack("<q", _asked[:8])[0],
        "late": late,
        "out": text.decode("utf-8", "backslashreplace"),
    }


def main(arguments: list[str]) -> int:
    """The command line."""
    attempt = {"attempt": True, "twin": False}[arguments[0]]
    sys.modules["kit"] = sys.modules[__name__]  # what the probes import is this very module
    # Beside this file: /workspace for a task; for the guest's root, who is in no sandbox, where that folder really is.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    __import__("probes")
    for mechanism in arguments[1:]:
        _say(f"CORDON-BATCH {json.dumps(run_one(mechanism, attempt=attempt))}")
    _say(f"CORDON-BATCH {json.dumps({'done': len(arguments) - 1})}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

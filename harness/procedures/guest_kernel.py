"""What a taken-over agent, the guest's root outside every sandbox, can still not do to the guest's own kernel.

All acts are tried in one machine for each set of controls, each in a process of its own; the documents pick theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from executor.errors import BugError, OutsideError
from harness.judgement.facts import Facts
from harness.judgement.modelled import unmodelled
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

MARK: Final = "CORDON-ACTS "

_ACTS: Final = r"""
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    libc.syscall.restype = ctypes.c_long
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *passed) == -1:
        raise OSError(ctypes.get_errno(), "")
def module():
    call(313, os.open("/opt/cordon/modules/binfmt_misc.ko", os.O_RDONLY), b"", 0)
def module_from_memory():
    data = open("/opt/cordon/modules/failover.ko", "rb").read()
    call(175, data, len(data), b"")
def kexec():
    call(246, 0, 0, None, 0)
def core():
    os.pread(os.open("/proc/kcore", os.O_RDONLY), 64, 0)
def memory():
    os.pread(os.open("/dev/mem", os.O_RDONLY), 16, 0xF0000)
def ports():
    call(172, 3)
def lockdown():
    os.write(os.open("/sys/kernel/security/lockdown", os.O_WRONLY), b"integrity")
def uptime():
    open("/proc/uptime").read()
acts = {"load-a-module": module, "load-a-module-from-memory": module_from_memory, "load-another-kernel": kexec,
        "read-kernel-memory": core, "read-physical-memory": memory, "raise-the-port-level": ports,
        "change-lockdown": lockdown, "read-the-uptime": uptime}
said = {}
for name, act in acts.items():
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            answer = "done"
        except OSError as error:
            answer = errno.errorcode.get(error.errno, str(error.errno))
        except BaseException as error:
            answer = type(error).__name__
        os.write(theirs, answer.encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    said[name] = os.read(ours, 100).decode()
print("CORDON-ACTS " + json.dumps(said))
"""


@procedure()
def guest_kernel(stage: Stage, *, act: str) -> Facts:
    """Does `act` as the guest's root outside every sandbox, as after a taken-over agent."""
    said = stage.kept.once(f"guest-kernel:{sorted(stage.weaken)}", lambda: _tried(stage))
    if act not in said:
        raise BugError(f"act is one of {', '.join(said)}")
    done = said[act] == "done"
    return {"refusal": "" if done else f"errno {said[act]}", "done": done}


def _tried(stage: Stage) -> Mapping[str, Any]:
    raw = {
        "requester": "drill",
        "capabilities": ["base:execute", "dev:python"],
        "commands": [{"argv": ["python3", "-I", "-S", "/workspace/acts.py"]}],
        "files": [{"path": "/workspace/acts.py", "text": _ACTS}],
        "limits": {"wallclock_timeout_s": 60},
    }
    request = stage.request(raw, weaken=["compromised_agent"])
    outcome = stage.executor.run(request)
    stage.outcomes.append((request, outcome))  # shared by the acts: its events are no single one's
    text = b"".join(result.stdout + result.stderr for result in outcome.results).decode("utf-8", "replace")
    if unknown := unmodelled(outcome):
        raise OutsideError(unknown)
    lines = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    if len(lines) != 1:
        raise OutsideError(f"the acts came to no end: {outcome.effect} {outcome.message} {text[-300:]!r}")
    found: dict[str, Any] = json.loads(lines[0])
    return found

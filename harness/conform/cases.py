"""Random requests for both engines: hypothesis strategies over commands, paths, environment, limits and damage.

Only what both engines can be asked: programs of the image that the simulator has, paths of every kind of place, every
way a lease can be presented, every control that can be taken away in the guest.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from executor.api import LeaseLife, LeaseStep, Request
from executor.intent import Command, FileIn, Intent, Limits
from harness.document.expect import Expect
from harness.judgement.runs import Plan

PATHS: Final = (
    "/workspace/a", "/workspace/b/c", "/workspace/script.sh", "/workspace/data.txt", "/workspace/../etc/passwd",
    "a", ".",
    "/tmp/a", "/etc/passwd", "/etc/shadow", "/root", "/root/x", "/usr/bin/true", "/usr/bin/su", "/usr/local/x", "/x",
    "/proc/self/status", "/proc/1/environ", "/proc/kcore", "/proc/sys/kernel/core_pattern", "/sys/kernel", "/dev/null",
    "/dev/mem", "/dev/full", "/nowhere/at/all", "/workspace", "/", "/proc/self/root/etc/hosts", "/agent/main.py",
)  # fmt: skip
"""A place of each kind: writable, read-only, masked, absent, somebody else's, a device, a way round."""
CAPABILITIES: Final = ("base:execute", "dev:python", "fs:write_tmp")
GUEST_WEAKENINGS: Final = (
    "seccomp", "readonly_root", "capabilities", "unprivileged_user", "masked_paths", "capability_map", "noexec",
    "landlock", "rlimits", "quota", "lockdown", "command_check", "env_filter", "lease_check",
)  # fmt: skip
FORKS: Final = "i=0; while [ $i -lt COUNT ]; do sleep 1 & i=$((i+1)); done; wait"
SCRIPT: Final = "#!/bin/sh\necho from a script\n"

WALLCLOCKS_S: Final = (10, 20)
"""Short of `sleep 30`, and far from what an emulated guest on a crowded host needs for anything else here."""

paths = st.sampled_from(PATHS)
numbers = st.integers(0, 300)


def _argv(*parts: Any) -> st.SearchStrategy[list[str]]:
    return st.tuples(*(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts)).map(
        lambda found: [str(one) for one in found]
    )


commands = st.one_of(
    _argv("true"),
    _argv("false"),
    _argv("echo", st.text("abc xyz", max_size=8)),
    *(_argv(name, paths) for name in ("cat", "ls", "touch", "mkdir", "rm", "rmdir", "readlink", "wc", "head", "tail")),
    *(_argv("test", flag, paths) for flag in ("-e", "-w", "-x")),
    *(_argv(name, flag, paths) for name, flag in (("ls", "-d"), ("rm", "-r"), ("head", "-c1"), ("mkdir", "-p"))),
    *(_argv(name, paths, paths) for name in ("cp", "mv", "ln", "cmp")),
    _argv("ln", "-s", paths, paths),
    _argv("chmod", st.sampled_from(("600", "755", "4755", "000")), paths),
    _argv("chown", st.sampled_from(("root", "task", "nobody")), paths),
    _argv("stat", "-c", "%a", paths),
    _argv("dd", "if=/dev/zero", paths.map(lambda path: f"of={path}"), "bs=1k", numbers.map(lambda n: f"count={n * 40}"),
          "status=none"),
    _argv("mkfifo", paths),
    _argv("mknod", paths, st.sampled_from(("b", "c")), "1", "3"),
    _argv("sleep", st.sampled_from(("0", "0.2", "30"))),
    _argv("seq", st.sampled_from((1, 1000, 400000))),
    _argv("sh", "-c", numbers.map(lambda n: f"exit {n}")),
    _argv("sh", "-c", paths.map(lambda path: f"cat {path} && echo yes || echo no")),
    _argv("sh", "-c", paths.map(lambda path: f"echo text > {path}; cat {path}")),
    _argv("sh", "-c", st.sampled_from(("kill -9 $$", "kill -TERM $$", "kill -KILL 1", "kill -0 1"))),
    _argv("sh", "-c", st.integers(1, 30).map(lambda n: FORKS.replace("COUNT", str(n)))),
    _argv("sh", "/workspace/script.sh"),
    _argv("/workspace/script.sh"),
    _argv("env", st.sampled_from(("printenv", "true", "no-such-program"))),
    _argv("printenv", st.sampled_from(("HOME", "TASK_NAME", "LD_PRELOAD"))),
    _argv(st.sampled_from(("no-such-program", "su", "mount", "crun", "/usr/sbin/init", "/usr/bin/perl", "gcc"))),
    _argv("python3", "-c", st.sampled_from((
        "print(1)", "raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)", "open('/workspace/n', 'w').write('x')",
        "open('/etc/x', 'w')", "import socket; socket.create_connection(('192.0.2.1', 80), 2)",
        "import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)", "import os; os.setuid(0)", "1/0",
        "import ctypes; ctypes.CDLL(None).unshare(0x10000000)",
        "import os; os.mkdir('/workspace/d'); os.rmdir('/workspace/d')",
        "import os; os.chroot('/workspace')", "import socket; socket.socket(16, 3, 0)",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))",
    ))),
)  # fmt: skip

limits = st.builds(
    Limits,
    wallclock_timeout_s=st.sampled_from(WALLCLOCKS_S),
    disk_quota_mb=st.sampled_from((4, 64)),
    pids=st.sampled_from((8, 64)),
    output_mb=st.sampled_from((1, 16)),
    fd_limit=st.sampled_from((16, 256)),
)
steps: st.SearchStrategy[tuple[LeaseStep, ...]] = st.lists(
    st.sampled_from(("revoke", "renew", "rotate", "spend")), max_size=1
).map(tuple)  # type: ignore[arg-type] # the letters are those of LeaseStep
tampers: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {},
        {},
        {},
        {},
        {"limits.pids": 4096},
        {"issued_to": "cp15"},
        {"sig.kid": "0" * 32},
        {"capabilities": ["base:execute"]},
    )
)
environments = st.dictionaries(
    st.sampled_from(("TASK_NAME", "LD_PRELOAD", "PYTHONPATH", "LANG")),
    st.sampled_from(("x", "/workspace", "C")),
    max_size=1,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """One request."""
    run = draw(st.lists(commands, min_size=1, max_size=2))
    production = draw(st.integers(0, 9)) == 0
    intent = Intent(
        intent_id="generated",
        requester="drill",
        commands=tuple(Command(tuple(argv)) for argv in run),
        phase="production" if production else "staging",
        capabilities=tuple(sorted({"base:execute", *draw(st.sets(st.sampled_from(CAPABILITIES)))})),
        env=draw(environments),
        files=(FileIn("/workspace/script.sh", SCRIPT.encode(), 0o755), FileIn("/workspace/data.txt", b"one\ntwo\n")),
        limits=draw(limits),
    )
    weakened = draw(st.integers(0, 3)) == 0
    other = draw(st.integers(0, 15)) == 0
    return Request(
        intent,
        attempt=(Command(tuple(draw(commands))),) if other else None,
        approvals=draw(st.sampled_from((("cp14", "human"), ("cp14",)))) if production else ("cp14",),
        weaken=draw(st.frozensets(st.sampled_from(GUEST_WEAKENINGS), max_size=4)) if weakened else frozenset(),
        tamper=dict(draw(tampers)),
        life=LeaseLife(before_use=draw(steps) if draw(st.integers(0, 7)) == 0 else ()),
    )


def draw(count: int, number: int) -> list[Plan]:
    """`count` requests by the seed `number`; the same each time."""
    found: list[Request] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def collect(request: Request) -> None:
        found.append(request)

    collect()
    return [_plan(request, at, number) for at, request in enumerate(found[:count], 1)]


def _plan(request: Request, at: int, number: int) -> Plan:
    from dataclasses import replace  # noqa: PLC0415 - one small use

    name = f"generated-{number}-{at}-{uuid.uuid4().hex[:12]}"
    made = replace(request, intent=replace(request.intent, intent_id=name))
    return Plan("attempt", made, Expect("allow", "completed", "executed"))

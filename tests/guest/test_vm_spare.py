"""A sandbox made ahead is the sandbox that its terms ask for: compared from inside with one made when it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.vm import GuestVm, booted

pytestmark = pytest.mark.vm
PYTHON = ("base:execute", "dev:python")
VIEW = r"""
import os, re, resource, socket, sys
def say(name, text): print(name, re.sub(r"(?<=[/ ])\d+(?=/workspace)", "N", text), flush=True)
status = open("/proc/self/status").read()
counts = "Uid|Gid|Groups|Cap|NoNew|Seccomp|Umask|NSpid"
say("status", str([line for line in status.splitlines() if re.match(counts, line)]))
say("limits", open("/proc/self/limits").read())
say("mounts", str([line.split()[3:] for line in open("/proc/self/mountinfo")]))
say("host", socket.gethostname() + " " + os.uname().nodename)
say("cgroup", open("/proc/self/cgroup").read())
say("interfaces", str([line.split(":")[0] for line in open("/proc/net/dev")]))
say("root", str([(name, oct(os.lstat("/" + name).st_mode)) for name in sorted(os.listdir("/"))]))
say("dev", str(sorted(os.listdir("/dev"))))
space = os.statvfs("/workspace")
say("space", str((space.f_blocks, space.f_files, os.stat("/workspace").st_uid)))
say("environment", str(sorted(os.environ.items())))
say("priority", str(os.getpriority(os.PRIO_PROCESS, 0)))
"""
FORKS = f"{VIEW}\nimport time\nfor _ in range(80):\n    os.fork() or time.sleep(20)\n"
MEMORY = f"{VIEW}\nkept = [bytearray(1 << 20) for _ in range(220)]\n"


@pytest.fixture
def spared(tmp_path: Path) -> Iterator[GuestVm]:
    """A VM whose agent has made sandboxes ahead, configured."""
    with booted(tmp_path, append="cordon.spares") as machine:
        machine.configure(hostname="vm-spared")
        yield machine


@pytest.mark.parametrize(("script", "cause"), [(FORKS, "PIDS"), (MEMORY, "OOM")], ids=["processes", "memory"])
def test_a_sandbox_made_ahead_shows_and_holds_what_its_lease_says(spared: GuestVm, script: str, cause: str) -> None:
    """Identity, privileges, limits, mounts, names: the same from inside; quotas other than the usual ones hold."""
    argv = ("/usr/bin/python3", "-c", script)
    assert spared.prepare(argv, capabilities=PYTHON).WhichOneof("body") == "prepared"
    ahead = spared.run(*argv)
    spared.sandbox(argv, capabilities=PYTHON)  # RESET in between: this one is made when it is asked for
    asked = spared.run(*argv)
    assert (ahead.cause, asked.cause) == (cause, cause), (ahead.stderr, asked.stderr)
    assert ahead.stdout.decode() == asked.stdout.decode()
    assert b"vm-spared" in ahead.stdout


def test_the_spare_of_its_terms_is_taken_and_the_others_are_gone(spared: GuestVm) -> None:
    """The workspace is the one that was made ahead, and beside the task's launcher no other is there any more."""
    argv = ("/usr/bin/python3", "-c", "print(open('/proc/self/mountinfo').read())")
    assert spared.prepare(argv, capabilities=PYTHON).WhichOneof("body") == "prepared"
    assert b" /2/workspace /workspace " in spared.run(*argv).stdout
    spared.sandbox(argv, capabilities=PYTHON)  # RESET finds nothing left, of the other spare neither, or it faults
    assert b" /4/workspace /workspace " in spared.run(*argv).stdout


def test_terms_out_of_the_ordinary_take_none(spared: GuestVm) -> None:
    """Another scope than the spares': made as asked, and nothing can be written beside it."""
    argv = ("/bin/sh", "-c", "echo x > out/a && ! echo x > b && grep -o '/[0-9]*/workspace' /proc/self/mountinfo")
    assert spared.prepare(argv, paths_write=("/workspace/out/**",)).WhichOneof("body") == "prepared"
    run = spared.run(*argv)
    assert (run.code, b"/3/workspace" in run.stdout) == (0, True)


def test_a_reset_before_any_lease_takes_the_spares_down(spared: GuestVm) -> None:
    """RESET proves that nothing is there but what was before the spares were made."""
    run = None
    for _ in range(2):
        spared.sandbox(("echo", "on"))
        run = spared.run("echo", "on")
    assert run is not None
    assert run.stdout == b"on\n"

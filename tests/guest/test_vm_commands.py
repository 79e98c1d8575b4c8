"""Commands in a real VM with every control in force."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from executor.channel import channel_pb2 as pb

pytestmark = pytest.mark.vm

PYTHON = ("base:execute", "dev:python")
COMPILER = ("base:execute", "dev:compiler")
HELLO_C = b'#include <stdio.h>\nint main(void) { puts("compiled"); return 3; }\n'


def test_output_and_exit_code_come_back(guest: Any) -> None:
    """A command's streams, apart, and its exit code."""
    run = guest.sh("echo out; echo err >&2; exit 7")
    assert (run.stdout, run.stderr, run.code) == (b"out\n", b"err\n", 7)


def test_a_command_not_found_is_127_as_in_a_shell(guest: Any) -> None:
    """A program that is not there is the command's failure, not a refusal."""
    guest.sandbox(("no-such-program",))
    assert guest.run("no-such-program").code == 127


@pytest.mark.parametrize("number", [9, 15])
def test_a_signal_is_told_from_an_exit_code(guest: Any, number: int) -> None:
    """Dying by a signal is SIGNALED with its number; exiting with 128 plus it is not."""
    run = guest.sh(f"kill -{number} $$; sleep 5")
    assert (run.cause, run.finished.signal) == ("SIGNALED", number)
    assert guest.sh(f"exit {128 + number}").code == 128 + number


def test_output_is_binary_safe(guest: Any) -> None:
    """300 KB of random bytes go in as a file and come back on standard output unchanged."""
    data = os.urandom(300_000)
    guest.sandbox(("cat", "blob"))
    stored = guest.put("/workspace/blob", data).file_stored
    assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    run = guest.run("cat", "blob")
    assert run.stdout == data
    assert run.code == 0


def test_several_commands_share_the_workspace_and_nothing_else(guest: Any) -> None:
    """Files stay from one command of a lease to the next; processes do not."""
    first, second = (
        ("sh", "-c", "echo kept > f; setsid sleep 300 & exit 0"),
        ("sh", "-c", "cat f; ls /proc | grep -c '^[0-9]'"),
    )
    guest.sandbox(first, second)
    assert guest.run(*first).code == 0
    run = guest.run(*second)
    # launcher, sh, ls, grep at most: no sleep
    assert run.stdout.startswith(b"kept\n")
    assert int(run.stdout.split()[1]) <= 4


def test_reset_wipes(guest: Any) -> None:
    """After a reset nothing of the workspace is left, not even a deep tree."""
    deep = "mkdir -p " + "/".join(["d"] * 200) + "; ln -s /etc l; mkfifo p; echo x > f; ls | wc -l"
    assert guest.sh(deep).stdout == b"4\n"
    assert guest.sh("ls -A | wc -l").stdout == b"0\n"


def test_a_command_the_lease_does_not_list_is_denied(guest: Any) -> None:
    """The whole vector counts: another argument, fewer, and a joined one are all denied before anything runs."""
    guest.sandbox(("echo", "a", "b"))
    for argv in (
        ("echo", "a"),
        ("echo", "a", "c"),
        ("echo", "a b"),
        ("/usr/bin/echo", "a", "b"),
        ("echo", "a", "b", ""),
    ):
        run = guest.run(*argv)
        assert (run.cause, run.started) == ("guest.command_not_in_lease", False)
    assert guest.run("echo", "a", "b").stdout == b"a b\n"


@pytest.mark.parametrize(
    "argv", [("gcc", "--version"), ("python3", "-c", "1"), ("/usr/bin/../bin/make", "x"), ("unshare",)]
)
def test_a_program_without_its_capability_is_denied(guest: Any, argv: tuple[str, ...]) -> None:
    """Even when the lease lists the command: the agent looks at the file the name leads to."""
    guest.sandbox(argv)
    run = guest.run(*argv)
    assert (run.cause, run.started) == ("guest.capability_not_granted", False)


@pytest.mark.parametrize(
    "script",
    [
        "gcc --version",
        "env gcc --version",
        "echo --version | xargs gcc",
        "exec /usr/bin/x86_64-linux-gnu-gcc-12 --version",
        "cp /usr/bin/x86_64-linux-gnu-gcc-12 g && ./g --version",
        "ln -s /usr/bin/gcc g && ./g --version",
        "/lib64/ld-linux-x86-64.so.2 /usr/bin/x86_64-linux-gnu-gcc-12 --version",
        "cp /usr/bin/cat c && chmod +x c && ./c /etc/hostname",
        "cp /usr/bin/cat c && /lib64/ld-linux-x86-64.so.2 ./c /etc/hostname",
        "printf '#!/bin/sh\\necho ran' > s && chmod +x s && ./s",
        "/usr/bin/unshare true",
        "/usr/bin/crun --version",
    ],
)
def test_no_detour_runs_what_was_not_granted(guest: Any, script: str) -> None:
    """Shells, env, xargs, copies, links, the loader by hand, scripts: whatever is executed, the kernel refuses it."""
    run = guest.sh(script)
    assert run.code != 0
    assert run.stdout == b""


def test_with_the_compiler_a_program_is_built_and_run(guest: Any) -> None:
    """dev:compiler: the compiler runs, and so does what it made."""
    compile_, run_ = ("gcc", "-o", "hello", "hello.c"), ("./hello",)
    guest.sandbox(compile_, run_, capabilities=COMPILER, mem_quota_mb=256)
    guest.put("/workspace/hello.c", HELLO_C)
    compiled = guest.run(*compile_)
    assert (compiled.code, compiled.stderr) == (0, b"")
    run = guest.run(*run_)
    assert (run.stdout, run.code) == (b"compiled\n", 3)


def test_a_denied_command_leaves_the_sandbox_usable(guest: Any) -> None:
    """After a denial the next command of the lease runs."""
    guest.sandbox(("gcc",), ("echo", "on"))
    assert guest.run("gcc").cause == "guest.capability_not_granted"
    assert guest.run("echo", "on").stdout == b"on\n"


def test_the_environment_is_clean_and_filtered(guest: Any) -> None:
    """Only listed names get in; names that steer the loader never; hidden characters are refused."""
    guest.sandbox(("env",), env_allowlist=["GREETING", "LD_PRELOAD"])
    run = guest.run("env", env={"GREETING": b"hi", "SECRET": b"s", "LD_PRELOAD": b"/workspace/x.so"})
    assert sorted(run.stdout.decode().split()) == [
        "GREETING=hi", "HOME=/workspace", "LANG=C.UTF-8", "PATH=/usr/bin:/bin", "USER=task",
    ]  # fmt: skip
    assert guest.run("env", env={"GREETING": b"a\nb"}).cause == "guest.env_invalid"


def test_the_task_is_nobody_in_particular(guest: Any) -> None:
    """Ids, groups, capability sets, no_new_privs and seccomp mode, compared whole."""
    run = guest.sh("id -u; id -G; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; umask; hostname")
    zero = "0000000000000000"
    assert run.stdout.decode().split() == [
        "1000", "1000", "2001", "CapInh:", zero, "CapPrm:", zero, "CapEff:", zero, "CapBnd:", zero, "CapAmb:", zero,
        "NoNewPrivs:", "1", "Seccomp:", "2", "0022", "vm-test",
    ]  # fmt: skip


def test_kill_from_the_host_ends_it(guest: Any) -> None:
    """A command and everything it started ends, with the cause REQUESTED; one that ignores signals too."""
    argv = ("sh", "-c", "trap '' TERM INT HUP; echo up; sleep 300 & sleep 300")
    guest.sandbox(argv)
    task = guest.start(*argv)
    while guest.receive().WhichOneof("body") != "output":
        pass
    guest.send(kill=pb.Kill(task_id=task, reason="test"))
    assert guest.end().cause == "REQUESTED"

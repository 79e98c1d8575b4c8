"""Limits, files and seccomp in a real VM with every control in force."""

from __future__ import annotations

from typing import Any

import pytest

from executor.channel import channel_pb2 as pb

pytestmark = pytest.mark.vm

PYTHON = ("base:execute", "dev:python")
MIB = 1024 * 1024


def python(guest: Any, code: str, **options: Any) -> Any:
    """Run Python code in a new sandbox."""
    argv = ("python3", "-I", "-S", "-c", code)
    guest.sandbox(argv, capabilities=PYTHON, **options)
    return guest.run(*argv)


def call(number: int, *args: int) -> str:
    """Python code that makes one system call and prints what came of it."""
    return (
        "import ctypes; l=ctypes.CDLL(None,use_errno=True); "
        f"r=l.syscall({', '.join(f'ctypes.c_long({value})' for value in (number, *args))}); "
        "print(r, ctypes.get_errno())"
    )


@pytest.mark.parametrize(
    ("name", "number", "args"),
    [
        ("bpf", 321, (5, 0, 0)),
        ("mount", 165, (0, 0, 0, 0, 0)),
        ("unshare", 272, (0x10000000,)),
        ("ptrace", 101, (0, 0, 0, 0)),
        ("clone with CLONE_NEWUSER", 56, (0x10000011, 0, 0, 0, 0)),
        ("io_uring_setup", 425, (1, 0)),
    ],
)
def test_a_kernel_primitive_kills_and_is_seen(guest: Any, name: str, number: int, args: tuple[int, ...]) -> None:
    """The call dies by SIGSYS, and the cause names its number."""
    run = python(guest, call(number, *args))
    assert (run.cause, run.finished.signal, run.finished.syscall) == ("SECCOMP", 31, number), name
    assert run.stdout == b""


@pytest.mark.parametrize(
    ("name", "number", "args", "errno"),
    [
        ("clone3", 435, (0, 0), 38),
        ("memfd_create", 319, (0, 0), 1),
        ("execveat", 322, (0, 0, 0, 0, 0), 1),
        ("AF_NETLINK", 41, (16, 3, 0), 97),
        ("AF_VSOCK", 41, (40, 1, 0), 97),
        ("TIOCSTI", 16, (0, 0x5412, 0), 1),
        ("TIOCSTI with high bits set", 16, (0, 0x100005412, 0), 1),
        ("block device", 133, (0, 0o060000, 0), 1),
        ("a call of tomorrow", 600, (), 38),
    ],
)
def test_a_refused_call_has_its_errno(guest: Any, name: str, number: int, args: tuple[int, ...], errno: int) -> None:
    """Calls that programs may probe are answered with an error, and the program goes on."""
    run = python(guest, call(number, *args))
    assert (run.code, run.stdout.decode().split()) == (0, ["-1", str(errno)]), name


def test_an_allowed_call_works(guest: Any) -> None:
    """The harmless twin: getppid through the same path answers (the launcher is process 1)."""
    assert python(guest, call(110)).stdout == b"1 0\n"


def test_a_kill_cannot_be_acted(guest: Any) -> None:
    """Dying by SIGSYS without the filter, or exiting as a shell would report it, is not SECCOMP."""
    run = guest.sh("kill -SYS $$; sleep 5")
    assert (run.cause, run.finished.signal) == ("SIGNALED", 31)
    assert guest.sh("exit 159").cause == "EXITED"


def test_a_killed_descendant_counts(guest: Any) -> None:
    """A child killed by the filter makes the cause SECCOMP although its parent exits with 0."""
    argv = ("sh", "-c", f"python3 -I -S -c '{call(321, 5, 0, 0)}'; exit 0")
    guest.sandbox(argv, capabilities=PYTHON)
    run = guest.run(*argv)
    assert (run.cause, run.finished.syscall) == ("SECCOMP", 321)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/usr/bin/x", "/opt/cordon/x", "/x", "/dev/x", "/proc/sys/kernel/core_pattern"]
)
def test_nothing_outside_the_workspace_can_be_written(guest: Any, path: str) -> None:
    """The root, the agent's files and the kernel's knobs are read-only or closed."""
    run = guest.sh(f"echo x >> {path}")
    assert run.code != 0
    assert any(
        word in run.stderr for word in (b"Read-only file system", b"Permission denied", b"Directory nonexistent")
    )


def test_inside_the_workspace_only_the_leases_paths(guest: Any) -> None:
    """With one folder granted its neighbours are read-only, and a single granted file can be written."""
    script = "echo a > out/a; echo b > log.txt; cat out/a log.txt; echo c > c; echo d > other.txt; mkdir x; rm log.txt"
    run = guest.sh(script, paths_write=["/workspace/out/**", "/workspace/log.txt"])
    assert run.stdout == b"a\nb\n"
    assert run.stderr.count(b"Read-only file system") >= 3


def test_tmp_only_when_granted(guest: Any) -> None:
    """fs:write_tmp decides about /tmp, and nothing there can be executed."""
    assert guest.sh("echo x > /tmp/x").code != 0
    script = "cp /usr/bin/true /tmp/t && chmod +x /tmp/t && echo copied && /tmp/t"
    run = guest.sh(script, capabilities=["base:execute", "fs:write_tmp"])
    assert (run.stdout, run.code) == (b"copied\n", 126)


def test_memory_limit(guest: Any) -> None:
    """Using more memory than the lease allows ends with OOM, and the peak is at the limit."""
    run = python(guest, "x=bytearray(300<<20); print(len(x))", mem_quota_mb=64)
    assert run.cause == "OOM"
    assert 48 * MIB < run.finished.usage.memory_peak_bytes <= 64 * MIB


def test_wall_clock(guest: Any) -> None:
    """A command that sleeps past its time ends with WALLCLOCK, within a second of it."""
    run = guest.sh("sleep 100", wallclock_timeout_s=1)
    assert run.cause == "WALLCLOCK"
    assert 1e9 <= run.finished.duration_ns < 2e9


def test_output_limit(guest: Any) -> None:
    """A flood ends with OUTPUT; exactly the allowed bytes come through."""
    run = guest.sh("yes", output_mb=1)
    assert run.cause == "OUTPUT"
    assert len(run.stdout) == MIB


def test_disk_quota(guest: Any) -> None:
    """Writing past the quota ends with DISK; filling it exactly does not."""
    run = guest.sh("head -c 200000000 /dev/zero > big; sleep 30", disk_quota_mb=8)
    assert run.cause == "DISK"
    assert run.finished.usage.disk_bytes <= 8 * MIB + 300 * 1024
    assert guest.sh("head -c 8000000 /dev/zero > big", disk_quota_mb=8).code == 0


def test_inode_quota(guest: Any) -> None:
    """Making files without end ends with DISK."""
    assert guest.sh("mkdir $(seq 1 600); sleep 30", disk_quota_mb=1).cause == "DISK"


def test_processes_are_limited(guest: Any) -> None:
    """Forking without end ends with PIDS and takes nothing down; as many processes as were granted are fine."""
    run = guest.sh("i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i+1)); done; echo unreachable", pids=16)
    assert (run.cause, b"unreachable" in run.stdout) == ("PIDS", False)
    usage = run.finished.usage
    assert usage.forks_refused >= 1
    assert usage.pids <= 16  # with the shell whose fork was refused its children go: how many are left is a race
    script = "i=1; while [ $i -lt {} ]; do sleep 2 & i=$((i+1)); done; wait; echo on"
    assert guest.sh(script.format(16), pids=16).stdout == b"on\n"
    assert guest.sh(script.format(17), pids=16).cause == "PIDS"
    assert guest.sh("echo on").stdout == b"on\n"


def test_cpu_is_throttled_and_sampled(guest: Any) -> None:
    """At a tenth of a CPU two seconds cost at most a few tenths; samples come about five times a second."""
    run = guest.sh("while :; do :; done", cpu_quota=10, wallclock_timeout_s=2)
    assert run.cause == "WALLCLOCK"
    assert run.finished.usage.cpu_usec < 700_000
    assert 4 <= len(run.samples) <= 11
    assert all(sample.memory_bytes > 0 and sample.pids <= 1 for sample in run.samples)


def test_collect_hands_back_files_and_nothing_else(guest: Any) -> None:
    """Regular files come back whole; links, fifos, paths that leave the workspace and too big ones are refused."""
    guest.sh(
        "mkdir -p out/deep; printf 'a\\0b' > out/a; echo c > out/deep/c; ln -s /etc/passwd out/link; mkfifo out/fifo;"
        "ln -s /etc dir; head -c 3000000 /dev/zero > big"
    )
    contents, refused = guest.collect(
        "/workspace/out",
        "/workspace/dir/passwd",
        "/workspace/../etc/passwd",
        "/etc/passwd",
        "/workspace/big",
        "/workspace/no",
    )
    assert contents == {"/workspace/out/a": b"a\0b", "/workspace/out/deep/c": b"c\n"}
    assert sorted(refused) == [
        "/etc/passwd", "/workspace/../etc/passwd", "/workspace/big", "/workspace/dir/passwd", "/workspace/no",
        "/workspace/out/fifo", "/workspace/out/link",
    ]  # fmt: skip


def test_files_cannot_be_put_through_a_link(guest: Any) -> None:
    """A link a task made is not followed when a file is put in later."""
    assert guest.sh("ln -s /etc/ d; ln -s /etc/passwd f").code == 0
    assert guest.put("/workspace/d/x", b"x").denied.code == "guest.put_failed"
    assert guest.put("/workspace/f", b"x").denied.code == "guest.put_failed"
    assert guest.put("/workspace/../x", b"x").denied.code == "guest.path_outside"
    assert guest.put("/etc/x", b"x").denied.code == "guest.path_outside"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"capabilities": ["root"]}, "guest.capability_unknown"),
        ({"paths_write": ["/etc/**"]}, "guest.path_outside"),
        ({"paths_write": ["/workspace/*.txt"]}, "guest.path_pattern"),
        ({"mem_quota_mb": 0}, "guest.limit_missing"),
    ],
)
def test_terms_that_cannot_be_enforced_are_denied(guest: Any, options: dict[str, Any], code: str) -> None:
    """A lease whose terms the guest cannot enforce is denied, and the next one works."""
    guest.send(reset=pb.Reset())
    guest.expect("ready")
    assert guest.prepare(("echo",), **options).denied.code == code
    assert guest.prepare(("echo",)).WhichOneof("body") == "prepared"

"""Positive controls: a control taken away lets the same attempt through; and how a VM ends."""

from __future__ import annotations

from typing import Any

import pytest

from executor.channel import channel_pb2 as pb
from executor.channel import frame

pytestmark = pytest.mark.vm

KILLED_CALL = "import ctypes; l=ctypes.CDLL(None,use_errno=True); r=l.syscall(321, 5, 0, 0); print('survived', r)"


@pytest.mark.parametrize("weakened", [("seccomp",)], indirect=True)
def test_without_seccomp_the_call_is_answered(weakened: Any) -> None:
    """The same bytes that die by SIGSYS get an answer from the kernel."""
    argv = ("python3", "-I", "-S", "-c", KILLED_CALL)
    weakened.prepare(argv, capabilities=["base:execute", "dev:python"])
    assert weakened.run(*argv).stdout == b"survived -1\n"


@pytest.mark.parametrize("weakened", [("capability_map", "command_check")], indirect=True)
def test_without_the_map_and_the_list_anything_mapped_runs(weakened: Any) -> None:
    """A compiler that was not granted, in a command the lease does not list, runs."""
    weakened.prepare(("true",))
    assert weakened.run("gcc", "-dumpversion").stdout == b"12\n"


@pytest.mark.parametrize("weakened", [("readonly_root", "unprivileged_user", "landlock")], indirect=True)
def test_without_the_readonly_root_it_is_written(weakened: Any) -> None:
    """The same write that meets a read-only file system succeeds; the gold disk below is not what changes."""
    argv = ("sh", "-c", "echo x >> /etc/passwd && tail -n1 /etc/passwd; id -u")
    weakened.prepare(argv)
    run = weakened.run(*argv)
    assert (run.stdout, run.stderr) == (b"x\n0\n", b"")


@pytest.mark.parametrize("weakened", [("capabilities", "masked_paths", "namespaces")], indirect=True)
def test_without_isolation_the_guest_is_visible(weakened: Any) -> None:
    """Capabilities are held, the guest's processes and devices are seen."""
    argv = (
        "sh",
        "-c",
        (
            "grep CapEff /proc/self/status; cat /proc/1/comm; "
            "test -e /dev/vda && echo vda; test -e /sys/kernel && echo sys"
        ),
    )
    weakened.prepare(argv)
    run = weakened.run(*argv)
    assert run.stdout.split() == [b"CapEff:", b"000001ffffffffff", b"init", b"vda", b"sys"]


@pytest.mark.parametrize("weakened", [("noexec", "landlock", "collect_check", "env_filter")], indirect=True)
def test_without_noexec_own_files_run(weakened: Any) -> None:
    """A copied program runs, a link is followed out of the workspace, any variable gets in."""
    argv = ("sh", "-c", "cp /usr/bin/cat c && ./c /etc/hostname; ln -s /etc/hostname l; echo $SECRET")
    weakened.prepare(argv)
    run = weakened.run(*argv, env={"SECRET": b"in"})
    assert run.stdout == b"cordon\nin\n"
    assert weakened.collect("/workspace/l")[0] == {"/workspace/l": b"cordon\n"}


@pytest.mark.parametrize("weakened", [("quota", "cgroup", "rlimits")], indirect=True)
def test_without_limits_they_are_passed(weakened: Any) -> None:
    """Time, output, disk and memory limits of the lease are all exceeded unharmed."""
    argv = (
        "sh",
        "-c",
        "sleep 2; head -c 2000000 /dev/zero | tee f; head -c 40000000 /dev/zero | tail -n1 | wc -c; ulimit -n >&2",
    )
    weakened.prepare(argv, wallclock_timeout_s=1, output_mb=1, disk_quota_mb=1, mem_quota_mb=16, fd_limit=17)
    run = weakened.run(*argv)
    assert run.code == 0
    assert run.stdout == b"\0" * 2_000_000 + b"40000000\n"
    assert run.stderr != b"17\n"


@pytest.mark.parametrize("weakened", [("compromised_agent",)], indirect=True)
def test_a_taken_over_agent_still_has_a_closed_kernel(weakened: Any) -> None:
    """Guest root outside the sandbox finds modules, kexec and the root closed, and a killed agent ends the VM."""
    weakened.prepare(("true",), output_mb=1)
    checks = "id -u; cat /proc/sys/kernel/modules_disabled /sys/kernel/security/lockdown; echo x > /etc/x"
    run = weakened.run("sh", "-c", checks, compromised=True)
    assert run.stdout == b"0\n1\nnone integrity [confidentiality]\n"
    assert b"Read-only file system" in run.stderr
    weakened.start("sh", "-c", "kill -9 $PPID", compromised=True)
    assert weakened.wait_off() == 0
    assert "agent crashed" in weakened.console_text()


def test_compromised_is_refused_by_an_ordinary_vm(guest: Any) -> None:
    """Without the drill's control the agent denies it."""
    guest.sandbox(("id",))
    assert guest.run("id", compromised=True).cause == "guest.compromised_not_enabled"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (b"\0" * 16, "guest.frame_bad_magic"),
        (frame.HEADER.pack(frame.MAGIC, 0, 0, 1), "guest.frame_empty"),
        (frame.HEADER.pack(frame.MAGIC, frame.MAX_PAYLOAD + 1, 0, 1), "guest.frame_too_long"),
        (frame.HEADER.pack(frame.MAGIC, 1, 0, 7), "guest.frame_bad_sequence"),
        (frame.encode(1, b"\xff\xff\xff"), "guest.bad_message"),
        (frame.encode(1, pb.ToGuest(start=pb.Start(task_id="x")).SerializeToString()), "guest.unexpected_message"),
    ],
)
def test_a_broken_protocol_ends_the_vm(fresh: Any, damage: bytes, code: str) -> None:
    """The agent says what was wrong and powers off."""
    fresh.send_raw(damage)
    assert fresh.expect("fault").fault.code == code
    assert fresh.wait_off() == 0


def test_before_configure_nothing_is_fixed_that_clones_would_share(fresh: Any) -> None:
    """The first Ready names no boot id; after Configure it does, with the clock and the hostname of the host."""
    assert (fresh.ready.configured, fresh.ready.boot_id, fresh.ready.agent_digest) == (False, "", fresh.agent.digest)
    ready = fresh.configure(hostname="vm-7")
    assert (ready.configured, ready.hostname, list(ready.weaken)) == (True, "vm-7", [])
    assert len(ready.boot_id) == 36
    fresh.send(ping=pb.Ping(nonce=42))
    assert fresh.expect("pong").pong.nonce == 42
    fresh.send(power_off=pb.PowerOff())
    assert fresh.wait_off() == 0


def test_a_network_card_is_only_for_who_was_granted_egress(carded: Any) -> None:
    """With net:egress a sandbox has the card's address and a resolver; without it, nothing but loopback."""
    show = ("sh", "-c", "tail -n+3 /proc/net/dev | cut -d: -f1; cut -f2,3 /proc/net/route; cat /etc/resolv.conf")
    carded.sandbox(show)
    assert carded.run(*show).stdout.split() == [b"lo", b"Destination", b"Gateway"]
    carded.sandbox(show, capabilities=["base:execute", "net:egress"])
    found = carded.run(*show).stdout.split()
    assert sorted(found[:2]) == [b"eth0", b"lo"]
    # Destination and gateway as the kernel prints them: the default route, and the card's own network.
    assert found[2:8] == [b"Destination", b"Gateway", b"00000000", b"0102000A", b"0002000A", b"00000000"]
    assert found[8:] == [b"nameserver", b"10.0.2.1", b"options", b"timeout:2", b"attempts:1"]

"""RESET: nothing of one task is there for the next one, and a VM in which something is left is not used again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.channel import channel_pb2 as pb
from tests.guest.vm import GuestVm, booted

pytestmark = pytest.mark.vm
CANARY = "canary-" + "5b0c7e" * 4
LEAVE = f"""
echo {CANARY} > /workspace/left; mkdir -p /workspace/a/b/c; ln -s /etc/passwd /workspace/link; mkfifo /workspace/pipe
dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' C > /workspace/large; sync
(trap '' HUP TERM; while :; do sleep 1; done) >/dev/null 2>&1 &
"""
LOOK = f"""
ls -A /workspace; grep -rs {CANARY} /workspace /tmp /dev /proc/*/cmdline /proc/*/environ && echo FOUND
ls /proc | grep -c '^[0-9]'
"""


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestVm]:
    """A configured VM."""
    with booted(tmp_path_factory.mktemp("vm")) as machine:
        machine.configure()
        yield machine


def test_the_next_task_finds_nothing_of_the_last(vm: GuestVm) -> None:
    """Files, daemons and folders of one task are gone for the next; what a fresh VM shows is what it sees."""
    before = vm.sh(LOOK).stdout
    assert vm.sh(LEAVE).code == 0
    assert vm.sh(LOOK).stdout == before


def test_a_reused_vm_is_seeded_anew(vm: GuestVm) -> None:
    """After RESET it takes another Configure, and answers as configured."""
    vm.sandbox(("/bin/true",))
    vm.send(reset=pb.Reset())
    vm.expect("ready")
    assert vm.configure(hostname="vm-again").hostname == "vm-again"


def test_what_cannot_be_wiped_ends_the_vm(tmp_path: Path) -> None:
    """A process that was not there before the first task and outlives the sandbox: the VM faults, no task gets it."""
    with booted(tmp_path) as machine:
        machine.configure("compromised_agent")
        machine.sandbox(("/bin/true",))
        script = "echo $$ > /sys/fs/cgroup/cgroup.procs; setsid sleep 1000 >/dev/null 2>&1 </dev/null & sleep 0.2"
        assert machine.run("/bin/sh", "-c", script, compromised=True).code == 0
        machine.send(reset=pb.Reset())
        fault = machine.expect("fault").fault
        assert (fault.code, "process" in fault.message) == ("guest.reset_incomplete", True)

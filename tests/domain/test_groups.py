"""QEMU's control groups: what is written into them, and a real process held, counted and let go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.domain.groups import GroupBounds, Groups, settings
from executor.host.cgroups import CONTROLLERS, Homes, look, why_not

BOUNDS = GroupBounds(512, cpu_percent=150, threads=128)


def test_settings_of_both_versions() -> None:
    """The same bounds in the words of either version, whole."""
    assert list(settings(1, BOUNDS)) == [
        ("memory", "memory.limit_in_bytes", "536870912"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_quota_us", "150000"),
        ("pids", "pids.max", "128"),
    ]
    assert list(settings(2, BOUNDS)) == [
        ("memory", "memory.max", "536870912"),
        ("memory", "memory.swap.max", "0"),
        ("cpu", "cpu.max", "150000 100000"),
        ("pids", "pids.max", "128"),
    ]


def test_a_host_without_groups_says_why_and_goes_on() -> None:
    """Nothing is held, nothing fails: resource limits are what there is then."""
    groups = Groups(Homes())
    assert "memory, cpu and pids" in groups.why_not
    groups.hold(os.getpid(), "vm-1", BOUNDS)
    assert (list(groups.wanted(BOUNDS)), groups.memory_kills("vm-1")) == ([], 0)
    groups.remove("vm-1")
    groups.close()


def test_a_group_that_was_not_given_away_is_left_alone(tmp_path: Path) -> None:
    """Version 2: what systemd did not delegate is not rearranged."""
    for file in ("cgroup.subtree_control", "cgroup.procs"):
        (tmp_path / file).write_text("")
    groups = Groups(Homes(2, dict.fromkeys(CONTROLLERS, tmp_path)))
    assert "not delegated" in groups.why_not
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cgroup.procs", "cgroup.subtree_control"]


def test_a_delegated_group_is_arranged(tmp_path: Path) -> None:
    """Version 2, played by files: whoever was in the group is in a leaf now, groups below have the controllers."""
    (tmp_path / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    try:
        os.setxattr(tmp_path, "user.delegate", b"1")
    except OSError:  # not on every file system
        os.setxattr(tmp_path, "trusted.delegate", b"1")
    groups = Groups(Homes(2, dict.fromkeys(CONTROLLERS, tmp_path)))
    assert groups.why_not == ""
    assert (tmp_path / "cordon-executor" / "cgroup.procs").read_text() == str(os.getpid())
    (own,) = tmp_path.glob(f"cordon-{os.getpid()}-*")
    assert {(folder / "cgroup.subtree_control").read_text() for folder in (tmp_path, own)} == {"+memory +cpu +pids"}


@pytest.fixture
def groups() -> Iterator[Groups]:
    """Groups on the host itself, where it has any for us."""
    if reason := why_not(look()):
        pytest.skip(f"this host has no groups for us: {reason}")
    before = of_this_process()  # an executor of other tests may be open
    made = Groups()
    yield made
    made.close()
    assert of_this_process() == before


def of_this_process() -> set[Path]:
    """Groups that this process has made."""
    return {path for home in look().folders.values() for path in home.glob(f"cordon-{os.getpid()}-*")}


def child(code: str) -> subprocess.Popen[bytes]:
    """Python that goes on with `code` once it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", f"input(); {code}"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def test_a_process_is_held_and_its_death_for_memory_is_counted(groups: Groups) -> None:
    """One that takes more than its group's memory is killed by the kernel, and that is told from another kill."""
    greedy, idle = child("x = bytearray(200 << 20)"), child("input()")
    for process, name in ((greedy, "vm-1"), (idle, "vm-2")):
        groups.hold(process.pid, name, GroupBounds(64))
        assert list(groups.seen(process.pid, name)) == list(groups.wanted(GroupBounds(64)))
    idle.kill()
    greedy.communicate(b"\n")
    idle.communicate()
    assert (greedy.returncode, idle.returncode) == (-signal.SIGKILL, -signal.SIGKILL)
    assert groups.memory_kills("vm-1") >= 1
    assert groups.memory_kills("vm-2") == 0
    groups.remove("vm-1")
    groups.remove("vm-1")
    assert groups.memory_kills("vm-1") == 0


def test_threads_are_bounded(groups: Groups) -> None:
    """A fork beyond the group's count is refused by the kernel."""
    code = "import os, sys\ntry: os.fork()\nexcept BlockingIOError: sys.exit(7)"
    process = subprocess.Popen([sys.executable, "-c", f"input()\n{code}"], stdin=subprocess.PIPE)
    groups.hold(process.pid, "vm-1", GroupBounds(512, threads=1))
    process.communicate(b"\n")
    assert process.returncode == 7


def test_a_process_that_is_gone_needs_no_group(groups: Groups) -> None:
    """It died between being made and being held."""
    process = child("pass")
    process.kill()
    process.communicate()
    groups.hold(process.pid, "vm-1", BOUNDS)
    assert not [path for home in look().folders.values() for path in home.glob("cordon-*/vm-1")]


def test_what_a_killed_executor_left_is_swept(groups: Groups) -> None:
    """Groups named after a process that is no more go with the next start; those of a living one stay."""
    dead, alive = child("pass"), child("pass")
    dead.kill()
    dead.communicate()
    homes = look().folders.values()
    for home in homes:
        (home / f"cordon-{dead.pid}-1-aa").mkdir(exist_ok=True)
        (home / f"cordon-{dead.pid}-1-aa" / "vm-1").mkdir(exist_ok=True)
    Groups().close()
    assert not [path for home in homes for path in home.glob(f"cordon-{dead.pid}-1-*")]
    assert [path for home in homes for path in home.glob(f"cordon-{os.getpid()}-*")]
    alive.communicate(b"\n")


def test_sweep_does_not_wait_for_a_machine_that_still_runs(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead executor's machine that nobody has reaped keeps its group, and the start goes on at once."""
    running, homes = child("pass"), look().folders.values()
    left = [home / "cordon-4194305-1-aa" / f"vm-{number}" for home in homes for number in range(3)]  # no pid is so high
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "cgroup.procs").write_text(str(running.pid))
    held = [folder for folder in left if (folder / "cgroup.procs").read_text()]
    with monkeypatch.context() as patch:
        patch.setattr("executor.domain.groups.time.sleep", lambda _: pytest.fail("the start waits"))
        Groups().close()
    assert len(held) == len(set(homes))
    assert all(folder.is_dir() for folder in held)
    running.communicate(b"\n")
    Groups().close()
    assert not [folder for folder in left if folder.exists()]

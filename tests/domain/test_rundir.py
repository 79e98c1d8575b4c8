"""What a dead executor leaves is reaped; what a live one owns is not touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from executor.domain.rundir import Reaped, RunDir, processes_of, reap_dead
from executor.errors import OutsideError

OWNER = """
import sys, subprocess
from pathlib import Path
from executor.domain.rundir import RunDir
run = RunDir.create(Path(sys.argv[1]))
(run.path / "vm-1").mkdir()
(run.path / "vm-1" / "overlay.qcow2").write_bytes(b"x")
child = subprocess.Popen([sys.argv[2], f"{run.path}/vm-1/wait"], start_new_session=True)
print(run.path, child.pid, flush=True)
sys.stdin.read()
"""


ROOTED = """
import sys
from pathlib import Path
from executor.domain.rundir import process_root
print(process_root(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def guest_program(tmp_path: Path) -> Path:
    """A program named as QEMU is, that waits for ever: tail on a pipe nobody writes."""
    program = tmp_path / "qemu-system-x86_64"
    real = shutil.which("tail")
    assert real
    program.symlink_to(real)
    return program


def test_after_kill_9_the_next_start_leaves_nothing(tmp_path: Path, guest_program: Path) -> None:
    """The owner is killed; its machine process, overlay and directory are gone after the next start."""
    runtime = tmp_path / "run"
    os.mkfifo(fifo := tmp_path / "fifo")
    script = OWNER.replace('f"{run.path}/vm-1/wait"', f'"-f", f"{{run.path}}/vm-1/../../../{fifo.name}"')
    with subprocess.Popen(
        [sys.executable, "-c", script, str(runtime), str(guest_program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout
        path, pid = owner.stdout.readline().split()
        # Between its exec and its first instruction a program has no arguments to be found by.
        deadline = time.monotonic() + 10
        while (found := processes_of(Path(path))) != [int(pid)]:
            assert time.monotonic() < deadline, found
        assert reap_dead(runtime) == [], "its owner lives"
        owner.kill()
        owner.wait()
    assert reap_dead(runtime) == [Reaped(Path(path).name, (int(pid),), 1, ("vm-1",))]
    assert not Path(path).exists()
    assert not Path(f"/proc/{pid}/exe").exists()
    assert reap_dead(runtime) == []


def test_close_removes_the_directory_and_a_second_close_is_silent(tmp_path: Path) -> None:
    """Nothing of a run that ended well is left."""
    run = RunDir.create(tmp_path)
    run.close()
    run.close()
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_folder_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    """The message names the folder and the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match="cannot make the folder"):
        RunDir.create(tmp_path / "file" / "run")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OutsideError, match="CORDON_RUNTIME"):
        RunDir.create(tmp_path / "link")


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
def test_libvirts_notes_in_memory_leave_no_mount(tmp_path: Path, *, killed: bool) -> None:
    """Where a process may mount, its libvirt's notes lie in memory; the mount goes with it, or with the next start."""
    runtime = tmp_path / "run"
    argv = [sys.executable, "-c", ROOTED, str(runtime)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        root = Path(owner.stdout.readline().strip())
        assert (root / "run").is_dir()
        assert os.path.ismount(root / "run") == (os.geteuid() == 0)
        if killed:
            owner.kill()
        assert owner.stdin
        owner.stdin.close()
        owner.wait()
    assert len(reap_dead(runtime)) == int(killed)
    assert not root.parent.exists()
    assert str(runtime) not in Path("/proc/self/mountinfo").read_text("utf-8")

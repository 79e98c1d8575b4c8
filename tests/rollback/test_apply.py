"""Rollbacks: the tree is as before and proven so, or untouched; also after being killed at any step."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from executor.errors import CordonError
from executor.rollback import pack
from executor.rollback.apply import ConflictError, apply
from executor.rollback.manifest import DamagedPackError

BEFORE: dict[str, bytes | None] = {
    "a.txt": b"one\n", "sub/b.bin": b"\x00" * 5000, "sub/gone": b"was here", "same": b"=",
}  # fmt: skip
AFTER: dict[str, bytes | None] = {
    "a.txt": b"two\n", "sub/b.bin": b"\x01", "sub/gone": None, "same": b"=", "new/deep/n": b"new", "n2": b"new2",
}  # fmt: skip


def write(root: Path, files: dict[str, bytes | None]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)


def read(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    pack.complete(pack.create(tmp_path / "run", BEFORE, ["/workspace/**"]), AFTER)
    return tmp_path / "run"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    write(tmp_path / "target", {**AFTER, "unrelated": b"stays"})
    return tmp_path / "target"


WANTED = {name: content for name, content in BEFORE.items() if content is not None} | {"unrelated": b"stays"}


def test_the_tree_is_as_before_and_proven(run_dir: Path, target: Path) -> None:
    """Modified and deleted files are back, created ones gone, everything else untouched; the proof says which."""
    (target / "a.txt").chmod(0o750)
    proof = apply(run_dir, target)
    assert read(target) == WANTED
    assert (target / "a.txt").stat().st_mode & 0o777 == 0o750
    assert (proof.restored, proof.removed) == (("a.txt", "sub/b.bin", "sub/gone"), ("n2", "new/deep/n"))
    assert (proof.untouched, proof.resumed) == (("same",), False)
    again = apply(run_dir, target)
    assert (again.restored, again.removed, again.tree) == ((), (), proof.tree)


def test_a_deleted_program_comes_back_as_a_program(tmp_path: Path, target: Path) -> None:
    """A file that the run deleted has its permission bits again; without any on record it is an ordinary file."""
    before: dict[str, bytes | None] = {"tool": b"#!", "plain": b"-"}
    pack.complete(pack.create(tmp_path / "r", before, ["**"], {"tool": 0o4750}), {"tool": None, "plain": None})
    apply(tmp_path / "r", target)
    assert [(target / name).stat().st_mode & 0o7777 for name in before] == [0o750, 0o644]


CHILD = """
import os, signal, sys
from pathlib import Path
from executor.rollback.apply import apply
left = int(sys.argv[3])
def step(name):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
apply(Path(sys.argv[1]), Path(sys.argv[2]), step=step)
"""


@pytest.mark.parametrize("at", range(8))
def test_killed_at_any_step_it_resumes(run_dir: Path, target: Path, at: int) -> None:
    """SIGKILL before each step: every file is whole, old or new, and the same call finishes the work."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", CHILD, str(run_dir), str(target), str(at)]
    ended = subprocess.run(command, check=False, cwd=root, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    for name, content in read(target).items():
        if not name.startswith(".cordon-rollback/"):
            assert content in {BEFORE.get(name), AFTER.get(name), b"stays"}
    assert apply(run_dir, target).resumed == (at > 0)
    assert read(target) == WANTED
    assert not (target / ".cordon-rollback").exists()


def test_the_steps_are_as_many_as_are_tested(run_dir: Path, target: Path) -> None:
    """The test above kills before each step there is."""
    steps: list[str] = []
    apply(run_dir, target, step=steps.append)
    assert steps == ["journal", "n2", "new/deep/n", "a.txt", "sub/b.bin", "sub/gone", "prove", "end"]


def test_a_file_changed_since_the_run_stops_everything(run_dir: Path, target: Path) -> None:
    """Somebody's later work is not overwritten unless told so; then it is."""
    (target / "a.txt").write_bytes(b"later work")
    before = read(target)
    with pytest.raises(ConflictError, match=r"a\.txt"):
        apply(run_dir, target)
    assert read(target) == before
    apply(run_dir, target, force=True)
    assert read(target) == WANTED


@pytest.mark.parametrize("place", ["a.txt", "sub"])
def test_a_link_is_never_followed(run_dir: Path, target: Path, tmp_path: Path, place: str) -> None:
    """A link where a file or folder was, also with force: refused, and what it points to is untouched."""
    outside = tmp_path / "outside"
    write(outside, {"b.bin": b"host", "file": b"host"})
    if place == "sub":
        for path in (target / "sub").iterdir():
            path.unlink()
        (target / "sub").rmdir()
        (target / "sub").symlink_to(outside)
    else:
        (target / place).unlink()
        (target / place).symlink_to(outside / "file")
    for force in (False, True):
        with pytest.raises(ConflictError):
            apply(run_dir, target, force=force)
    assert read(outside) == {"b.bin": b"host", "file": b"host"}


def test_a_link_put_in_place_after_the_check_is_not_followed(run_dir: Path, target: Path, tmp_path: Path) -> None:
    """A race between check and write ends in an error or a replaced link, never outside the target."""
    outside = tmp_path / "outside"
    write(outside, {"b.bin": b"host"})

    def swap(step: str) -> None:
        if step == "sub/b.bin":
            (target / "sub").rename(tmp_path / "moved")
            (target / "sub").symlink_to(outside)

    with pytest.raises(CordonError):
        apply(run_dir, target, step=swap)
    assert read(outside) == {"b.bin": b"host"}


def test_a_file_that_the_run_made_a_folder_is_a_file_again(tmp_path: Path) -> None:
    """The folder goes once it is empty, the file comes back."""
    made = pack.create(tmp_path / "run", {"x": b"file"}, ["**"])
    pack.complete(made, {"x": None, "x/y/z": b"deep"})
    write(tmp_path / "target", {"x/y/z": b"deep"})
    apply(tmp_path / "run", tmp_path / "target")
    assert read(tmp_path / "target") == {"x": b"file"}


def test_a_pack_without_an_end_restores_what_was_before(tmp_path: Path) -> None:
    """When the run died before its end was recorded, the pre-images still go back."""
    pack.create(tmp_path / "run", {"x": b"old", "y": None}, ["**"])
    write(tmp_path / "target", {"x": b"whatever", "y": b"created"})
    apply(tmp_path / "run", tmp_path / "target")
    assert read(tmp_path / "target") == {"x": b"old"}


def test_a_damaged_pack_touches_nothing(run_dir: Path, target: Path) -> None:
    """Every pre-image is checked before the first file is written."""
    blob = max((run_dir / "rollback/blobs").iterdir())
    blob.write_bytes(b"evil")
    before = read(target)
    with pytest.raises(DamagedPackError):
        apply(run_dir, target)
    assert read(target) == before


def test_another_packs_unfinished_rollback_comes_first(run_dir: Path, target: Path, tmp_path: Path) -> None:
    """Two half rollbacks would leave a tree that no pack describes."""
    pack.create(tmp_path / "other", {"a.txt": b"third"}, [])

    def stop(step: str) -> None:
        if step == "a.txt":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(run_dir, target, step=stop)
    with pytest.raises(ConflictError, match="another pack"):
        apply(tmp_path / "other", target)
    assert apply(run_dir, target).resumed
    assert read(target) == WANTED


def test_nothing_is_left_open(run_dir: Path, target: Path) -> None:
    """File descriptors are given back on the good way and on a refusal."""
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    apply(run_dir, target)
    (target / "a.txt").unlink()
    (target / "a.txt").mkdir()
    with pytest.raises(ConflictError):
        apply(run_dir, target)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before

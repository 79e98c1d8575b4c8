"""Old gold images: which go, and that none goes that is current, used, being built or kept."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.domain import prune
from executor.domain.artifacts import laid_out
from executor.domain.prune import Choice, Found, choose
from executor.image import gold, recipe

KEYS = [f"{number:064x}" for number in range(8)]


def make(cache: Path, number: int) -> Path:
    """An image in a cache that is whole as far as anybody looks."""
    folder = cache / "images" / KEYS[number]
    folder.mkdir(parents=True)
    files = {}
    for name in ("gold.qcow2", "vmlinuz", "initrd.img"):
        (folder / name).write_bytes(bytes([number]) * 8192)
        files[name] = {"bytes": 8192}
    (folder / "manifest.json").write_text(json.dumps({"files": files, "cmdline": str(number)}))
    os.utime(folder / "manifest.json", (1000 + number, 1000 + number))
    return folder


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3), st.booleans()), unique_by=lambda one: one[0]),
    st.sampled_from(KEYS),
    st.integers(0, 4),
)
def test_what_goes(facts: list[tuple[str, int, bool]], current: str, keep: int) -> None:
    """Never the current one nor one in use; of the rest exactly the `keep` latest stay."""
    found = [Found(key, built, 1, used) for key, built, used in facts]
    chosen = choose(found, current=current, keep=keep)
    assert {choice.image for choice in chosen} == set(found)
    others = [choice for choice in chosen if choice.image.key != current and not choice.image.used]
    assert [choice.reason for choice in others] == ["kept"] * min(keep, len(others)) + ["old"] * (len(others) - keep)
    assert [choice.image.built_ns for choice in others] == sorted((one.image.built_ns for one in others), reverse=True)
    assert all(choice.reason == "current" for choice in chosen if choice.image.key == current)
    assert all(choice.reason == "in use" for choice in chosen if choice.image.used and choice.image.key != current)


def reasons(cache: Path, runtime: Path, *, keep: int = 0) -> dict[str, str]:
    chosen = choose(prune.look(cache / "images", runtime), current="", keep=keep)
    return {choice.image.key: choice.reason for choice in chosen}


def test_open_image_is_in_use(tmp_path: Path) -> None:
    """A process has it open, as a QEMU has: it stays, also when it was opened after the look."""
    first, second = make(tmp_path, 1), make(tmp_path, 2)
    with (first / "gold.qcow2").open("rb"):
        assert reasons(tmp_path, tmp_path / "run") == {KEYS[1]: "in use", KEYS[2]: "old"}
        assert not prune.remove(tmp_path / "images", tmp_path / "run", KEYS[1])
    assert first.is_dir()
    assert prune.remove(tmp_path / "images", tmp_path / "run", KEYS[1])
    assert not first.exists()
    assert second.is_dir()


def test_image_laid_out_where_an_executor_lives_is_in_use(tmp_path: Path) -> None:
    """Its next machine will stand on it; when the executor is gone, what was laid out goes with the image."""
    runtime = tmp_path / "run"
    out = laid_out(gold.load(make(tmp_path, 1)), runtime)
    for folder in (out, runtime / "r-1234abcd"):
        folder.mkdir(parents=True)
    (out / "golden.save").write_text("a saved machine")
    with (runtime / "r-1234abcd" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert reasons(tmp_path, runtime) == {KEYS[1]: "in use"}
        assert not prune.remove(tmp_path / "images", runtime, KEYS[1])
    assert reasons(tmp_path, runtime) == {KEYS[1]: "old"}
    assert prune.remove(tmp_path / "images", runtime, KEYS[1])
    assert not out.exists()


def test_image_being_built_is_left_alone(tmp_path: Path) -> None:
    """Whoever builds holds its lock; half-built folders are no images."""
    make(tmp_path, 1)
    (tmp_path / "images" / f".build-{KEYS[2]}-1").mkdir()
    (tmp_path / "images" / KEYS[3]).mkdir()
    with (tmp_path / "images" / f".lock-{KEYS[1]}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not prune.remove(tmp_path / "images", tmp_path / "run", KEYS[1])
    assert reasons(tmp_path, tmp_path / "run") == {KEYS[1]: "old"}


def cordon(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `cordon image` on a cache of its own."""
    environment = {**os.environ, "CORDON_CACHE": str(cache), "CORDON_RUNTIME": str(cache / "run")}
    return subprocess.run(
        [sys.executable, "-m", "cordon", "image", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_command(tmp_path: Path) -> None:
    """--dry-run removes nothing, --keep keeps the latest, the recipe's own image always stays."""
    for number in (1, 2, 3):
        make(tmp_path, number)
    own = make(tmp_path, 0).rename(tmp_path / "images" / recipe.input_digest(recipe.input_files()))
    dry = json.loads(cordon(tmp_path, "prune", "--dry-run", "--json").stdout)
    assert [(one["key"], one["reason"], one["gone"]) for one in dry["images"]] == [
        (KEYS[3], "kept", False),
        (KEYS[2], "old", True),
        (KEYS[1], "old", True),
        (own.name, "current", False),
    ]
    assert dry["freed_bytes"] > 0
    assert len(list((tmp_path / "images").glob("?" * 64))) == 4
    (tmp_path / "images" / ".pruned-left").mkdir()
    done = cordon(tmp_path, "prune", "--keep", "2")
    assert (done.returncode, done.stdout.splitlines()[-1].split(":")[0]) == (0, "1 of 4 images gone"), done.stderr
    assert {path.name for path in (tmp_path / "images").iterdir() if path.is_dir()} == {KEYS[3], KEYS[2], own.name}


@pytest.mark.parametrize("wrong", [["prune", "--keep", "-1"], ["prune", "--keep", "x"], ["show", "--dry-run"]])
def test_wrong_use(tmp_path: Path, wrong: list[str]) -> None:
    """Numbers below 0, words, and options of another action: exit 2, one line, nothing touched."""
    done = cordon(tmp_path, *wrong)
    assert done.returncode == 2
    assert done.stdout == ""


def test_empty_cache(tmp_path: Path) -> None:
    """Nothing is there: nothing goes, and that is well."""
    assert prune.look(tmp_path / "images", tmp_path) == ()
    assert choose((), current="", keep=0) == ()
    assert Choice(Found("", 0, 0, used=False), "old").reason == "old"

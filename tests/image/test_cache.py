"""Content-keyed folders appear whole or not at all."""

import multiprocessing
import os
from pathlib import Path

import pytest

from executor.image import cache


def _slow_build(parent: Path, log: Path) -> None:
    def build(work: Path) -> None:
        with log.open("a") as out:
            out.write(f"{os.getpid()}\n")
        (work / "part").write_text("x")
        (work / "marker").write_text("done")

    cache.publish(parent, "key", build, marker="marker")


def test_processes_that_ask_together_build_once(tmp_path: Path) -> None:
    """Four processes asking for one key: one of them builds, all of them find the result."""
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_slow_build, args=(tmp_path / "c", log)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert len(log.read_text().splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "c" / "key").iterdir()) == ["marker", "part"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """An exception in the build passes through, and neither result nor working folder stays."""

    def build(work: Path) -> None:
        (work / "part").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.publish(tmp_path, "key", build, marker="marker")
    assert [path.name for path in tmp_path.iterdir()] == [".lock-key"]


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    """The next build of the key clears the working folder of one that was killed."""
    left = tmp_path / ".build-key-99999"
    left.mkdir()
    (left / "half").write_text("x")
    cache.publish(tmp_path, "key", lambda work: (work / "marker").touch(), marker="marker")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock-key", "key"]


def test_a_finished_folder_is_not_built_again(tmp_path: Path) -> None:
    """With the marker there, `build` is not called."""

    def never(_work: Path) -> None:
        raise AssertionError("built again")

    cache.publish(tmp_path, "key", lambda work: (work / "marker").touch(), marker="marker")
    assert cache.publish(tmp_path, "key", never, marker="marker") == tmp_path / "key"

"""Folders of ours: made with the mode asked for, widened when a later user needs more, never taken from others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.errors import OutsideError
from executor.paths import private_dir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both a usual umask and a strict one."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_folder_has_the_mode_asked_for_whoever_came_first(tmp_path: Path) -> None:
    """First made for its owner alone, then for others to pass through: the second asker gets what it needs."""
    folder = tmp_path / "run"
    assert (private_dir(folder), mode(folder)) == (folder, 0o700)
    assert (private_dir(folder, 0o711), mode(folder)) == (folder, 0o711)
    assert (private_dir(folder), mode(folder)) == (folder, 0o711)


def test_a_link_and_a_file_are_refused_and_left_alone(tmp_path: Path) -> None:
    """What is not a folder of ours is neither used nor changed."""
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "file").touch(mode=0o600)
    for name in ("link", "file"):
        with pytest.raises(OutsideError):
            private_dir(tmp_path / name, 0o711)
    assert (mode(target), mode(tmp_path / "file")) == (0o700, 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Another user's folder is not taken over, even by root."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(OutsideError):
        private_dir(folder, 0o711)
    assert mode(folder) == 0o700

"""Workspace paths, quotas, and taking trees down."""

import os
from pathlib import Path

import pytest

from executor.guest import network
from executor.guest.errors import DeniedError
from executor.guest.workspace import Quota, quota_for, relative, remove_tree

NOT_PLAIN = [
    "/workspace",
    "/workspace/",
    "/etc/passwd",
    "/workspace/../x",
    "/workspace/a/./b",
    "/workspace//a",
    "a",
    "",
]


@pytest.mark.parametrize("path", [*NOT_PLAIN, "/workspace/a\0"])
def test_only_plain_paths_below_the_workspace(path: str) -> None:
    """Anything else is denied, not repaired."""
    assert relative("/workspace/a/b") == "a/b"
    with pytest.raises(DeniedError):
        relative(path)


def test_quota_counts_bytes_and_inodes() -> None:
    """MiB become bytes, inodes grow with them."""
    assert quota_for(2) == Quota(2 * 1024 * 1024, 256 + 128)


def test_a_hostile_tree_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Two thousand folders deep, links out of it, a fifo, odd names: gone, and what the links point to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(outside)
    os.mkfifo(tree / "fifo")
    (tree / "\n0").mkdir()
    (tree / "a" / "\n0").mkdir()
    handle = os.open(tree / "a", os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=handle)
        deeper = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)
    remove_tree(str(tree))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "outside"]
    remove_tree(str(tree))


def test_a_cards_address_says_its_ip() -> None:
    """52:54 is followed by the address; any other card has none."""
    assert network.address_of("52:54:0a:63:00:05\n") == "10.99.0.5"
    assert network.gateway_of("10.99.0.5") == "10.99.0.1"
    assert network.address_of("00:11:22:33:44:55") is None
    assert network.address_of("52:54:00:63:00:05") is None

"""Rules for the files of the guest's root."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.image import tree
from executor.image.recipe import CAPABILITY_MAP, load_recipe

MAP = tree.parse_map(CAPABILITY_MAP.read_text())


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("/usr/bin/cat", 0o755, tree.Attributes(0o750, 2001, "base:execute")),
        ("/usr/bin/x86_64-linux-gnu-gcc-12", 0o755, tree.Attributes(0o750, 2002, "dev:compiler")),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", 0o755, tree.Attributes(0o750, 2002, "dev:compiler")),
        ("/usr/bin/python3.11", 0o755, tree.Attributes(0o750, 2003, "dev:python")),
        ("/opt/cordon/bin/launch", 0o755, tree.Attributes(0o755, 0)),
        ("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0o755, tree.Attributes(0o755, 0)),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", 0o755, tree.Attributes(0o644, 0)),
        ("/usr/bin/mount", 0o4755, tree.Attributes(0o700, 0)),
        ("/usr/sbin/unix_chkpwd", 0o2755, tree.Attributes(0o700, 0)),
        ("/usr/bin/unshare", 0o755, tree.Attributes(0o700, 0)),
        ("/etc/passwd", 0o644, tree.Attributes(0o644, 0)),
    ],
)
def test_a_file_becomes_what_the_map_says(path: str, mode: int, expected: tree.Attributes) -> None:
    """Mode, group and capability of typical files, compared whole."""
    assert tree.attributes(path, mode, 0, MAP) == expected


@given(st.text(alphabet="abc/._-", min_size=1), st.integers(0, 0o7777))
def test_what_nobody_mapped_no_task_runs(name: str, mode: int) -> None:
    """No unmapped path and mode whatsoever leaves a file executable for a task, or with a set-id bit."""
    decided = tree.attributes(f"/opt/unknown/{name}", mode, 0, MAP)
    assert decided.mode & 0o7011 == 0
    assert decided.capability is None


def test_commands_lead_to_mapped_files() -> None:
    """Every name in the map's list for readers leads to a file that some capability lists."""
    commands = json.loads(CAPABILITY_MAP.read_text())["commands"]
    commands.pop("about")
    assert [name for name, path in commands.items() if MAP.capability(path) is None] == []
    assert MAP.capability(commands["gcc"]) == "dev:compiler"


def test_groups_must_be_distinct() -> None:
    """Two capabilities with one group would grant each other: refused."""
    raw = json.loads(CAPABILITY_MAP.read_text())
    raw["capabilities"]["dev:python"]["gid"] = raw["capabilities"]["dev:compiler"]["gid"]
    with pytest.raises(InvalidInputError, match="group id of its own"):
        tree.parse_map(json.dumps(raw))


def test_drop_and_keep() -> None:
    """What the recipe drops is gone unless `keep` names it."""
    plan = load_recipe()
    assert tree.is_dropped("boot/vmlinuz-6.1", plan.drop, plan.keep)
    assert not tree.is_dropped("usr/bin/cat", plan.drop, plan.keep)
    assert not tree.is_dropped("boot/vmlinuz-6.1", plan.drop, ["boot/vmlinuz*"])


def test_listing_is_sorted() -> None:
    """What the launcher reads does not depend on the order of the tar."""
    found = tree.Executables()
    found.add("dev:python", "/b")
    found.add("dev:python", "/a")
    assert found.listing("dev:python") == b"/a\n/b\n"
    assert found.listing("sys:ptrace") == b""

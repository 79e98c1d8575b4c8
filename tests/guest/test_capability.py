"""The agent's own check of programs."""

import pytest

from executor.guest.capability import Programs
from executor.guest.errors import DeniedError

PROGRAMS = Programs(
    by_identity={(1, 10): "base:execute", (1, 20): "dev:compiler", (1, 1): "system"},
    groups={"base:execute": 2001, "dev:compiler": 2002},
    root_device=1,
)
BASE = frozenset({"base:execute"})


@pytest.mark.parametrize(
    ("identity", "granted", "own_files"),
    [
        ((1, 10), BASE, False),
        ((1, 1), frozenset(), False),
        ((1, 20), BASE | {"dev:compiler"}, True),
        ((9, 5), BASE, True),
    ],
)
def test_what_is_granted_passes(identity: tuple[int, int], granted: frozenset[str], own_files: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Mapped programs with their capability, the loader, own files of who may compile."""
    PROGRAMS.check(identity, "/x", granted, own_files=own_files)


@pytest.mark.parametrize(
    ("identity", "granted", "own_files"),
    [((1, 20), BASE, False), ((1, 10), frozenset(), False), ((1, 99), BASE, True), ((9, 5), BASE, False)],
)
def test_everything_else_is_denied(identity: tuple[int, int], granted: frozenset[str], own_files: bool) -> None:  # noqa: FBT001 - as above
    """Another capability's program, none at all, an unmapped file of the image, own files without dev:compiler."""
    with pytest.raises(DeniedError) as caught:
        PROGRAMS.check(identity, "/x", granted, own_files=own_files)
    assert caught.value.code == "guest.capability_not_granted"


def test_unknown_tokens_are_denied() -> None:
    """A token nobody knows is no capability; known ones without programs pass."""
    PROGRAMS.check_known(["base:execute", "fs:write_tmp", "net:egress"])
    with pytest.raises(DeniedError, match="root"):
        PROGRAMS.check_known(["base:execute", "root"])


def test_groups_and_lists_follow_the_capabilities() -> None:
    """Sorted, and only for tokens that programs need."""
    assert PROGRAMS.gids(["dev:compiler", "fs:write_tmp", "base:execute"]) == (2001, 2002)
    assert PROGRAMS.exec_lists(["dev:compiler"]) == ("/opt/cordon/exec.d/system", "/opt/cordon/exec.d/dev_compiler")

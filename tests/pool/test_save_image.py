"""Saved machines are renamed byte for byte or not at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import HypervisorError
from executor.pool.save_image import MAGIC, MAX_TEXT, TEXT_AT, renamed, text_length


def head(magic: bytes = MAGIC, version: int = 2, length: int = 100) -> bytes:
    return struct.pack("=16sII", magic, version, length) + bytes(TEXT_AT - 24)


def test_the_length_is_read_from_libvirts_own_header() -> None:
    """A header as libvirt 9 writes it."""
    assert text_length(head(length=69986)) == 69986


@pytest.mark.parametrize(
    "data",
    [head(magic=b"LibvirtQemudPart"), head(version=3), head(length=0), head(length=MAX_TEXT + 1), head()[:-1], b""],
    ids=["partial", "version", "empty", "huge", "short", "nothing"],
)
def test_another_format_turns_warm_clones_off(data: bytes) -> None:
    """What is not understood is refused by name, never guessed at."""
    with pytest.raises(HypervisorError):
        text_length(data)


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_renaming_changes_only_the_name(before: bytes, after: bytes) -> None:
    """Everything around the name stays, and so does the length."""
    text = before + b"vm-00000001" + after
    changed = renamed(text, {"vm-00000001": "vm-abcdef01"})
    assert len(changed) == len(text)
    assert changed == text.replace(b"vm-00000001", b"vm-abcdef01")


@pytest.mark.parametrize("names", [{"vm-1": "vm-12"}, {"vm-9": "vm-8"}], ids=["longer", "absent"])
def test_a_name_that_does_not_fit_is_refused(names: dict[str, str]) -> None:
    """Another length would move the memory behind it."""
    with pytest.raises(HypervisorError):
        renamed(b"<name>vm-1</name>", names)

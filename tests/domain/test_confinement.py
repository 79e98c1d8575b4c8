"""What QEMU may be and have: the reading of a process, and the comparison, which is exact both ways."""

from __future__ import annotations

from collections import Counter

import pytest

from executor.domain import confinement
from executor.domain.confinement import SECTIONS, Difference, arguments, differences
from executor.domain.limits import limits_for

CMDLINE = (
    '/usr/bin/qemu\0-S\0-machine\0pc-q35-7.2,usb=off\0-mon\0chardev=c,id=monitor,mode=control\0-display\0none\0-nodefaults\0'
    '-device\0{"driver":"virtio-blk-pci","id":"x"}\0-device\0e1000,addr=3\0-chardev\0socket,id=c,fd=3\0'
    '-sandbox\0on,spawn=deny\0-machine\0sata=off\0-mon\0chardev=d\0-msg\0timestamp=on\0'
)  # fmt: skip


def test_options_are_read_with_the_part_that_says_what_they_are() -> None:
    """Drivers in either notation, the monitor's mode (readline when it is not said), whole values where they count."""
    assert list(arguments(CMDLINE.encode())) == [
        "-S",
        "-machine",
        "-mon mode=control",
        "-display none",
        "-nodefaults",
        "-device virtio-blk-pci",
        "-device e1000",
        "-chardev socket",
        "-sandbox on,spawn=deny",
        "-machine sata=off",
        "-mon mode=readline",
        "-msg",
    ]


def everything() -> dict[str, Counter[str]]:
    return {section: Counter({f"{section} one": 1, f"{section} two": 2}) for section in SECTIONS}


def test_the_same_is_no_difference() -> None:
    """Equal in every section, whatever the order."""
    assert differences(everything(), everything()) == ()


@pytest.mark.parametrize("section", SECTIONS)
def test_one_more_and_one_less_are_each_found_in_every_section(section: str) -> None:
    """An added thing, one taken away, and one that is there too often."""
    more, less, often = everything(), everything(), everything()
    more[section]["new"] += 1
    del less[section][f"{section} one"]
    often[section][f"{section} two"] += 1
    assert differences(everything(), more) == (Difference(section, (), ("new",)),)
    assert differences(everything(), less) == (Difference(section, (f"{section} one",), ()),)
    assert differences(everything(), often) == (Difference(section, (), (f"{section} two",)),)


def test_the_allowlist_names_no_device_of_a_forbidden_kind() -> None:
    """USB, sound, graphics, floppy, SCSI, NVMe, network cards and balloons are nowhere in it."""
    text = " ".join(confinement.allowlist()["devices"]).lower()
    for word in (
        "usb",
        "hda",
        "ac97",
        "vga",
        "fdc",
        "floppy",
        "lsi",
        "scsi",
        "nvme",
        "e1000",
        "net",
        "balloon",
        "ahci",
    ):
        assert word not in text


def test_limits_leave_room_for_the_guest_and_not_much_more() -> None:
    """The address space grows with the guest's memory, nothing is unlimited."""
    small, large = limits_for(512), limits_for(4096)
    assert large["Max address space"][1] - small["Max address space"][1] == 3584 * 1024 * 1024
    assert all(0 <= value < 2**40 for _, value in large.values())

"""The machine's device list is an allowlist; the XML holds exactly it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from executor.domain.xml import DomainSpec, domain_xml

SPEC = DomainSpec(
    name="vm-1",
    uuid="4dea22b3-1d52-4d8f-ae4d-7f1f6f7e3f10",
    engine="tcg",
    memory_mb=512,
    overlay=Path("/r/vm-1/overlay.qcow2"),
    gold=Path("/r/images/gold.qcow2"),
    agent_disk=Path("/r/images/agent.iso"),
    kernel=Path("/r/images/vmlinuz"),
    initrd=Path("/r/images/initrd.img"),
    cmdline="quiet",
    channel=Path("/r/vm-1/agent.sock"),
    console=None,
    qemu_user="+64055:+64055",
)
DEVICES = ["emulator", "disk", "disk", "controller", "controller", "channel", "memballoon"]


def devices(spec: DomainSpec) -> list[str]:
    parent = ET.fromstring(domain_xml(spec)).find("devices")  # noqa: S314 - our own XML
    assert parent is not None
    return [device.tag for device in parent]


def test_by_default_there_are_two_disks_and_one_channel_and_nothing_else() -> None:
    """No card, no console, no display, no USB, no balloon."""
    assert devices(SPEC) == DEVICES
    tree = ET.fromstring(domain_xml(SPEC))  # noqa: S314 - our own XML
    assert [node.get("model") for node in tree.iterfind("devices/controller[@type='usb']")] == ["none"]
    assert [node.get("model") for node in tree.iterfind("devices/memballoon")] == ["none"]


@pytest.mark.parametrize(
    ("change", "extra"),
    [
        ({"console": Path("/r/vm-1/console.log")}, "serial"),
        ({"tap": "cordontap002", "mac": "52:54:00:00:00:01"}, "interface"),
    ],
    ids=["console", "card"],
)
def test_each_granted_device_adds_exactly_itself(change: dict[str, Any], extra: str) -> None:
    """One field, one device."""
    assert sorted(devices(replace(SPEC, **change))) == sorted([*DEVICES, extra])


def test_the_agent_disk_is_read_only_and_the_backing_chain_is_spelled_out() -> None:
    """QEMU never guesses a backing format, and the guest cannot write the agent."""
    tree = ET.fromstring(domain_xml(SPEC))  # noqa: S314 - our own XML
    gold, agent = tree.findall("devices/disk")
    assert agent.find("readonly") is not None
    assert [node.get("file") for node in gold.iter("source")] == [str(SPEC.overlay), str(SPEC.gold)]
    assert gold.find("backingStore/backingStore") is not None


def test_kvm_guests_get_no_kvm_of_their_own() -> None:
    """Nested virtualisation is switched off, and the MSR that aborts nested hosts is not offered."""
    tree = ET.fromstring(domain_xml(replace(SPEC, engine="kvm")))  # noqa: S314 - our own XML
    off = {node.get("name") for node in tree.iterfind("cpu/feature[@policy='disable']")}
    assert (tree.get("type"), off) == ("kvm", {"arch-capabilities", "vmx", "svm"})


def test_an_emulated_guest_has_no_svm() -> None:
    """TCG emulates AMD's virtualisation; a task gets none."""
    tree = ET.fromstring(domain_xml(SPEC))  # noqa: S314 - our own XML
    assert [node.get("name") for node in tree.iterfind("cpu/feature[@policy='disable']")] == ["svm"]


def arguments(spec: DomainSpec) -> list[str | None]:
    parent = ET.fromstring(domain_xml(spec)).find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline")  # noqa: S314
    assert parent is not None
    return [node.get("value") for node in parent]


def test_what_the_board_can_do_without_is_off() -> None:
    """SATA, SMBus, keyboard controller, HPET and VMware's port are left out; nothing else is said past libvirt."""
    tree = ET.fromstring(domain_xml(SPEC))  # noqa: S314 - our own XML
    assert arguments(SPEC) == ["-machine", "sata=off,smbus=off,i8042=off"]
    assert [node.get("state") for node in tree.iterfind("features/vmport")] == ["off"]
    assert [(node.get("name"), node.get("present")) for node in tree.iterfind("clock/timer")] == [("hpet", "no")]


def test_a_drill_may_have_what_is_never_there() -> None:
    """Surplus devices and a writable agent disk, or QEMU as root: only on request."""
    surplus = ET.fromstring(domain_xml(replace(SPEC, surplus=True)))  # noqa: S314 - our own XML
    assert arguments(replace(SPEC, surplus=True))[2::2] == ["-device"] * 12 + ["-chardev", "-mon"]
    assert surplus.find("devices/disk/readonly") is None
    exposed = ET.fromstring(domain_xml(replace(SPEC, exposed=True)))  # noqa: S314 - our own XML
    assert [node.text for node in exposed.iterfind("seclabel/label")] == ["+0:+0"]
    assert arguments(replace(SPEC, exposed=True)) == arguments(SPEC)


def test_names_with_markup_cannot_leave_their_place() -> None:
    """Text is escaped: a path cannot add a device."""
    assert devices(replace(SPEC, overlay=Path('/r/"/><interface/><x y="'))) == DEVICES

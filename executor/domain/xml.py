"""The domain XML of a sandbox VM: pure text from a `DomainSpec`.

The device list is the allowlist that drills compare with the live machine (DESIGN 5.7, attempts class V): two virtio
disks and one virtio-serial port. No network card unless granted, no console unless debugging, no display, USB, sound,
memory balloon or SCSI, and no human monitor (libvirt's own QMP socket is in its private directory).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

EMULATOR: Final = "/usr/bin/qemu-system-x86_64"
CHANNEL_NAME: Final = "org.cordon.agent.0"


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """Everything that decides a VM; hard capabilities are settled here, before it is ever unpaused."""

    name: str
    uuid: str
    engine: Literal["kvm", "tcg"]
    memory_mb: int
    overlay: Path
    gold: Path
    agent_disk: Path
    kernel: Path
    initrd: Path
    cmdline: str
    channel: Path
    console: Path | None
    """File for the serial console; None: no serial port (the default: a guest could fill the disk through it)."""
    qemu_user: str
    """`+uid:+gid` the QEMU process runs as; empty: whatever the libvirt connection does (a non-root embed session)."""
    cpu_percent: int = 0
    """Host-side CPU ceiling in percent of one core; 0: none (libvirt has no cgroup controller to set it with)."""
    tap: str = ""
    """The host's end of the granted network card; empty: no card."""
    mac: str = ""


def _child(parent: ET.Element, tag: str, text: str = "", /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text or None
    return element


def _disk(devices: ET.Element, path: Path, target: str, driver: dict[str, str]) -> ET.Element:
    disk = _child(devices, "disk", type="file", device="disk")
    _child(disk, "driver", name="qemu", **driver)
    _child(disk, "source", file=str(path))
    _child(disk, "target", dev=target, bus="virtio")
    return disk


def _cpu(domain: ET.Element, engine: str) -> None:
    if engine == "tcg":
        _child(_child(domain, "cpu", mode="custom", match="exact", check="none"), "model", "qemu64")
        return
    cpu = _child(domain, "cpu", mode="host-passthrough", migratable="on")
    # Nested KVM hosts may refuse to set MSR 0x10a, which aborts QEMU (DESIGN section 7); and a task gets no KVM.
    _child(cpu, "feature", policy="disable", name="arch-capabilities")
    for nested in ("vmx", "svm"):
        _child(cpu, "feature", policy="disable", name=nested)


def domain_xml(spec: DomainSpec) -> str:
    """The XML for `virDomainCreateXML`."""
    domain = ET.Element("domain", type="kvm" if spec.engine == "kvm" else "qemu")
    _child(domain, "name", spec.name)
    _child(domain, "uuid", spec.uuid)
    _child(domain, "memory", str(spec.memory_mb), unit="MiB")
    _child(domain, "vcpu", "1")
    if spec.cpu_percent:
        tune = _child(domain, "cputune")
        _child(tune, "period", "100000")
        _child(tune, "quota", str(spec.cpu_percent * 1000))
    system = _child(domain, "os")
    _child(system, "type", "hvm", arch="x86_64", machine="q35")
    _child(system, "kernel", str(spec.kernel))
    _child(system, "initrd", str(spec.initrd))
    _child(system, "cmdline", spec.cmdline)
    _child(_child(domain, "features"), "acpi")
    _cpu(domain, spec.engine)
    _child(domain, "clock", offset="utc")
    for condition, action in (("on_poweroff", "destroy"), ("on_reboot", "destroy"), ("on_crash", "destroy")):
        _child(domain, condition, action)
    _devices(domain, spec)
    if spec.qemu_user:
        label = _child(domain, "seclabel", type="static", model="dac", relabel="no")
        _child(label, "label", spec.qemu_user)
    return ET.tostring(domain, encoding="unicode")


def _devices(domain: ET.Element, spec: DomainSpec) -> None:
    devices = _child(domain, "devices")
    _child(devices, "emulator", EMULATOR)
    overlay = _disk(devices, spec.overlay, "vda", {"type": "qcow2", "cache": "unsafe", "discard": "unmap"})
    backing = _child(overlay, "backingStore", type="file")
    _child(backing, "format", type="qcow2")
    _child(backing, "source", file=str(spec.gold))
    _child(backing, "backingStore")
    _child(_disk(devices, spec.agent_disk, "vdb", {"type": "raw"}), "readonly")
    _child(devices, "controller", type="usb", model="none")
    _child(devices, "controller", type="virtio-serial", index="0", ports="2")
    channel = _child(devices, "channel", type="unix")
    _child(channel, "source", mode="bind", path=str(spec.channel))
    _child(channel, "target", type="virtio", name=CHANNEL_NAME)
    if spec.console:
        console = _child(devices, "serial", type="file")
        _child(console, "source", path=str(spec.console))
        _child(console, "target", type="isa-serial", port="0")
    if spec.tap:
        card = _child(devices, "interface", type="ethernet")
        _child(card, "mac", address=spec.mac)
        _child(card, "target", dev=spec.tap, managed="no")
        _child(card, "model", type="virtio")
        # QEMU's own back end: the kernel's (vhost) would put a parser of the guest's ring into the host's kernel.
        _child(card, "driver", name="qemu")
        _child(card, "rom", enabled="no")
    _child(devices, "memballoon", model="none")

"""The domain XML of a sandbox VM: pure text from a `DomainSpec`.

Two virtio disks and one virtio-serial port. No network card unless granted, no console unless debugging, no display,
USB, sound, memory balloon or SCSI, and no human monitor (libvirt's own QMP socket is in its private directory). Of what
the board has built in, what can be left out is left out. What is left is `confinement.yaml`, which drills compare with
the live machine (DESIGN 5.7, attempts class V).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

EMULATOR: Final = "/usr/bin/qemu-system-x86_64"
CHANNEL_NAME: Final = "org.cordon.agent.0"
BOARD_OFF: Final = "sata=off,smbus=off,i8042=off"
"""Built into the board and of no use to a sandbox; libvirt has no words for it, QEMU merges several `-machine`."""
SURPLUS: Final[tuple[str, ...]] = (
    "qemu-xhci,addr=0x10",
    "usb-tablet",
    "intel-hda,addr=0x11",
    "VGA,addr=0x12",
    "isa-fdc",
    "lsi53c895a,addr=0x13",
    "nvme,serial=surplus,addr=0x14",
    "e1000,addr=0x15",
    "i6300esb,addr=0x16",
    "virtio-balloon-pci,addr=0x17",
    "ich9-ahci,addr=0x18",
    "edu,addr=0x19",
)
"""For drills: one of each kind that must never be there, so that looking for them can be shown to find them. A human
monitor and AMD's virtualisation come with them."""
_QEMU: Final = "http://libvirt.org/schemas/domain/qemu/1.0"


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
    surplus: bool = False
    """For drills: with `SURPLUS`, and with an agent disk that may be written."""
    exposed: bool = False
    """For drills: QEMU as root, with root's capabilities and without limits of its own."""


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


def _cpu(domain: ET.Element, spec: DomainSpec) -> None:
    if spec.engine == "tcg":
        cpu = _child(domain, "cpu", mode="custom", match="exact", check="none")
        _child(cpu, "model", "qemu64")
        if not spec.surplus:
            _child(cpu, "feature", policy="disable", name="svm")  # TCG emulates it: no task gets a hypervisor
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
    features = _child(domain, "features")
    _child(features, "acpi")
    _child(features, "vmport", state="off")
    _cpu(domain, spec)
    _child(_child(domain, "clock", offset="utc"), "timer", name="hpet", present="no")
    for condition, action in (("on_poweroff", "destroy"), ("on_reboot", "destroy"), ("on_crash", "destroy")):
        _child(domain, condition, action)
    _devices(domain, spec)
    if spec.qemu_user:
        label = _child(domain, "seclabel", type="static", model="dac", relabel="no")
        _child(label, "label", "+0:+0" if spec.exposed else spec.qemu_user)
    _command_line(domain, spec)
    return ET.tostring(domain, encoding="unicode")


def _command_line(domain: ET.Element, spec: DomainSpec) -> None:
    """What libvirt has no words for."""
    ET.register_namespace("qemu", _QEMU)
    line = _child(domain, f"{{{_QEMU}}}commandline")
    words = ["-machine", BOARD_OFF]
    if spec.surplus:
        words += (word for device in SURPLUS for word in ("-device", device))
        words += ["-chardev", f"socket,id=human,path=cordon-{spec.name},abstract=on,server=on,wait=off"]
        words += ["-mon", "chardev=human,mode=readline"]
    for word in words:
        _child(line, f"{{{_QEMU}}}arg", value=word)


def _devices(domain: ET.Element, spec: DomainSpec) -> None:
    devices = _child(domain, "devices")
    _child(devices, "emulator", EMULATOR)
    overlay = _disk(devices, spec.overlay, "vda", {"type": "qcow2", "cache": "unsafe", "discard": "unmap"})
    backing = _child(overlay, "backingStore", type="file")
    _child(backing, "format", type="qcow2")
    _child(backing, "source", file=str(spec.gold))
    _child(backing, "backingStore")
    agent = _disk(devices, spec.agent_disk, "vdb", {"type": "raw"})
    if not spec.surplus:
        _child(agent, "readonly")
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

"""Judge what VMs need: KVM, QEMU, libvirt, accounts, the images. Pure."""

from __future__ import annotations

from typing import Final

from executor.host.facts import HostFacts
from executor.host.finding import SETUP, Finding, dotted

IMAGE_TOOLS: Final = {"mmdebstrap": "mmdebstrap", "sqfstar": "squashfs-tools", "mke2fs": "e2fsprogs"}
"""Program -> Debian package that brings it."""


def kvm(facts: HostFacts) -> Finding:
    """Hardware virtualisation, and who may use it."""
    device = facts.kvm
    without = "VMs run under tcg, software emulation: as real, some ten times slower"
    if not device.present:
        mend = "load kvm_intel or kvm_amd, or switch nested virtualisation on in the host of this VM"
        return Finding("kvm", "warn", "there is no /dev/kvm", mend, without)
    group = "sudo chgrp kvm /dev/kvm && sudo chmod 0660 /dev/kvm"
    if device.qemu_user_opens is False and facts.root:
        says = f"/dev/kvm (group {device.group}, mode {device.mode:04o}) is closed to QEMU's user and open to root"
        slow = "works, but libvirt forgets what it knows of QEMU at every call: 40 s per VM instead of 0.3 s"
        return Finding("kvm", "warn", says, f"{group} && sudo usermod -aG kvm libvirt-qemu", slow)
    if not device.opens:
        mend = f"sudo usermod -aG {device.group} {facts.user}, then log in again"
        return Finding("kvm", "warn", f"/dev/kvm cannot be opened by {facts.user}: {device.error}", mend, without)
    if not device.creates_vm:
        return Finding("kvm", "warn", f"/dev/kvm opens but makes no VM: {device.error}", "look at dmesg", without)
    return _guest(facts, without)


def _guest(facts: HostFacts, without: str) -> Finding:
    """What is known of guests under KVM, where making a VM works."""
    if facts.engine == "tcg":
        mend = "give this host hardware virtualisation that boots a stock kernel"
        return Finding("kvm", "warn", f"/dev/kvm makes VMs, but none boots: {facts.engine_reason}", mend, without)
    if facts.engine == "kvm":
        return Finding("kvm", "ok", "a probe guest has booted")
    return Finding(
        "kvm", "ok", "/dev/kvm makes VMs; whether a guest boots is tried by the first run with --engine auto"
    )


def qemu(facts: HostFacts) -> Finding:
    """QEMU and its image tool."""
    without = "policies, decisions, leases and audit work, and scenarios with --engine sim"
    if facts.qemu is None:
        return Finding("qemu", "fail", "qemu-system-x86_64 is not installed", SETUP, without)
    if "qemu-img" not in facts.programs:
        return Finding("qemu", "fail", f"{dotted(facts.qemu)}, but qemu-img is not installed", SETUP, without)
    return Finding("qemu", "ok", dotted(facts.qemu))


def libvirt(facts: HostFacts) -> Finding:
    """libvirt's library and its QEMU driver."""
    library = facts.libvirt
    without = "policies, decisions, leases and audit work, and scenarios with --engine sim"
    if not library.imports:
        mend = f"{SETUP}, then .tox/drills/bin/cordon doctor"
        return Finding("libvirt", "fail", f"this Python cannot import it: {library.error}", mend, without)
    if not library.opens:
        return Finding("libvirt", "fail", f"qemu:///embed does not open: {library.error}", SETUP, without)
    return Finding("libvirt", "ok", f"{library.version}, qemu:///embed opens")


def accounts(facts: HostFacts) -> Finding:
    """The accounts libvirt's QEMU driver insists on when it is root's."""
    missing = [kind for kind, there in (("user", facts.qemu_user), ("group", facts.qemu_group)) if not there]
    if not missing:
        return Finding("accounts", "ok", "user and group libvirt-qemu")
    says = f"{' and '.join(missing)} libvirt-qemu missing"
    if not facts.root:
        return Finding("accounts", "ok", f"{says}; not needed: QEMU runs as {facts.user}")
    return Finding(
        "accounts", "fail", f"{says}: libvirt's QEMU driver will not start", SETUP, "all that needs no VM works"
    )


def image(facts: HostFacts) -> Finding:
    """What the gold image is built with."""
    missing = sorted(package for tool, package in IMAGE_TOOLS.items() if tool not in facts.programs)
    if not missing:
        return Finding(
            "gold image", "ok", "is built" if facts.image_built else "will be built by the first run, some minutes"
        )
    says = f"its tools are missing: {' '.join(missing)}"
    mend = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
    if facts.image_built:
        return Finding("gold image", "warn", f"is built, but {says}", mend, "it can be used, not built anew")
    return Finding("gold image", "fail", says, mend, "all that needs no VM works")


def agent_disk(facts: HostFacts) -> Finding:
    """What the agent's ISO 9660 image is made with."""
    if "xorriso" in facts.programs:
        return Finding("agent disk", "ok", "xorriso")
    mend = "sudo apt-get install --no-install-recommends xorriso"
    return Finding("agent disk", "fail", "xorriso is not installed", mend, "all that needs no VM works")

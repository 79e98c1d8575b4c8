"""The golden machine: booted once until its agent waits for a host, then saved. Clones are restored from it.

It is kept beside the images, keyed by everything that decides it, so that only the first start on a host boots. Nothing
secret is in it: the agent has not been configured, and every clone gets its identity, time and entropy at acquire. Its
agent has made sandboxes ahead (`executor/guest/spare.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from executor.clock import Clock
from executor.domain.host import VmHost
from executor.domain.vm import Vm, VmSettings, machine_xml
from executor.errors import GuestLostError, HypervisorError, outside
from executor.network import Card
from executor.pool.save_image import TEXT_AT, card_bytes, places_of, renamed, text_length

BOOT_S: Final = 120.0
"""Seconds a golden machine may take: once a host, so patience costs nothing."""
POLL_S: Final = 0.05
IDLE_NS: Final = 10_000_000
"""CPU time between two polls below which the guest waits for us and does nothing else."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A saved machine on disk. `text` is its pristine header; the file's own is rewritten for every clone."""

    save: Path
    overlay: Path
    text: bytes
    name: str
    uuid: str
    run: str
    """Run directory of the process that booted it: stands in its XML."""
    boot_ns: int
    """How long the boot took, creation to waiting agent."""
    card: Card | None = None
    """Its network card: in its XML, and where `mac_at` says."""
    mac_at: tuple[int, ...] = ()
    """Places in the save file that hold the card's hardware address: QEMU takes it from there, not from the XML."""

    @contextlib.contextmanager
    def as_clone(self, name: str, uuid: str, run: str, card: Card | None = None) -> Iterator[Path]:
        """The save file under the clone's name, locked against every other process meanwhile."""
        names = {self.name: name, self.uuid: uuid, self.run: run}
        if self.card and card:
            names |= {self.card.tap: card.tap, self.card.mac: card.mac}
        text = renamed(self.text, names)
        with self.save.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(TEXT_AT)
            file.write(text)
            hardware = card_bytes(card) if card else b""
            for place in self.mac_at:
                file.seek(place)
                file.write(hardware)
            file.flush()
            yield self.save


def ensure_golden(host: VmHost, settings: VmSettings, clock: Clock, say: Callable[[str], None]) -> Golden:
    """The golden machine for `settings`: kept, or booted now. Raises `HypervisorError` or `GuestLostError`."""
    folder = host.artifacts.gold.parent
    base = folder / f"golden-{_key(host, settings)}"
    with (folder / ".golden.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError, ValueError, KeyError, HypervisorError):
            return _load(base)
        say(f"booting the golden machine ({settings.engine}); clones of it start in under a second")
        try:
            return _make(host, settings, base, clock)
        except OSError as error:
            raise outside(f"the golden machine cannot be kept as {base}", error) from None


def _key(host: VmHost, settings: VmSettings) -> str:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    facts = [
        host.artifacts.gold_digest,
        host.artifacts.agent_digest,
        repr(settings),
        machine_xml(settings),
        repr(sorted(host.hypervisor.versions().items())),
        cpu if settings.engine == "kvm" else "",
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]


def _paths(base: Path) -> tuple[Path, Path, Path]:
    return base.with_suffix(".save"), base.with_suffix(".qcow2"), base.with_suffix(".json")


def _load(base: Path) -> Golden:
    save, overlay, facts = _paths(base)
    known = json.loads(facts.read_text())
    if save.stat().st_size != known["save_bytes"] or not overlay.exists():
        raise ValueError("cut short")
    return Golden(
        save,
        overlay,
        bytes.fromhex(known["text"]),
        known["name"],
        known["uuid"],
        known["run"],
        known["boot_ns"],
        Card(known["card"]) if known["card"] else None,
        tuple(known["mac_at"]),
    )


def _make(host: VmHost, settings: VmSettings, base: Path, clock: Clock) -> Golden:
    save, overlay, facts = _paths(base)
    begun = clock.monotonic_ns()
    vm = host.create(replace(settings, spares=True))
    try:
        vm.run_unconnected()
        _wait_waiting(vm)
        boot_ns = clock.monotonic_ns() - begun
        vm.save(save)
        shutil.copyfile(vm.overlay, overlay)
        text = _read_text(save)
        known = {
            "save_bytes": save.stat().st_size,
            "text": text.hex(),
            "name": vm.name,
            "uuid": vm.uuid,
            "run": host.path.name,
            "boot_ns": boot_ns,
            "card": vm.card.number if vm.card else 0,
            "mac_at": places_of(save, card_bytes(vm.card), TEXT_AT + len(text)) if vm.card else [],
        }
        staging = facts.with_suffix(".new")
        staging.write_text(json.dumps(known))
        for path in (save, overlay, staging):
            path.chmod(0o600)
        staging.replace(facts)  # last: without it the other two do not count
    finally:
        vm.destroy()
    return _load(base)


def _read_text(save: Path) -> bytes:
    with save.open("rb") as file:
        length = text_length(file.read(TEXT_AT))
        text = file.read(length)
    if len(text) != length:
        raise HypervisorError("the saved machine is cut short")
    return text


def _wait_waiting(vm: Vm) -> None:
    """Until the agent has opened its port and the machine does nothing any more."""
    deadline = time.monotonic() + BOOT_S
    before = 0
    while time.monotonic() < deadline:
        time.sleep(POLL_S)  # libvirt tells of ports only where the agent is QEMU's own; bounded by the deadline
        opened, cpu_ns = vm.port_state()
        if opened and cpu_ns - before < IDLE_NS:
            return
        before = cpu_ns
    raise GuestLostError(f"the golden machine's agent did not come up within {BOOT_S:.0f} s")

"""Which engine runs the guests. `auto` believes nothing: it boots a probe guest under KVM, and only then uses it.

/dev/kvm can exist, open and create domains on hosts where a stock kernel never boots (nested paravirtual KVM), so the
probe waits for the agent's first words. The verdict is kept by boot id, QEMU version and image digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from executor.domain.host import VmHost
from executor.domain.vm import VmEngine, VmSettings
from executor.errors import GuestLostError, HypervisorError, InvalidInputError

PROBE_NS: Final = 15_000_000_000
"""A KVM guest says Ready within 3 s; one that has not after 15 s never does."""


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """The engine to use and why."""

    engine: VmEngine
    reason: str
    probed: bool
    """False: answered from the cache, or no probe was needed."""


def choose_engine(
    wanted: Literal["auto", "kvm", "tcg"], host: VmHost, cache: Path, say: Callable[[str], None]
) -> EngineVerdict:
    """Settle `wanted`. `auto` falls back to tcg and says so; `kvm` is taken at its word.

    Raises `InvalidInputError` for an engine nobody knows.
    """
    if wanted in {"kvm", "tcg"}:
        return EngineVerdict("kvm" if wanted == "kvm" else "tcg", "asked for", probed=False)
    if wanted != "auto":
        raise InvalidInputError(f"engine {wanted!r} is none of auto, kvm, tcg, sim")
    verdict = _cached(path := _cache_file(host, cache))
    if verdict is None:
        verdict = _probe(host, say)
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_name(f"{path.name}.{os.getpid()}")
        staging.write_text(json.dumps({"engine": verdict.engine, "reason": verdict.reason}))
        staging.replace(path)
    if verdict.engine == "tcg":
        say(f"ENGINE tcg (software emulation), NOT kvm: {verdict.reason}. The VMs are real and slow.")
    return verdict


def _cache_file(host: VmHost, cache: Path) -> Path:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    facts = [boot_id, host.hypervisor.versions()["qemu"], host.artifacts.gold_digest, host.artifacts.agent_digest]
    access = str(os.access("/dev/kvm", os.R_OK | os.W_OK))
    return cache / "engine" / f"{hashlib.sha256(' '.join([*facts, access]).encode()).hexdigest()[:32]}.json"


def _cached(path: Path) -> EngineVerdict | None:
    try:
        kept = json.loads(path.read_text())
        engine: VmEngine = "kvm" if kept["engine"] == "kvm" else "tcg"
        return EngineVerdict(engine, str(kept["reason"]), probed=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _probe(host: VmHost, say: Callable[[str], None]) -> EngineVerdict:
    if not Path("/dev/kvm").exists():
        return EngineVerdict("tcg", "this host has no /dev/kvm", probed=True)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return EngineVerdict("tcg", "/dev/kvm may not be opened by this user: join the group kvm", probed=True)
    say(f"probing KVM: booting a guest, at most {PROBE_NS // 1_000_000_000} s (kept until the next reboot)")
    try:
        vm = host.create(VmSettings("kvm"))
    except HypervisorError as error:
        return EngineVerdict("tcg", f"libvirt cannot create a KVM domain: {error}", probed=True)
    try:
        vm.start(boot_ns=PROBE_NS)
    except (GuestLostError, HypervisorError) as error:
        return EngineVerdict(
            "tcg",
            f"/dev/kvm opens and creates domains, but a guest does not boot: {error}".partition(";")[0],
            probed=True,
        )
    finally:
        vm.destroy()
    return EngineVerdict("kvm", "a probe guest booted", probed=True)

"""The machines of a real engine: image and agent disk, the host they run on, the engine it has, the pool."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal

from executor.clock import Clock
from executor.domain import VmHost, choose_engine
from executor.domain.engine import EngineVerdict
from executor.image import ensure_agent_disk, ensure_gold_image
from executor.network import NetworkConfig
from executor.paths import cache_dir, runtime_dir
from executor.pool.plan import PoolPlan
from executor.pool.warm import WarmProvider
from executor.svf import SvfLog


def open_machines(
    engine: Literal["auto", "kvm", "tcg"],
    clock: Clock,
    progress: Callable[[str], None],
    resources: ExitStack,
    network: NetworkConfig | None,
    plan: PoolPlan,
    log: SvfLog,
) -> tuple[VmHost, WarmProvider, dict[str, Any]]:
    """The host, its provider of machines, and versions and digests for reports; all of it closed by `resources`.

    Raises `OutsideError` naming what is missing.
    """
    gold = ensure_gold_image(progress)
    agent = ensure_agent_disk()
    host = VmHost(gold, agent, runtime=runtime_dir(), cache=cache_dir(), clock=clock, network=network)
    resources.callback(host.close)
    for reaped in filter(lambda reaped: reaped.processes or reaped.overlays, host.reaped):
        progress(f"reaped what a killed executor left: {len(reaped.processes)} VMs, {reaped.overlays} overlays")
    verdict: EngineVerdict = choose_engine(engine, host, cache_dir(), progress)
    facts = {
        "engine": verdict.engine,
        "engine_reason": verdict.reason,
        "versions": host.hypervisor.versions(),
        "digests": {"image": gold.digest, "agent": agent.digest},
    }
    console = os.environ.get("CORDON_DEBUG_CONSOLE") == "1"
    provider = WarmProvider(host, verdict.engine, clock, plan=plan, recorder=log, debug_console=console, say=progress)
    resources.callback(provider.close)
    for profile in plan.warm:
        provider.warm_up(profile)
    facts["figures"] = {"cold_boot_ns": provider.cold_boot_ns}
    return host, provider, facts

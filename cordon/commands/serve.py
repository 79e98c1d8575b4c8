"""`cordon serve`: the executor as a service, until it is told to end."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from executor.bridge.config import Config, load
from executor.bridge.service import Service
from executor.clock import SystemClock
from executor.control.notify import notify, watchdog_s
from executor.machine import Profile
from executor.metrics.log import make_log
from executor.paths import private_dir, state_dir
from executor.pool import PoolPlan
from executor.service import open_executor

HELP: Final = "run the executor as a service: bridge, queue, control socket, metrics"
PROFILES: Final = {
    "standard": Profile(),
    "large_mem": Profile(large_memory=True),
    "egress": Profile(egress=True),
}
CONFIG: Final = Path("/etc/cordon/cordon.toml")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"TOML; default {CONFIG}")
    parser.add_argument("--check", action="store_true", help="read the configuration, say whether it is good, and end")
    parser.epilog = (
        "examples:\n  cordon serve --config /etc/cordon/cordon.toml --check\n"
        "  cordon serve --config deploy/cordon.toml\n\n"
        "SIGTERM ends it in order: no new tasks, what waits is worked off for executor.drain_s seconds, what runs is\n"
        "waited for. A second signal ends it at once; the next start closes what was open."
    )


def run(args: argparse.Namespace) -> int:
    """Serve."""
    config = load(args.config)
    if args.check:
        sys.stdout.write(f"{args.config}: good; {len(config.clients)} clients, {len(config.operators)} operators\n")
        return 0
    ending = threading.Event()

    def end(_number: int, _frame: object) -> None:
        if ending.is_set():
            raise KeyboardInterrupt
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    _serve(config, ending)
    return 0


def pool_plan(config: Config) -> PoolPlan:
    """The pools as configured: where no size is said, every worker finds a machine waiting."""
    return PoolPlan(
        size=config.pool_size or config.workers,
        reuse=config.reuse,
        max_uses=config.max_uses,
        max_age_s=config.max_age_s,
        warm=tuple(PROFILES[name] for name in config.warm),
    )


def _serve(config: Config, ending: threading.Event) -> None:
    log = make_log(config.log_format, config.log_level)
    state = private_dir(config.state or state_dir())
    notify("STATUS=opening the executor")
    executor = open_executor(
        config.engine,
        state=state,
        policies=config.policies,
        drill=config.drill,
        pool=pool_plan(config),
        network=config.network,
        progress=lambda step: log.info("opening", step=step),
    )
    try:
        service = Service(config, executor, state=state, clock=SystemClock(), log=log)
        try:
            log.info(
                "serving",
                engine=executor.engine,
                endpoint=service.bridge.endpoint,
                control=service.control.endpoint,
                metrics=service.metrics.port if service.metrics else 0,
                mode=service.intake.mode,
            )
            notify(f"READY=1\nSTATUS=serving, {service.intake.mode}")
            _watch(service, ending)
            notify("STOPPING=1\nSTATUS=draining")
            turned = service.drain(config.drain_s)
            log.info("drained", drained=turned)
        finally:
            service.close()
    finally:
        executor.close()
    log.info("ended")


def _watch(service: Service, ending: threading.Event) -> None:
    """Until told to end, tell systemd that every thread is well; say nothing when one is not, and be restarted."""
    every = watchdog_s() / 3 or 10.0
    while not ending.wait(every):
        found = service.intake.statistics()
        if service.healthy():
            notify(f"WATCHDOG=1\nSTATUS={found['mode']}, {found['queued']} waiting, {found['running']} running")

"""`cordon serve`: the executor as a service, until it is told to end."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from pathlib import Path
from typing import Final

import structlog

from executor.bridge.config import Config
from executor.bridge.config_check import check_files, check_ports
from executor.bridge.config_file import load
from executor.bridge.service import Service
from executor.clock import SystemClock
from executor.control.notify import notify, watchdog_s
from executor.errors import InvalidInputError, OutsideError
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
        "waited for. A second signal ends it at once; the next start closes what was open.\n"
        "SIGHUP reads the file again: who may submit and who may order changes at once; a bad file changes nothing."
    )


def run(args: argparse.Namespace) -> int:
    """Serve."""
    config = load(args.config)
    if args.check:
        sys.stdout.write(f"{args.config}: good; {len(config.clients)} clients, {len(config.operators)} operators\n")
        _note_files(config)
        return 0
    check_ports(config)
    check_files(config)  # before machines are booted for a service that cannot start
    orders = Orders()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, orders.end)
    signal.signal(signal.SIGHUP, orders.reload)
    _serve(config, args.config, orders)
    return 0


def _note_files(config: Config) -> None:
    """Say which file a good configuration names that is not there (yet): without it the service will not start."""
    try:
        check_files(config)
    except (InvalidInputError, OutsideError) as error:
        sys.stderr.write(f"cordon: note: it will not start here: {error}\n")


class Orders:
    """What signals ask for. A handler runs on the very thread that waits, so that nothing here may take a lock."""

    def __init__(self) -> None:
        """Nothing is asked for."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.ending = False
        self._reload = False

    def end(self, _number: int, _frame: object) -> None:
        """SIGTERM, SIGINT: in order; the second time at once."""
        if self.ending:
            raise KeyboardInterrupt
        self.ending = True
        os.eventfd_write(self._wake, 1)

    def reload(self, _number: int, _frame: object) -> None:
        """SIGHUP."""
        self._reload = True
        os.eventfd_write(self._wake, 1)

    def wait(self, seconds: float) -> bool:
        """Wait for an order, at most `seconds`; whether the configuration is to be read again."""
        if select.select([self._wake], [], [], seconds)[0]:
            os.eventfd_read(self._wake)
        wanted, self._reload = self._reload, False
        return wanted


def pool_plan(config: Config) -> PoolPlan:
    """The pools as configured: where no size is said, every worker finds a machine waiting."""
    return PoolPlan(
        size=config.pool_size or config.workers,
        reuse=config.reuse,
        max_uses=config.max_uses,
        max_age_s=config.max_age_s,
        warm=tuple(PROFILES[name] for name in config.warm),
    )


def _serve(config: Config, path: Path, orders: Orders) -> None:
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
            _watch(service, path, orders, log)
            notify("STOPPING=1\nSTATUS=draining")
            turned = service.drain(config.drain_s)
            log.info("drained", drained=turned)
        finally:
            service.close()
    finally:
        executor.close()
    log.info("ended")


def _watch(service: Service, path: Path, orders: Orders, log: structlog.typing.FilteringBoundLogger) -> None:
    """Until told to end, tell systemd that every thread is well; say nothing when one is not, and be restarted."""
    every = watchdog_s() / 3 or 10.0
    while not orders.ending:
        if orders.wait(every):
            reload(service, path, log)
        found = service.intake.statistics()
        if service.healthy():
            notify(f"WATCHDOG=1\nSTATUS={found['mode']}, {found['queued']} waiting, {found['running']} running")


def reload(service: Service, path: Path, log: structlog.typing.FilteringBoundLogger) -> bool:
    """Take over what may change while the service runs; a bad file changes nothing. Whether it was good."""
    try:
        config = load(path)
        check_files(config)
    except (InvalidInputError, OutsideError) as error:
        log.error("reload refused, the old configuration stays", error=str(error))  # noqa: TRY400 - the words, no trace
        return False
    late = service.reload(config)
    log.info("reloaded", clients=len(config.clients), operators=len(config.operators), needs_restart=list(late))
    return True

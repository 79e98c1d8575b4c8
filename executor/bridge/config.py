"""The service's configuration as a frozen value; `deploy/cordon.toml` is the commented default of the file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal

from executor.intent import Priority
from executor.network.plane import NetworkConfig
from executor.pool.plan import MAX_AGE_S, MAX_USES
from executor.queue.queue import CAPACITY, SHARE

POLICIES: Final = Path("/usr/share/cordon/policies")
WORKERS: Final = 2
"""Tasks that run at once; each has a VM of its own."""
KEEP_RESULTS: Final = 256
KEEP_RESULTS_MIB: Final = 64
DRAIN_S: Final = 30

LIVE: Final = frozenset({"clients", "operators", "share"})
"""Fields of `Config` that a reload changes."""

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]
EngineWanted = Literal["auto", "kvm", "tcg"]
WarmProfile = Literal["standard", "large_mem", "egress"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client that may submit; its key is its identity."""

    name: str
    """The requester it submits as: nobody else."""
    key: bytes = field(repr=False)
    approvals: tuple[str, ...] = ("cp14",)
    """Reviewers it may ask to sign off; the executor signs with the keys it keeps, so `human` is rarely right here."""
    top_priority: Priority = Priority.HIGH
    """The most urgent priority it may ask for."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who may stop everything; going on takes a registered person's signature besides."""

    name: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; defaults are those of deploy/cordon.toml."""

    bridge_listen: str
    bridge_key: Path
    control_listen: str
    control_key: Path
    clients: tuple[Client, ...] = ()
    operators: tuple[Operator, ...] = ()
    engine: EngineWanted = "auto"
    policies: Path = POLICIES
    state: Path | None = None
    """None: `$CORDON_STATE` or its default."""
    workers: int = WORKERS
    pool_size: int = 0
    """Machines kept waiting for each hardware profile; 0: as many as there are workers."""
    reuse: bool = False
    """Whether a machine is reset and used again; one task a machine where not."""
    max_uses: int = MAX_USES
    max_age_s: int = MAX_AGE_S
    warm: tuple[WarmProfile, ...] = ("standard",)
    """Profiles whose machines are made at the start; the others when first asked for."""
    drill: bool = False
    capacity: int = CAPACITY
    share: int = SHARE
    """Percent of the queue that one requester may take, where there are several."""
    keep_results: int = KEEP_RESULTS
    """Results kept for clients that lost their connection; at most `keep_results_mib` of them."""
    keep_results_mib: int = KEEP_RESULTS_MIB
    metrics_listen: tuple[str, int] | None = ("127.0.0.1", 9464)
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Where machines with net:egress may get out; by default nowhere."""
    drain_s: int = DRAIN_S
    """Seconds the queue is worked off after SIGTERM; what waits then is turned away."""

    @property
    def door_share(self) -> int:
        """The share that counts: whoever submits alone may fill the queue."""
        return self.share if len({client.name for client in self.clients}) > 1 else 100

    def needs_restart(self, new: Config) -> tuple[str, ...]:
        """Fields that `new` has otherwise and that take a restart; the rest may change while the service runs."""
        names = (one.name for one in fields(self))
        return tuple(name for name in names if name not in LIVE and getattr(self, name) != getattr(new, name))

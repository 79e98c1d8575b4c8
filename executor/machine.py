"""What the path needs of a machine: the part that differs between a real VM and the simulated one.

`executor/domain` and `executor/channel` provide it for kvm and tcg. One contract suite runs on every implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from executor.api import Engine
from executor.channel.channel_pb2 import Finished, Output, Sample, Started
from executor.channel.session import Denial
from executor.fate import Fate
from executor.intent import Command, FileIn, Limits
from executor.network.plan import Endpoint
from executor.outcome import CollectedFile
from executor.quota import HostUsage, VmBounds


@dataclass(frozen=True, slots=True)
class Profile:
    """What the hard capabilities of a decision ask of the machine."""

    large_memory: bool = False
    high_cpu: bool = False
    egress: bool = False
    reach: tuple[Endpoint, ...] = ()
    """Where `egress` leads: exactly these, named by the decision."""


@dataclass(frozen=True, slots=True)
class Boot:
    """How a machine came to be: for `vm_event.READY` and the figures."""

    boot_ns: int
    """From the start of its creation until it stood ready, where it was made for this task; 0 from a pool."""
    kernel: str
    agent_digest: str
    reseed_ns: int = 0
    """What fresh entropy, clock and identity took, after it was let run and before anything else."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop found: VMs that libvirt suspended, and those whose QEMU process was stopped instead."""

    suspended: tuple[str, ...]
    by_force: tuple[str, ...]
    missed: tuple[str, ...]
    """Neither worked: they are gone, or nobody knows their process."""


class Session(Protocol):
    """The agent's side of a machine; see `executor/channel/session.py` for the errors each raises."""

    def prepare(
        self,
        lease_id: str,
        *,
        capabilities: Iterable[str],
        paths_write: Iterable[str],
        env_allowlist: Iterable[str],
        commands: Iterable[tuple[str, ...]],
        limits: Limits,
        artefacts: Iterable[tuple[str, str]] = (),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Denial | None:
        """Build the sandbox of a lease, or say why not; `meanwhile` is done while the guest is at it."""

    def put_file(self, file: FileIn) -> Denial | None:
        """Store a file in the workspace."""

    def start(
        self, task_id: str, command: Command, env: Mapping[str, str], *, compromised: bool = False
    ) -> Started | Denial:
        """Start one command, or say why not."""

    def follow(
        self, task_id: str, deadline_ns: int, *, poll: Callable[[], int] | None = None
    ) -> Iterator[Output | Sample | Finished]:
        """What the running command says, ending with `Finished`."""

    def kill(self, task_id: str, reason: str) -> None:
        """Order the running command's end."""

    def collect(self, paths: Iterable[str]) -> tuple[CollectedFile, ...]:
        """Hand files back."""

    def statistics(self) -> dict[str, int]:
        """The channel's counters."""


class Machine(Protocol):
    """One machine, acquired: fresh entropy, clock and identity are in place."""

    @property
    def name(self) -> str:
        """Its id in events."""

    @property
    def boot(self) -> Boot:
        """How it came to be."""

    @property
    def session(self) -> Session:
        """The conversation with its agent."""

    @property
    def alive(self) -> bool:
        """False once `destroy` was called."""

    @property
    def bounds(self) -> VmBounds:
        """What it may cost the host, whatever runs in it."""

    @property
    def uses(self) -> int:
        """Tasks it was given to so far, this one included."""

    def overlay_bytes(self) -> int:
        """Bytes it takes on the host's disk."""

    def usage(self) -> HostUsage:
        """What it costs the host now; zeros where that cannot be known."""

    def fate(self, seconds: float) -> Fate | None:
        """Why it is lost, as soon as that is certain; None after `seconds`, and while it is well."""

    def network(self) -> dict[str, Any]:
        """What is worth recording of its network card's use: filled once it is destroyed, empty without a card."""

    def reset(self) -> bool:
        """Wipe it for another task; whether it is as good as new. False where machines are used once."""

    def recycled(self, record: Callable[[], None]) -> bool:
        """Put it back after `reset`, calling `record` before anybody can have it; False: it has to be destroyed."""

    def destroy(self, *, keep_overlay: bool = False) -> None:
        """End it and remove what it left; idempotent. `keep_overlay`: the drill `overlay_cleanup`."""


class MachineProvider(Protocol):
    """Where machines come from: cold boots, a pool, or the simulator."""

    @property
    def engine(self) -> Engine:
        """What runs the guests."""

    def acquire(self, profile: Profile, weaken: frozenset[str]) -> Machine:
        """A machine for one task. Raises `OutsideError`, leaving nothing."""

    def statistics(self) -> dict[str, Any]:
        """Counters and gauges; `alive` and `idle` are numbers."""

    def close(self) -> None:
        """Destroy every machine; idempotent."""

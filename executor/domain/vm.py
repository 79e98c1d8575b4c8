"""One sandbox VM from overlay to ashes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from executor.channel.channel_pb2 import Ready
from executor.channel.host import GuestChannel
from executor.channel.session import GuestSession
from executor.clock import Clock
from executor.domain.artifacts import Artifacts
from executor.domain.groups import GroupBounds, Groups
from executor.domain.hypervisor import Hypervisor
from executor.domain.limits import limit
from executor.domain.usage import usage_of
from executor.domain.xml import DomainSpec, domain_xml
from executor.errors import GuestLostError
from executor.fate import Fate, Sign, fate_of
from executor.guest.spare import WORD as SPARES
from executor.image.gold import TCG_CMDLINE
from executor.network import Card, Endpoint, Network
from executor.quota import HostUsage, VmBounds
from executor.weaken import GUEST_CONTROLS

if TYPE_CHECKING:
    import libvirt  # the module beside this one decides when it is loaded: it reads its environment then

VmEngine = Literal["kvm", "tcg"]

BOOT_NS: Final = 60_000_000_000
"""A boot that takes longer is lost: 4-6 s is usual under tcg, ten times that on a crowded host."""
CONNECT_NS: Final = 5_000_000_000
MEMORY_MB: Final = 512
"""DESIGN 5.2: without `res:large_mem`."""
LARGE_MEMORY_MB: Final = 4096
"""DESIGN 5.2: with `res:large_mem`."""


OVERHEAD_MB: Final[dict[VmEngine, int]] = {"kvm": 256, "tcg": 1280}
"""Resident memory of QEMU beyond the guest's: its own, and under tcg translated code (QEMU's default: 1 GiB)."""
GROUP_SLACK_MB: Final = 512
"""A group counts more than what is resident: pages that wait for the disk, and on a tmpfs the overlay itself."""
QEMU_FDS: Final = 256
"""An idle clone has some 40 open."""
QEMU_THREADS: Final = 72
"""One for the CPU, a few of its own, and a pool of at most 64 for the disks."""


@dataclass(frozen=True, slots=True)
class VmSettings:
    """What the hard capabilities decide about a VM before it runs."""

    engine: VmEngine
    memory_mb: int = MEMORY_MB
    card: bool = False
    """A network card, which leads nowhere until `Vm.admit`."""
    debug_console: bool = False
    spares: bool = False
    """Its agent makes sandboxes ahead: for a machine that clones are made of."""
    surplus: bool = False
    """For drills: with devices that nobody granted, and an agent disk of its own that may be written."""
    exposed: bool = False
    """For drills: QEMU runs as root, with root's capabilities and without limits of its own."""


def machine_xml(settings: VmSettings) -> str:
    """The machine that `settings` ask for, whatever its name and files: a saved one of another kind is not restored."""
    nowhere = Path("/")
    names = {"name": "", "uuid": "", "cmdline": "", "console": None, "qemu_user": ""}
    files = dict.fromkeys(("overlay", "gold", "agent_disk", "kernel", "initrd", "channel"), nowhere)
    spec = DomainSpec(engine=settings.engine, memory_mb=settings.memory_mb, **names, **files)  # type: ignore[arg-type] # each fits its field
    return domain_xml(spec)


class Source(Protocol):
    """A saved machine to be born from, instead of booting; see `executor.pool.golden.Golden`."""

    @property
    def overlay(self) -> Path:
        """The overlay that belongs to the saved memory."""

    def as_clone(self, name: str, uuid: str, run: str, card: Card | None) -> AbstractContextManager[Path]:
        """The save file under this name and with this network card, for the time of the restore."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the machines of one executor stand on."""

    run: Path
    """Run directory: a folder below it for each machine."""
    owner: tuple[int, int] | None
    """uid and gid QEMU runs as; None: as this very user."""
    network: Network
    groups: Groups


class Vm:
    """A transient domain with its overlay and channel. `destroy` may be called from any thread, any number of times."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        artifacts: Artifacts,
        ground: Ground,
        clock: Clock,
        settings: VmSettings,
        on_destroyed: Callable[[Vm], None],
        source: Source | None = None,
    ) -> None:
        """Define the domain paused, restored from `source` where there is one.

        QEMU lives in the network's void, where there is none. Raises `HypervisorError`, `NetworkError`; nothing is left
        then.
        """
        self.name = f"vm-{secrets.token_hex(4)}"
        self.settings = settings
        self.ready: Ready | None = None
        self.running = False
        """Whether it was let run; it may be suspended since."""
        self.uses = 0
        """Tasks it was given to."""
        self.born_ns: Final = clock.monotonic_ns()
        self._hypervisor = hypervisor
        self._clock = clock
        self._on_destroyed = on_destroyed
        self._folder = ground.run / self.name
        self._owner = None if settings.exposed else ground.owner
        self._lock = threading.Lock()
        self._destroyed = False
        self._session: GuestSession | None = None
        self._domain: libvirt.virDomain | None = None
        self._network = ground.network
        self._groups = ground.groups
        self.card: Card | None = None
        """Its network card, where it has one."""
        self.network_use: dict[str, Any] = {}
        """What is worth recording of the card's use, once it is gone."""
        try:
            if settings.card:
                self.card = self._network.issue()
            self._spec = self._lay_out(
                artifacts, ground.owner, source.overlay if source else artifacts.overlay_template
            )
            hypervisor.signs.watch(self.name)
            self._domain = self._network.in_void(lambda: self._begin(source, ground.run))
            if self.card:
                self._network.plug(self.card)
            if not settings.exposed:
                self.limit()
        except BaseException:
            self.destroy()
            raise

    def _begin(self, source: Source | None, run: Path) -> libvirt.virDomain:
        """Have QEMU started, by booting or from `source`."""
        if source is None:
            return self._hypervisor.create_paused(domain_xml(self._spec))
        with source.as_clone(self.name, self._spec.uuid, run.name, self.card) as save:
            return self._hypervisor.restore_paused(save, self.name)

    def admit(self, endpoints: Iterable[Endpoint], weaken: frozenset[str]) -> None:
        """Let the card lead to `endpoints`, before the machine runs; one without a card has nothing to be let.

        Raises `NetworkError` or `UnknownHostError`; the card then still leads nowhere.
        """
        if self.card:
            self._network.admit(self.card, endpoints, weaken)

    def _lay_out(self, artifacts: Artifacts, owner: tuple[int, int] | None, template: Path) -> DomainSpec:
        self._folder.mkdir(mode=0o711)
        overlay = self._folder / "overlay.qcow2"
        shutil.copyfile(template, overlay)
        overlay.chmod(0o600)
        agent_disk = artifacts.agent_disk
        if self.settings.surplus:
            agent_disk = self._folder / "agent.iso"
            shutil.copyfile(artifacts.agent_disk, agent_disk)
            agent_disk.chmod(0o600)
        console = self._folder / "console.log" if self.settings.debug_console else None
        if console:
            console.touch(0o600)
        if owner:
            copies = (agent_disk,) if self.settings.surplus else ()
            for path in filter(None, (overlay, console, *copies)):
                os.chown(path, *owner)
        return DomainSpec(
            name=self.name,
            uuid=str(uuid.uuid4()),
            engine=self.settings.engine,
            memory_mb=self.settings.memory_mb,
            overlay=overlay,
            gold=artifacts.gold,
            agent_disk=agent_disk,
            kernel=artifacts.kernel,
            initrd=artifacts.initrd,
            cmdline=" ".join(_cmdline(artifacts, self.settings)),
            channel=self._folder / "agent.sock",
            console=console,
            qemu_user=f"+{owner[0]}:+{owner[1]}" if owner else "",
            surplus=self.settings.surplus,
            exposed=self.settings.exposed,
            tap=self.card.tap if self.card else "",
            mac=self.card.mac if self.card else "",
        )

    def start(self, *, boot_ns: int = BOOT_NS) -> None:
        """Let the VM run and wait for its agent. Raises `GuestLostError`, with the console's end if there is one."""
        self.resume()
        self.wait_ready(boot_ns=boot_ns)

    def wait_ready(self, *, boot_ns: int = BOOT_NS) -> None:
        """Wait for the agent's first words, at most `boot_ns`. Raises `GuestLostError` as `start`."""
        try:
            self.ready = self.session.wait_ready(self._clock.monotonic_ns() + boot_ns)
        except GuestLostError as error:
            raise GuestLostError(
                f"{self.name} ({self.settings.engine}) did not boot: {error}{self._last_words()}"
            ) from None

    def connect(self) -> None:
        """Connect the channel; done ahead for a VM that waits, so that `resume` need not. Raises `GuestLostError`."""
        if self._session is None:
            deadline = self._clock.monotonic_ns() + CONNECT_NS
            channel = GuestChannel.connect(self._spec.channel, self._clock, deadline_ns=deadline)
            self._session = GuestSession(channel, self._clock)

    def resume(self) -> None:
        """Let the VM run, its channel connected: from here on it can be talked to."""
        self.connect()
        self._run()

    def sickness(self) -> str:
        """Why this waiting VM cannot be given to a task; empty when it can. Costs microseconds, moves nothing."""
        if self._session is not None and self._session.hung_up():
            return "its channel is closed"
        return self._hypervisor.sickness(self._live())

    def reset(self) -> None:
        """Have the agent wipe everything of the last task and prove it, then stop the VM.

        Raises `GuestLostError` when something is left, or as `suspend`.
        """
        self.session.reset()
        self.suspend()
        self.running = False

    def rouse(self, *, boot_ns: int = BOOT_NS) -> None:
        """Let a clone run until its agent has spoken, then stop it: one that is dead is found before a task has it.

        A first resume reads back what the next ones have at hand, and takes three times as long. Raises as `wait_ready`
        and `suspend`.
        """
        self.start(boot_ns=boot_ns)
        self.suspend()
        self.running = False

    def run_unconnected(self) -> None:
        """Let the VM run without a host on its channel: its agent waits there, and can be saved."""
        self._run()

    def _run(self) -> None:
        self.running = True  # before it does: whoever stops everything must not miss one that is about to
        try:
            self._hypervisor.resume(self._live())
        except BaseException:
            self.running = False
            raise

    def port_state(self) -> tuple[bool, int]:
        """Whether the agent has opened its port, and the CPU time the VM has used, in nanoseconds."""
        xml, cpu_ns = self._hypervisor.look(self._live())
        states = [node.get("state") for node in ET.fromstring(xml).iterfind("devices/channel/target")]  # noqa: S314 - libvirt's own
        return states == ["connected"], cpu_ns

    def device_tree(self) -> str:
        """QEMU's own list of its devices."""
        return self._hypervisor.device_tree(self._live())

    def limit(self) -> None:
        """Bound what QEMU may take of the host; `confinement.yaml` has the figures."""
        if pid := self.pid:
            limit(pid, self.settings.memory_mb, self._owner)
            self._groups.hold(pid, self.name, self.group_bounds)

    @property
    def group_bounds(self) -> GroupBounds:
        """What its QEMU's control group lets it use, where there is one."""
        return GroupBounds(self.bounds.memory_mb + GROUP_SLACK_MB)

    @property
    def groups(self) -> Groups:
        """The control groups of this executor's machines."""
        return self._groups

    @property
    def spec(self) -> DomainSpec:
        """What the machine was made from."""
        return self._spec

    def save(self, path: Path) -> None:
        """Write the VM's memory and devices to `path`; the VM is gone afterwards."""
        self._hypervisor.save(self._live(), path)

    def suspend(self) -> None:
        """Stop the VM where it is. Raises `HypervisorError` or, when it is destroyed, `GuestLostError`."""
        self._hypervisor.suspend(self._live())

    def unsuspend(self) -> None:
        """Let a suspended VM go on. Raises as `suspend`."""
        self._hypervisor.resume(self._live())

    @property
    def uuid(self) -> str:
        """The domain's uuid."""
        return self._spec.uuid

    @property
    def overlay(self) -> Path:
        """The VM's disk."""
        return self._spec.overlay

    def _live(self) -> libvirt.virDomain:
        if self._domain is None or self._destroyed:
            raise GuestLostError(f"{self.name} is destroyed")
        return self._domain

    def acquire(self, weaken: Iterable[str] = ()) -> Ready:
        """Give the VM its identity, fresh entropy and the time; only the guest's own controls reach it."""
        names = frozenset(weaken)
        self.ready = self.session.configure(self.name, weaken=sorted(names & GUEST_CONTROLS.keys()))
        self.session.weaken(names)
        self.uses += 1
        return self.ready

    @property
    def session(self) -> GuestSession:
        """The conversation with the agent; raises `GuestLostError` before `start` and after `destroy`."""
        if self._session is None:
            raise GuestLostError(f"{self.name} has no agent")
        return self._session

    @property
    def pid(self) -> int | None:
        """QEMU's process id, where this process runs it."""
        return self._hypervisor.pid(self.name)

    @property
    def alive(self) -> bool:
        """False once `destroy` was called."""
        return not self._destroyed

    @property
    def bounds(self) -> VmBounds:
        """What its QEMU may use of the host, whatever the guest does."""
        overhead = OVERHEAD_MB[self.settings.engine]
        return VmBounds(memory_mb=self.settings.memory_mb + overhead, fds=QEMU_FDS, threads=QEMU_THREADS)

    def usage(self) -> HostUsage:
        """What QEMU and the overlay use now."""
        return usage_of(self.pid, self.overlay_bytes())

    def overlay_bytes(self) -> int:
        """Bytes the overlay takes on the host's disk."""
        try:
            return self._spec.overlay.stat().st_blocks * 512
        except FileNotFoundError:
            return 0

    def fate(self, seconds: float) -> Fate | None:
        """Why the machine is lost, as soon as that is certain; None after `seconds`, and of one that is well."""

        def judge(said: tuple[Sign, ...]) -> Fate | None:
            last_words = self._hypervisor.last_words(self.name) if "ended" in said else b""
            return fate_of(said, memory_kills=self._groups.memory_kills(self.name), last_words=last_words)

        return self._hypervisor.signs.wait(self.name, judge, seconds)

    def destroy(self, *, keep_overlay: bool = False) -> None:
        """End the domain, remove its overlay and sockets. Raises `HypervisorError` when it cannot be ended.

        `keep_overlay` leaves its folder until the executor closes: the drill that proves a left one would be noticed.
        """
        with self._lock:
            if self._destroyed:
                return
            if self._session is not None:
                self._session.close()
            if self._domain is not None:
                self._hypervisor.destroy(self._domain)
            if self.card:
                self.network_use = self._network.release(self.card) or self.network_use
            self._groups.remove(self.name)
            if not keep_overlay:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._destroyed = True
        self._hypervisor.signs.forget(self.name)
        self._on_destroyed(self)

    def _last_words(self) -> str:
        console = self._spec.console
        if console is None:
            return "; run again with CORDON_DEBUG_CONSOLE=1 to see its console"
        with contextlib.suppress(OSError):
            tail = console.read_bytes()[-600:].decode(errors="replace")
            return f"; its console ends with: {tail!r}"
        return ""


def _cmdline(artifacts: Artifacts, settings: VmSettings) -> list[str]:
    parts = [artifacts.cmdline]
    if settings.engine == "tcg":
        parts.append(TCG_CMDLINE)
    if settings.spares:
        parts.append(SPARES)
    if settings.debug_console:
        parts.append("console=ttyS0 loglevel=7")
    return parts

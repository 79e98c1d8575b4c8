"""Machines of the engine `sim`: what `executor/pool` is to QEMU. Seeded, in virtual time, with one helper process."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any, Final

from executor.api import Engine
from executor.channel.channel_pb2 import Finished, Output, Sample, Started
from executor.channel.host import ChannelTimeoutError
from executor.channel.session import Denial
from executor.fate import AGENT_CRASHED, Fate
from executor.guest.errors import DeniedError
from executor.intent import Command, FileIn, Limits
from executor.machine import Boot, Profile, Stopped
from executor.network.plan import reach_of
from executor.network.plane import OPEN_CARD
from executor.outcome import CollectedFile
from executor.pool.ledger import Ledger
from executor.quota import HostUsage, VmBounds
from executor.sim.agent.guest import Guest
from executor.sim.agent.preparation import Lease
from executor.sim.agent.sources import GUEST
from executor.sim.clock import SimClock
from executor.sim.files import rootfs
from executor.sim.files.world import RELEASE
from executor.sim.kernel.ends import UnmodelledError
from executor.sim.network.segment import Beyond, Segment
from executor.sim.puppeteer import SHARED
from executor.trail import Recorder
from executor.weaken import GUEST_CONTROLS

ANSWER_NS: Final = 5_000_000
"""Virtual time of an order and its answer over the channel."""
PROGRAMS: Final = frozenset({"dash", "bash", "sh", "python3.11", "python3"})


class SimSession:
    """The agent's side of a simulated machine."""

    def __init__(self, guest: Guest) -> None:
        """Speak to `guest`."""
        self._guest = guest
        self._counts = {"sent": 0, "received": 0}

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
        """See `executor.machine.Session`."""
        meanwhile()
        lease = Lease(capabilities, paths_write, env_allowlist, commands, limits, artefacts)
        return self._ask(lambda: self._guest.prepare(lease))

    def put_file(self, file: FileIn) -> Denial | None:
        """See `executor.machine.Session`."""
        return self._ask(lambda: self._guest.put_file(file))

    def start(
        self, task_id: str, command: Command, env: Mapping[str, str], *, compromised: bool = False
    ) -> Started | Denial:
        """See `executor.machine.Session`."""
        argv = [argument.encode() for argument in command.argv]
        denial = self._ask(lambda: self._guest.start(task_id, argv, command.cwd, env, compromised=compromised))
        return denial or Started(task_id=task_id, pid=1)

    def follow(
        self, task_id: str, deadline_ns: int, *, poll: Callable[[], int] | None = None
    ) -> Iterator[Output | Sample | Finished]:
        """See `executor.machine.Session`."""
        while True:
            part = self._guest.advance(min(deadline_ns, poll()) if poll else deadline_ns)
            if part is not None:
                self._counts["received"] += 1
                yield part
                if isinstance(part, Finished):
                    return
            elif self._guest.clock.monotonic_ns() >= deadline_ns:
                raise ChannelTimeoutError("the guest did not say anything in time")

    def kill(self, task_id: str, reason: str) -> None:
        """See `executor.machine.Session`."""
        self._counts["sent"] += 1
        self._guest.clock.spend(ANSWER_NS)
        self._guest.stop(task_id)

    def collect(self, paths: Iterable[str]) -> tuple[CollectedFile, ...]:
        """See `executor.machine.Session`."""
        self._counts["sent"] += 1
        return self._guest.collect(paths)

    def statistics(self) -> dict[str, int]:
        """See `executor.machine.Session`."""
        return {**self._counts, "throttled_ns": self._guest.held_ns}

    def _ask(self, work: Callable[[], object]) -> Denial | None:
        self._counts["sent"] += 1
        self._guest.clock.spend(ANSWER_NS)
        try:
            work()
        except DeniedError as refusal:
            return Denial(refusal.code, str(refusal))
        return None


class SimMachine:
    """One simulated machine."""

    def __init__(self, name: str, guest: Guest, boot: Boot, ended: Callable[[SimMachine], None]) -> None:
        """`ended` is called once, when it is destroyed."""
        self._name, self._guest, self._boot, self._ended = name, guest, boot, ended
        self._session: Final = SimSession(guest)
        self._owner = threading.get_ident()
        self._alive = True

    @property
    def name(self) -> str:
        """Its id in events."""
        return self._name

    @property
    def boot(self) -> Boot:
        """How it came to be: from a pool, so without a boot of its own."""
        return self._boot

    @property
    def session(self) -> SimSession:
        """The conversation with its agent."""
        return self._session

    @property
    def alive(self) -> bool:
        """False once `destroy` was called."""
        return self._alive

    def overlay_bytes(self) -> int:
        """Bytes it would take on the host's disk: what the task wrote."""
        return self._guest.disk_bytes()

    @property
    def bounds(self) -> VmBounds:
        """No QEMU, no bounds on one."""
        return VmBounds()

    @property
    def uses(self) -> int:
        """Each is used once."""
        return 1

    def usage(self) -> HostUsage:
        """Nothing on the host but what the task wrote."""
        return HostUsage(overlay_bytes=self.overlay_bytes())

    def fate(self, _seconds: float) -> Fate | None:
        """It is lost where its agent was ended from within, or somebody destroys it."""
        return Fate(AGENT_CRASHED) if self._guest.kernel.agent_lost else None

    def network(self) -> dict[str, Any]:
        """What the card's filter counted; without a card there is nothing to record."""
        return dict(self._guest.segment.counts) if self._guest.segment else {}

    def reset(self) -> bool:
        """Machines are used once."""
        return False

    def recycled(self, record: Callable[[], None]) -> bool:
        """Machines are used once."""
        return False

    def destroy(self, *, keep_overlay: bool = False) -> None:
        """End it; idempotent. From another thread than the one that works with it: that one is told."""
        if self._alive:
            self._alive = False
            self._guest.lose()
            self._ended(self)
        if threading.get_ident() == self._owner:
            self._guest.close()


class SimProvider:
    """Makes simulated machines. Thread-safe. The n-th machine of a seed is the same in every run."""

    def __init__(
        self,
        clock: SimClock,
        seed: int = 0,
        recorder: Recorder | None = None,
        beyond: Beyond | None = None,
        after: int = 0,
    ) -> None:
        """Start the helper process; raises `PuppetError`.

        `recorder` takes what a pool would record; `beyond` is the world that network cards lead to. `after`: events on
        record already, so that machines of one state folder are named apart over a restart.
        """
        self._beyond: Final = beyond
        self.clock: Final = clock
        self._ledger: Final = Ledger(recorder, "sim")
        self._seed = seed
        self._zygote: Final = SHARED.borrow()
        self._closed = False
        self._numbers: Final = itertools.count(1)
        self._after: Final = after
        self._lock = threading.Lock()
        self._alive: dict[SimMachine, ExitStack] = {}
        self._counts = {"acquired": 0, "cloned": 0, "failed": 0, "hits": 0, "misses": 0}
        self._paused = False
        rootfs.modelled(puppet_programs())

    @property
    def engine(self) -> Engine:
        """`sim`."""
        return "sim"

    def acquire(self, profile: Profile, weaken: frozenset[str]) -> SimMachine:
        """A machine for one task."""
        segment = self._segment(profile, weaken)
        number = next(self._numbers)
        name = f"vm-{self._after + number:08x}"
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}:{number}".encode()).digest()[:8], "little")
        guest = Guest(self.clock, self._zygote, name, seed, weaken & frozenset(GUEST_CONTROLS), segment)
        if "ioguard" in weaken:
            guest.guard = None
        with self._lock:
            self._counts["acquired"] += 1
            self._counts["cloned"] += 1
            self._counts["hits"] += 1
            machine = SimMachine(name, guest, Boot(0, RELEASE, model_digest()), self._ended)
            self._alive[machine] = ExitStack()
        self._ledger.ready(name)
        self._ledger.handed_out(name)
        return machine

    def _segment(self, profile: Profile, weaken: frozenset[str]) -> Segment | None:
        """The machine's end of the bridge, if it has a card. Raises `UnknownHostError`."""
        if not profile.egress and OPEN_CARD not in weaken:
            return None
        if self._beyond is None:
            raise UnmodelledError("a network card: who answers behind it is outside the machine")
        return Segment(reach_of(profile.reach, self._beyond.names), weaken, self._beyond)

    def statistics(self) -> dict[str, int]:
        """Counters, and gauges `idle` and `alive`."""
        with self._lock:
            return {**self._counts, "idle": 1, "alive": len(self._alive)}

    def wait_waiting(self, _count: int, _seconds: float) -> bool:
        """A machine is there whenever one is asked for."""
        return True

    def pause_all(self) -> Stopped:
        """SCRAM: nothing runs while nobody dispatches; what runs is told by its own watch."""
        with self._lock:
            self._paused = True
            return Stopped(tuple(machine.name for machine in self._alive), (), ())

    def resume_all(self) -> tuple[str, ...]:
        """Go on."""
        with self._lock:
            self._paused = False
            return tuple(machine.name for machine in self._alive)

    def close(self) -> None:
        """End every machine and the helper; idempotent."""
        with self._lock:
            machines = list(self._alive)
        for machine in machines:
            machine.destroy()
        if not self._closed:
            self._closed = True
            SHARED.give_back(self._zygote)

    def _ended(self, machine: SimMachine) -> None:
        with self._lock:
            self._alive.pop(machine, None)


@cache
def model_digest() -> str:
    """SHA-256 over the sources of the model and of the agent's modules it takes its judgement from, as they are loaded.

    Read once: a process runs what it has loaded.
    """
    found = hashlib.sha256()
    here = GUEST.parent / "sim"
    names = [
        *sorted(here.rglob("*.py")),
        *sorted(here.rglob("*.txt")),
        *sorted(GUEST.glob("*.py")),
        *sorted(GUEST.glob("*.json")),
    ]
    for path in names:
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def puppet_programs() -> frozenset[str]:
    """Names of the programs the puppet has, read from its sources: they are not imported here."""
    import re  # noqa: PLC0415 - once per executor

    sources = sorted((GUEST.parent / "sim" / "puppet" / "applets").glob("*.py"))
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    found = set(PROGRAMS)
    for group in re.findall(r"@program\(([^)]*)\)", text):
        found.update(re.findall(r'"([^"]+)"', group))
    return frozenset(found)


def open_machines(
    clock: SimClock,
    resources: ExitStack,
    *,
    seed: int = 0,
    recorder: Recorder | None = None,
    beyond: Beyond | None = None,
    after: int = 0,
) -> tuple[SimProvider, dict[str, Any]]:
    """The machines of a simulated executor, and the facts of its report."""
    provider = SimProvider(clock, seed, recorder, beyond, after)
    resources.callback(provider.close)
    digest = model_digest()
    facts = {
        "engine": "sim",
        "engine_reason": "asked for: nothing of this run was tried on a real machine",
        "versions": {"kernel": RELEASE},
        "digests": {"image": _image_digest(), "agent": digest},
        "figures": {"cold_boot_ns": 0},
    }
    return provider, facts


def _image_digest() -> str:
    return hashlib.sha256(rootfs.LISTING.read_bytes()).hexdigest()

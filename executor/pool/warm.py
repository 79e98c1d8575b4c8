"""Hands out machines that already wait: clones of the golden machine, paused, refilled in the background.

1. one task a machine, unless the plan allows reuse after RESET: then within its limits, and never for a weakened task,
2. a machine is looked at before it is handed out; a sick one is recorded, destroyed, and another one taken,
3. what a task needs of the machine's hardware (its profile) has a pool of its own,
4. when the host runs short of memory the waiting machines go first, and come back when there is room,
5. making and destroying machines that nobody has is the refiller's work, never a caller's.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from executor.clock import Clock
from executor.domain.host import VmHost
from executor.domain.vm import LARGE_MEMORY_MB, MEMORY_MB, Vm, VmEngine, VmSettings
from executor.errors import BugError, FrameViolationError, GuestLostError, HypervisorError, OutsideError
from executor.host_facts import available_memory
from executor.machine import Boot, Profile
from executor.network import Endpoint
from executor.network.plane import OPEN_CARD
from executor.pool.golden import Golden, ensure_golden
from executor.pool.ledger import Ledger
from executor.pool.machine import VmMachine
from executor.pool.plan import PoolPlan, Supply, wanted_clones
from executor.trail import Recorder

UNCLONED: Final = frozenset({"device_allowlist", "qemu_confinement"})
"""Controls whose absence changes the machine itself."""
RETRY_S: Final = 5.0
"""After a clone failed: long enough not to spin, short enough to heal while somebody waits."""
LOOK_S: Final = 3.0
"""How often waiting machines are looked at, so that a sick one is replaced before it is asked for."""
RESET: Final = "reset"
"""The one control that may be taken away of a machine that is used again: the drill of RESET itself."""
TRIES: Final = 3
"""Machines a task may be tried on before it is told that none can be had."""
FIRST_WORDS_NS: Final = 20_000_000_000
"""A clone that was let run says Ready within milliseconds; a second or two on a crowded host."""


class WarmProvider:
    """A pool for each hardware profile. Thread-safe."""

    def __init__(
        self,
        host: VmHost,
        engine: VmEngine,
        clock: Clock,
        *,
        plan: PoolPlan = PoolPlan(),  # noqa: B008 - frozen
        recorder: Recorder | None = None,
        debug_console: bool = False,
        say: Callable[[str], None] = lambda _: None,
        free_memory: Callable[[], int] = available_memory,
    ) -> None:
        """Keep machines waiting as `plan` says for each profile that was ever asked for.

        `free_memory` tells how many bytes the host can still give.
        """
        self._host = host
        self._engine: VmEngine = engine
        self._clock = clock
        self._plan = plan
        self._ledger = Ledger(recorder, engine)
        self._debug_console = debug_console
        self._say = say
        self._free_memory = free_memory
        self._ready: dict[VmSettings, deque[Vm]] = {}
        self._golden: dict[VmSettings, Golden] = {}
        self._lent: set[Vm] = set()
        """Machines that tasks have and that come back."""
        self._making = threading.Lock()
        self._changed = threading.Condition()
        self._closing = False
        names = ("acquired", "hits", "misses", "cloned", "failed", "sick", "shrunk", "recycled")
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        self._refiller = threading.Thread(target=self._refill, name="pool-refill", daemon=True)
        self._refiller.start()

    @property
    def engine(self) -> VmEngine:
        """What runs the guests."""
        return self._engine

    @property
    def cold_boot_ns(self) -> int:
        """How long the golden machine took to boot; 0 before the first."""
        return max((golden.boot_ns for golden in self._golden.values()), default=0)

    def warm_up(self, profile: Profile = Profile()) -> None:  # noqa: B008 - frozen
        """Have the golden machine and the first clones of `profile` made now. Raises `OutsideError`."""
        settings = self._settings(profile)
        self._golden_for(settings)
        with self._changed:
            self._ready.setdefault(settings, deque())
            self._changed.notify_all()

    def wait_waiting(self, count: int, seconds: float) -> bool:
        """Wait until `count` machines wait in all pools, at most `seconds`; whether they do."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle() >= count, seconds)

    def acquire(self, profile: Profile, weaken: frozenset[str]) -> VmMachine:
        """A machine for one task. Raises `HypervisorError` or `GuestLostError`, leaving nothing."""
        settings = self._settings(profile, weaken)
        self._count("acquired")
        if weaken & UNCLONED:
            return self._boot_weakened(settings, weaken, profile.reach)
        for left in reversed(range(TRIES)):
            vm, boot_ns = self._take(settings, fresh=bool(weaken - {RESET}))
            try:
                return self._hand_out(vm, boot_ns, weaken, profile.reach)
            except (GuestLostError, HypervisorError) as error:
                if self._host.hypervisor.frozen:
                    self._discard(vm, "everything was stopped")
                    raise
                self._bury(vm, error.code)
                if not left:
                    raise
            except FrameViolationError:
                self._bury(vm, FrameViolationError.code)
                raise
            except BaseException:
                self._discard(vm, "could not be handed out")
                raise
        raise BugError("a task was tried on no machine")

    def statistics(self) -> dict[str, Any]:
        """Counters, gauges `idle` and `alive`, and how each profile's pool stands."""
        with self._changed:
            pools = {
                _name(settings): {"idle": len(waiting), "size": self._plan.size}
                for settings, waiting in self._ready.items()
            }
            counts = dict(self._counts)
            idle = self._idle()
        return {**counts, "idle": idle, "alive": len(self._host.alive()), "pools": pools}

    def close(self) -> None:
        """Destroy every VM; idempotent."""
        with self._changed:
            self._closing = True
            waiting = [vm for pool in self._ready.values() for vm in pool]
            self._ready.clear()
            self._changed.notify_all()
        self._refiller.join()
        for vm in waiting:
            vm.destroy()
            self._ledger.gone_at_the_end(vm.name)
        self._host.close()

    def _settings(self, profile: Profile, weaken: frozenset[str] = frozenset()) -> VmSettings:
        return VmSettings(
            self._engine,
            memory_mb=LARGE_MEMORY_MB if profile.large_memory else MEMORY_MB,
            card=profile.egress or OPEN_CARD in weaken,
            debug_console=self._debug_console,
        )

    def _boot_weakened(self, settings: VmSettings, weaken: frozenset[str], reach: tuple[Endpoint, ...]) -> VmMachine:
        """A machine that only drills ask for: booted for it, since some of its devices cannot be saved."""
        surplus, exposed = "device_allowlist" in weaken, "qemu_confinement" in weaken
        begun = self._clock.monotonic_ns()
        vm = self._host.create(replace(settings, surplus=surplus, exposed=exposed))
        try:
            vm.admit(reach, weaken)
            vm.start()
            took = self._clock.monotonic_ns() - begun
            ready = vm.acquire(weaken)
        except BaseException:
            vm.destroy()
            raise
        return VmMachine(vm, Boot(took, ready.kernel, ready.agent_digest))

    def _idle(self) -> int:
        return sum(len(waiting) for waiting in self._ready.values())

    def _count(self, name: str) -> None:
        with self._changed:
            self._counts[name] += 1

    # --- handing out ---------------------------------------------------------------------------------------------

    def _take(self, settings: VmSettings, *, fresh: bool) -> tuple[Vm, int]:
        """A waiting machine that looks well, or one made now; and how long making it took. `fresh`: never used."""
        while True:
            with self._changed:
                waiting = self._ready.setdefault(settings, deque())
                vm = next((vm for vm in waiting if not (fresh and vm.uses)), None)
                if vm is not None:
                    waiting.remove(vm)
                    self._lend(vm, back=not fresh)
                    self._counts["hits"] += 1
            if vm is None:
                begun = self._clock.monotonic_ns()
                self._count("misses")
                vm = self._clone(settings)
                with self._changed:
                    self._lend(vm, back=not fresh)
                return vm, self._clock.monotonic_ns() - begun
            if not (why := self._sickness(vm)):
                return vm, 0
            self._bury(vm, why)

    def _lend(self, vm: Vm, *, back: bool) -> None:
        """Count on a machine's coming back, where it may. Called with the lock held."""
        if back and self._may_return(vm.settings):
            self._lent.add(vm)

    def _hand_out(self, vm: Vm, boot_ns: int, weaken: frozenset[str], reach: tuple[Endpoint, ...]) -> VmMachine:
        """Let it run and make it the task's own."""
        try:
            vm.admit(reach, weaken)
            vm.resume()
        finally:
            with self._changed:  # only now: making the next machine takes the processor this one is waited for
                self._changed.notify_all()
        running_ns = self._clock.monotonic_ns()
        if vm.ready is None:
            vm.wait_ready(boot_ns=FIRST_WORDS_NS)
        ready = vm.acquire(weaken)
        if ready.agent_digest != self._host.artifacts.agent_digest:
            vm.destroy()
            raise BugError("the agent in the VM is not the one on the agent disk")
        boot = Boot(boot_ns, ready.kernel, ready.agent_digest, reseed_ns=self._clock.monotonic_ns() - running_ns)
        self._ledger.handed_out(vm.name)
        return VmMachine(
            vm, boot, again=self._may_return(vm.settings), worn=self._worn, shelve=self._shelve, gone=self._returned
        )

    def _may_return(self, settings: VmSettings) -> bool:
        """Whether machines of a profile are used again: never those with a network card, whose peers remember them."""
        return self._plan.reuse and not settings.card

    def _worn(self, vm: Vm) -> str:
        return self._plan.worn(vm.uses, self._clock.monotonic_ns() - vm.born_ns)

    def _shelve(self, vm: Vm, record: Callable[[], None]) -> bool:
        """Take a reset machine back, where machines wait at all. Raises what `record` raises.

        A pool that has filled up meanwhile sheds a fresh one: the way back must not hang on a race with the refiller.
        """
        with self._changed:
            waiting = self._ready.setdefault(vm.settings, deque())
            if self._closing or not self._plan.size:
                return False
            record()
            self._ledger.taken_back(vm.name)
            waiting.appendleft(vm)  # its age counts: it goes first
            self._counts["recycled"] += 1
        self._returned(vm)
        return True

    def _returned(self, vm: Vm) -> None:
        """No task has it any more."""
        with self._changed:
            self._lent.discard(vm)
            self._changed.notify_all()

    # --- sickness ------------------------------------------------------------------------------------------------

    @staticmethod
    def _sickness(vm: Vm) -> str:
        try:
            return vm.sickness()
        except GuestLostError as error:
            return str(error)

    def _bury(self, vm: Vm, why: str) -> None:
        """Record a machine that is not fit for any task, and destroy it. Raises `AuditError`."""
        self._count("sick")
        try:
            self._ledger.sick(vm.name, why[:200])
        finally:
            self._discard(vm, "sick")

    def _discard(self, vm: Vm, why: str) -> None:
        with contextlib.suppress(HypervisorError):
            vm.destroy()
        self._returned(vm)
        self._ledger.gone(vm.name, why)

    # --- the refiller --------------------------------------------------------------------------------------------

    def _clone(self, settings: VmSettings, *, waits: bool = False) -> Vm:
        """A clone; one that `waits` for a task has spoken."""
        vm = self._host.create(settings, self._golden_for(settings))
        try:
            if waits:
                vm.rouse(boot_ns=FIRST_WORDS_NS)
            else:
                vm.connect()
        except BaseException:
            vm.destroy()
            raise
        self._count("cloned")
        return vm

    def _golden_for(self, settings: VmSettings) -> Golden:
        with self._making:
            golden = self._golden.get(settings)
            if golden is None:
                golden = self._golden[settings] = ensure_golden(self._host, settings, self._clock, self._say)
            return golden

    def _refill(self) -> None:
        """Keep the pools at the size the plan wants and its machines well, until closed."""
        pause = 0.0
        while True:
            with self._changed:
                if pause and not self._closing:
                    self._changed.wait(pause)
                if self._closing:
                    return
                short, surplus = self._balance()
            try:
                pause = self._work(short, surplus)
            except (OutsideError, OSError):  # no clone could be made, or it could not be recorded: later, then
                self._count("failed")
                pause = RETRY_S

    def _work(self, short: VmSettings | None, surplus: list[Vm]) -> float:
        """Do one step of what is to be done; seconds until the next look, 0 for at once."""
        for vm in surplus:
            self._count("shrunk")
            self._discard(vm, "more than the pool holds now")
        if short is None:
            self._look()
            return LOOK_S
        vm = self._clone(short, waits=True)
        try:
            self._ledger.ready(vm.name)
        except BaseException:
            vm.destroy()
            raise
        with self._changed:
            if not self._closing:
                self._ready[short].append(vm)
                self._changed.notify_all()
                return 0.0
        vm.destroy()
        self._ledger.gone_at_the_end(vm.name)
        return 0.0

    def _look(self) -> None:
        """Take sick machines out before anybody asks for them, and what libvirt left of those that are gone."""
        self._host.hypervisor.tidy()
        with self._changed:
            waiting = [vm for pool in self._ready.values() for vm in pool]
        for vm in waiting:
            why = self._sickness(vm) or (self._worn(vm) if vm.uses else "")
            if not why:
                continue
            with self._changed:
                pool = self._ready.get(vm.settings, deque())
                if vm not in pool:
                    continue  # somebody has it already
                pool.remove(vm)
            if vm.uses and not self._sickness(vm):
                self._discard(vm, why)
            else:
                self._bury(vm, why)

    def _balance(self) -> tuple[VmSettings | None, list[Vm]]:
        """A pool that has fewer machines than the plan wants, and machines that are too many. Holds the lock."""
        free_mb = self._free_memory() // (1024 * 1024)
        surplus: list[Vm] = []
        short = None
        for settings, waiting in self._ready.items():
            wanted = wanted_clones(Supply(len(waiting), self._plan.size, settings.memory_mb, free_mb))
            coming_back = sum(vm.settings == settings for vm in self._lent)
            if wanted - coming_back > len(waiting) and settings in self._golden:
                short = short or settings
            while len(waiting) > wanted:
                surplus.append(waiting.pop())
        return short, surplus


def _name(settings: VmSettings) -> str:
    """A pool's name in figures."""
    return f"{settings.memory_mb}mb{'_net' if settings.card else ''}"

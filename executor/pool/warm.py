"""Hands out machines that already wait: clones of the golden machine, paused, refilled in the background.

One task a machine. What a task needs of the machine's hardware (its profile) has a pool of its own. When the host runs
short of memory the waiting machines go first, and come back when there is room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from executor.clock import Clock
from executor.domain.host import VmHost
from executor.domain.vm import LARGE_MEMORY_MB, MEMORY_MB, Vm, VmEngine, VmSettings
from executor.errors import BugError, GuestLostError, HypervisorError, OutsideError
from executor.host_facts import available_memory
from executor.machine import Boot, Profile
from executor.network import Endpoint
from executor.network.plane import OPEN_CARD
from executor.pool.golden import Golden, ensure_golden
from executor.pool.machine import VmMachine
from executor.pool.plan import Supply, wanted_clones

RETRY_S: Final = 5.0
"""After a clone failed: long enough not to spin, short enough to heal while somebody waits."""


class WarmProvider:
    """A pool for each hardware profile. Thread-safe."""

    def __init__(
        self,
        host: VmHost,
        engine: VmEngine,
        clock: Clock,
        *,
        size: int = 1,
        debug_console: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep `size` machines waiting for each profile that was ever asked for."""
        self._host = host
        self._engine: VmEngine = engine
        self._clock = clock
        self._size = size
        self._debug_console = debug_console
        self._say = say
        self._ready: dict[VmSettings, deque[Vm]] = {}
        self._golden: dict[VmSettings, Golden] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._counts = {"acquired": 0, "hits": 0, "misses": 0, "cloned": 0, "failed": 0, "shrunk": 0}
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
        """Have the golden machine and the first clone of `profile` made now. Raises `OutsideError`."""
        settings = self._settings(profile)
        self._golden_for(settings)
        with self._changed:
            self._ready.setdefault(settings, deque())
            self._changed.notify_all()

    def acquire(self, profile: Profile, weaken: frozenset[str]) -> VmMachine:
        """A machine for one task. Raises `HypervisorError` or `GuestLostError`, leaving nothing.

        A clone that does not answer is thrown away and another one tried once: the pool heals, a task does not notice.
        """
        settings = self._settings(profile, weaken)
        try:
            return self._hand_out(settings, weaken, profile.reach)
        except GuestLostError:
            self._counts["failed"] += 1
            return self._hand_out(settings, weaken, profile.reach)

    def statistics(self) -> dict[str, int]:
        """Counters, and gauges `idle` and `alive`."""
        with self._changed:
            idle = sum(len(waiting) for waiting in self._ready.values())
        return {**self._counts, "idle": idle, "alive": len(self._host.alive())}

    def close(self) -> None:
        """Destroy every VM; idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._refiller.join()
        self._host.close()

    def _settings(self, profile: Profile, weaken: frozenset[str] = frozenset()) -> VmSettings:
        return VmSettings(
            self._engine,
            memory_mb=LARGE_MEMORY_MB if profile.large_memory else MEMORY_MB,
            card=profile.egress or OPEN_CARD in weaken,
            debug_console=self._debug_console,
        )

    def _hand_out(self, settings: VmSettings, weaken: frozenset[str], reach: tuple[Endpoint, ...]) -> VmMachine:
        with self._changed:
            waiting = self._ready.setdefault(settings, deque())
            vm = waiting.popleft() if waiting else None
            self._changed.notify_all()
        self._counts["acquired"] += 1
        self._counts["hits" if vm else "misses"] += 1
        vm = vm or self._clone(settings)
        try:
            vm.admit(reach, weaken)
            vm.start()
            ready = vm.acquire(weaken)
        except BaseException:
            vm.destroy()
            raise
        if ready.agent_digest != self._host.artifacts.agent_digest:
            vm.destroy()
            raise BugError("the agent in the VM is not the one on the agent disk")
        return VmMachine(vm, Boot(0, ready.kernel, ready.agent_digest))

    def _clone(self, settings: VmSettings) -> Vm:
        vm = self._host.create(settings, self._golden_for(settings))
        self._counts["cloned"] += 1
        return vm

    def _golden_for(self, settings: VmSettings) -> Golden:
        golden = self._golden.get(settings)
        if golden is None:
            golden = self._golden[settings] = ensure_golden(self._host, settings, self._clock, self._say)
        return golden

    def _refill(self) -> None:
        """Keep the pools at the size the plan wants, until closed."""
        pause: float | None = None
        while True:
            with self._changed:
                settings = None if self._closing else self._short()
                if settings is None and not self._closing:
                    self._changed.wait(pause)
                    pause = None
                    settings = None if self._closing else self._short()
                if self._closing:
                    return
            if settings is None:
                continue
            try:
                vm = self._clone(settings)
            except (HypervisorError, GuestLostError, OutsideError):
                self._counts["failed"] += 1
                pause = RETRY_S
                with self._changed:
                    self._changed.wait(pause)
                continue
            with self._changed:
                self._ready[settings].append(vm)

    def _short(self) -> VmSettings | None:
        """A pool with fewer machines than the plan wants; sheds one where it has more. Called with the lock held."""
        for settings, waiting in self._ready.items():
            supply = Supply(len(waiting), self._size, settings.memory_mb, available_memory() // (1024 * 1024))
            wanted = wanted_clones(supply)
            if wanted > len(waiting) and settings in self._golden:
                return settings
            while len(waiting) > wanted:
                self._counts["shrunk"] += 1
                waiting.pop().destroy()
        return None

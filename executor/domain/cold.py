"""Machines booted one by one, each for one task: the plainest `MachineProvider`."""

from __future__ import annotations

from executor.channel.session import GuestSession
from executor.clock import Clock
from executor.domain.host import VmHost
from executor.domain.vm import LARGE_MEMORY_MB, MEMORY_MB, Vm, VmEngine, VmSettings
from executor.errors import BugError
from executor.machine import Boot, Profile


class ColdMachine:
    """A VM as the path sees it."""

    def __init__(self, vm: Vm, boot: Boot) -> None:
        """`vm` has been acquired."""
        self._vm = vm
        self._boot = boot

    @property
    def name(self) -> str:
        """Its id in events."""
        return self._vm.name

    @property
    def boot(self) -> Boot:
        """How it came to be."""
        return self._boot

    @property
    def session(self) -> GuestSession:
        """The conversation with its agent."""
        return self._vm.session

    @property
    def alive(self) -> bool:
        """False once `destroy` was called."""
        return self._vm.alive

    def overlay_bytes(self) -> int:
        """Bytes of its overlay on the host's disk."""
        return self._vm.overlay_bytes()

    def destroy(self) -> None:
        """End it and remove what it left; idempotent."""
        self._vm.destroy()


class ColdProvider:
    """Boots a VM for every task."""

    def __init__(self, host: VmHost, engine: VmEngine, clock: Clock, *, debug_console: bool = False) -> None:
        """Boot on `host` with `engine`."""
        self._host = host
        self._engine = engine
        self._clock = clock
        self._debug_console = debug_console
        self._booted = 0

    @property
    def engine(self) -> VmEngine:
        """What runs the guests."""
        return self._engine

    def acquire(self, profile: Profile, weaken: frozenset[str]) -> ColdMachine:
        """Boot a machine. Raises `HypervisorError` or `GuestLostError`, leaving nothing."""
        settings = VmSettings(
            self._engine,
            memory_mb=LARGE_MEMORY_MB if profile.large_memory else MEMORY_MB,
            debug_console=self._debug_console,
        )
        begun = self._clock.monotonic_ns()
        vm = self._host.create(settings)
        try:
            vm.start()
            booted = self._clock.monotonic_ns() - begun
            ready = vm.acquire(weaken)
        except BaseException:
            vm.destroy()
            raise
        if ready.agent_digest != self._host.artifacts.agent_digest:
            vm.destroy()
            raise BugError("the agent in the VM is not the one on the agent disk")
        self._booted += 1
        return ColdMachine(vm, Boot(booted, ready.kernel, ready.agent_digest))

    def statistics(self) -> dict[str, int]:
        """VMs booted so far and alive now."""
        return {"booted": self._booted, "alive": len(self._host.alive())}

    def close(self) -> None:
        """Destroy every VM; idempotent."""
        self._host.close()

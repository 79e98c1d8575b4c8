"""A VM as the path sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from executor.channel.session import GuestSession
from executor.domain.vm import Vm
from executor.errors import FrameViolationError, GuestLostError, HypervisorError
from executor.fate import Fate
from executor.machine import Boot
from executor.quota import HostUsage, VmBounds


class VmMachine:
    """A VM as the path sees it."""

    def __init__(
        self,
        vm: Vm,
        boot: Boot,
        *,
        again: bool = False,
        worn: Callable[[Vm], str] = lambda _: "",
        shelve: Callable[[Vm, Callable[[], None]], bool] = lambda _vm, _record: False,
        gone: Callable[[Vm], None] = lambda _: None,
    ) -> None:
        """`vm` has been acquired. `again`: machines are used again; `worn` says why this one is not.

        `shelve` takes it back, `gone` is told when it was destroyed instead.
        """
        self._vm = vm
        self._boot = boot
        self._again = again
        self._worn = worn
        self._shelve = shelve
        self._gone = gone

    @property
    def name(self) -> str:
        """Its id in events."""
        return self._vm.name

    @property
    def boot(self) -> Boot:
        """How it came to be."""
        return self._boot

    @property
    def vm(self) -> Vm:
        """The VM itself, for drills that look at it from the host."""
        return self._vm

    @property
    def session(self) -> GuestSession:
        """The conversation with its agent."""
        return self._vm.session

    @property
    def alive(self) -> bool:
        """False once `destroy` was called."""
        return self._vm.alive

    @property
    def uses(self) -> int:
        """Tasks it was given to so far."""
        return self._vm.uses

    def overlay_bytes(self) -> int:
        """Bytes of its overlay on the host's disk."""
        return self._vm.overlay_bytes()

    @property
    def bounds(self) -> VmBounds:
        """What its QEMU may use."""
        return self._vm.bounds

    def usage(self) -> HostUsage:
        """What its QEMU and its overlay use now."""
        return self._vm.usage()

    def fate(self, seconds: float) -> Fate | None:
        """Why it is lost, as soon as that is certain."""
        return self._vm.fate(seconds)

    def network(self) -> dict[str, Any]:
        """What is worth recording of its network card's use."""
        return self._vm.network_use

    def reset(self) -> bool:
        """Wipe it, stop it, and say whether it is as good as new; nothing is done where reuse is off."""
        if not self.alive or not self._again:
            return False
        try:
            self._vm.reset()
        except (GuestLostError, HypervisorError, FrameViolationError):
            return False  # the guest could not show that nothing is left: it goes
        return True

    def recycled(self, record: Callable[[], None]) -> bool:
        """Put it back into the pool after `reset`; False when it is worn or not wanted there, and has to be destroyed.

        `record` is called once it is settled that it goes back, before anybody can have it.
        """
        return not self._worn(self._vm) and self._shelve(self._vm, record)

    def destroy(self, *, keep_overlay: bool = False) -> None:
        """End it and remove what it left; idempotent. `keep_overlay` leaves its disk: the drill `overlay_cleanup`."""
        try:
            self._vm.destroy(keep_overlay=keep_overlay)
        finally:
            self._gone(self._vm)

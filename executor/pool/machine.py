"""A VM as the path sees it."""

from __future__ import annotations

from typing import Any

from executor.channel.session import GuestSession
from executor.domain.vm import Vm
from executor.machine import Boot
from executor.quota import HostUsage, VmBounds


class VmMachine:
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

    def network(self) -> dict[str, Any]:
        """What is worth recording of its network card's use."""
        return self._vm.network_use

    def destroy(self) -> None:
        """End it and remove what it left; idempotent."""
        self._vm.destroy()

"""The machine under a request: taken before its commands, given back after them, and why it was lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from executor.channel.host import ChannelTimeoutError
from executor.clock import Clock
from executor.errors import GuestLostError, HypervisorError, OutsideError
from executor.machine import Machine, MachineProvider, Profile
from executor.passage import Passage
from executor.policy import Decision

LARGE_MEM: Final = "res:large_mem"
HIGH_CPU: Final = "res:high_cpu"
EGRESS: Final = "net:egress"
RESET: Final = "reset"
"""The one control whose absence does not keep a machine from being used again: the drill of RESET itself."""
FATE_S: Final = 5.0
"""Why a machine is gone is asked for so long: QEMU says it at once, libvirt a second or two after a kill."""


class Occupancy:
    """Takes machines of one provider for requests, and gives them back."""

    def __init__(self, provider: MachineProvider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock

    def acquire(self, passage: Passage, decision: Decision) -> None:
        """A machine with what it can be given only before it runs: memory, processors, a network card."""
        trail, weaken = passage.trail, passage.request.weaken
        hard = set(decision.obligations.hard)
        profile = Profile(large_memory=LARGE_MEM in hard, high_cpu=HIGH_CPU in hard, egress=EGRESS in hard)
        if profile.egress:
            profile = replace(profile, reach=decision.obligations.scope.endpoints)
        begun = self._clock.monotonic_ns()
        machine = passage.machine = self._provider.acquire(profile, weaken)
        took = self._clock.monotonic_ns() - begun
        trail.vm_id = machine.name
        boot = machine.boot
        if boot.boot_ns:  # made for this task: the pool has told of the others
            trail.timed("vm.boot", boot.boot_ns, "guest")
            trail.emit("vm_event.READY", "cp20", {"kernel": boot.kernel, "agent": boot.agent_digest})
        trail.timed("vm.acquire", took - boot.boot_ns - boot.reseed_ns)
        trail.timed("vm.reseed", boot.reseed_ns, "guest")
        facts = {"kernel": boot.kernel, "agent": boot.agent_digest, "uses": machine.uses}
        trail.emit("vm_event.ACQUIRED", "cp20", {"weakened": sorted(weaken), **facts}, with_next=True)

    def release(self, passage: Passage) -> None:
        """Destroy the machine first: whatever else fails, nothing of it stays."""
        trail, machine = passage.trail, passage.machine
        if machine is None:
            trail.emit("resource_event.RELEASED", "cp19", {"overlay_bytes": 0})
            return
        overlay_bytes = 0 if passage.released else machine.overlay_bytes()
        reset = self._reset(passage, machine)
        if not reset:
            self._destroy(passage, machine)
        if not passage.released:
            used = machine.network()
            released = {"overlay_bytes": overlay_bytes, **({"network": used} if used else {})}
            trail.emit("resource_event.RELEASED", "cp19", released, with_next=True)
        if reset:
            trail.emit("vm_event.RESET", "cp20", {"uses": machine.uses})
            if machine.recycled(lambda: trail.emit("vm_event.RECYCLED", "cp20")):
                return
            self._destroy(passage, machine)
        elif passage.hold and passage.hold.fired:
            trail.emit("vm_event.ZOMBIE", "cp20", with_next=True)
        trail.emit("vm_event.DESTROYED", "cp20")

    @staticmethod
    def cause(passage: Passage, error: OutsideError) -> tuple[str, str]:
        """(code, message) of what the task is aborted for: where its machine is lost, why that is."""
        lost = isinstance(error, (GuestLostError, HypervisorError)) and not (passage.hold and passage.hold.gone)
        if passage.machine is None or not lost:
            return error.code, str(error)
        fate = passage.machine.fate(0 if isinstance(error, ChannelTimeoutError) else FATE_S)
        return (fate.code, f"{fate.words} ({error})") if fate else (error.code, str(error))

    def _reset(self, passage: Passage, machine: Machine) -> bool:
        """Where machines are used again: wipe it. Never after a loss or a violation, nor a task that was weakened."""
        if passage.effect == "aborted" or passage.request.weaken - {RESET}:
            return False
        begun = self._clock.monotonic_ns()
        done = machine.reset()
        if done:
            passage.trail.timed("vm.reset", self._clock.monotonic_ns() - begun, "guest")
        return done

    @staticmethod
    def _destroy(passage: Passage, machine: Machine) -> None:
        with passage.trail.stage("vm.destroy"):
            machine.destroy(keep_overlay="overlay_cleanup" in passage.request.weaken)

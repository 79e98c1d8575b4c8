"""The VMs of one executor process: its run directory, its libvirt connection, and every VM that is alive."""

from __future__ import annotations

import os
import pwd
import threading
from pathlib import Path
from typing import Literal

from executor.clock import Clock
from executor.domain.artifacts import Artifacts, publish
from executor.domain.brake import let_go, stop_all
from executor.domain.groups import Groups
from executor.domain.hypervisor import QEMU_USER, Hypervisor
from executor.domain.rundir import Reaped, RunDir, process_root, reap_dead
from executor.domain.vm import Ground, Source, Vm, VmSettings
from executor.errors import OutsideError, outside
from executor.image import AgentDisk, GoldImage
from executor.machine import Stopped
from executor.network import Network, NetworkConfig

Connection = Literal["embed", "system"]


class VmHost:
    """Boots VMs and guarantees that none of them, nor anything of theirs, outlives `close` (or the next start)."""

    def __init__(
        self,
        gold: GoldImage,
        agent: AgentDisk,
        *,
        runtime: Path,
        cache: Path,
        clock: Clock,
        connection: Connection = "embed",
        network: NetworkConfig | None = None,
    ) -> None:
        """Reap what dead executors left, then open libvirt. Raises `OutsideError`."""
        self._clock = clock
        self.reaped: list[Reaped] = reap_dead(runtime)
        self._run = RunDir.create(runtime)
        try:
            self.artifacts: Artifacts = publish(gold, agent, runtime)
            if connection == "embed":
                self.hypervisor = Hypervisor.embed(process_root(runtime), cache / "libvirt-capabilities")
            else:
                self.hypervisor = Hypervisor.system()
        except BaseException:
            self._run.close()
            raise
        self.network: Network = Network(network or NetworkConfig(), clock)
        self.groups: Groups = Groups()
        self._ground = Ground(self._run.path, _qemu_owner(), self.network, self.groups)
        self._vms: dict[str, Vm] = {}
        self._stopped: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def path(self) -> Path:
        """The run directory: sockets, overlays, libvirt's files."""
        return self._run.path

    def create(self, settings: VmSettings, source: Source | None = None) -> Vm:
        """A paused VM; a clone of `source` where given. Raises `OutsideError`, leaving nothing."""
        try:
            vm = Vm(self.hypervisor, self.artifacts, self._ground, self._clock, settings, self._forget, source)
        except OSError as error:
            raise outside(f"a machine cannot be made below {self._run.path}", error) from None
        with self._lock:
            if self._closed:
                vm.destroy()
                raise OutsideError("the executor is closing")
            self._vms[vm.name] = vm
        return vm

    def alive(self) -> tuple[str, ...]:
        """Names of the VMs that exist now."""
        with self._lock:
            return tuple(self._vms)

    def pause_all(self) -> Stopped:
        """Stop every running VM now and let none begin to run until `resume_all`."""
        self.hypervisor.freeze(frozen=True)
        with self._lock:
            vms = list(self._vms.values())
        stopped = stop_all(vms)
        with self._lock:
            self._stopped |= {*stopped.suspended, *stopped.by_force}
        return stopped

    def resume_all(self) -> tuple[str, ...]:
        """Let VMs run again, those that `pause_all` stopped and that still exist first; their names."""
        self.hypervisor.freeze(frozen=False)
        with self._lock:
            vms, stopped = list(self._vms.values()), self._stopped
            self._stopped = set()
        return let_go(vms, stopped)

    def close(self) -> None:
        """Destroy every VM and remove the run directory; a second call is silent."""
        with self._lock:
            self._closed = True
            vms = list(self._vms.values())
        for vm in vms:
            vm.destroy()
        self.groups.close()
        self.network.close()
        self.hypervisor.close()
        self._run.close()

    def _forget(self, vm: Vm) -> None:
        with self._lock:
            self._vms.pop(vm.name, None)


def _qemu_owner() -> tuple[int, int] | None:
    """uid and gid QEMU runs as; None where it runs as this very user."""
    if os.geteuid() != 0:
        return None
    try:
        account = pwd.getpwnam(QEMU_USER)
    except KeyError:
        raise OutsideError(f"there is no account {QEMU_USER}; `python3 bootstrap.py drills` makes it") from None
    return account.pw_uid, account.pw_gid

"""A live QEMU is exactly what the allowlist says; a device, an account or a limit more or less is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.domain import confinement
from executor.domain.limits import limit
from executor.domain.rundir import process_root
from executor.machine import Profile
from executor.paths import runtime_dir

if TYPE_CHECKING:
    from executor.pool.machine import VmMachine
    from executor.service import LocalExecutor

pytestmark = pytest.mark.vm


def found(machine: VmMachine, *, booted: bool) -> dict[str, confinement.Difference]:
    wanted = confinement.expected(machine.vm, run=process_root(runtime_dir()), booted=booted)
    return {one.section: one for one in confinement.differences(wanted, confinement.observed(machine.vm))}


def test_a_clone_is_exactly_what_is_allowed(cordon_executor: LocalExecutor) -> None:
    """Devices, options, files, sockets, account, filter, limits, namespaces: nothing more or less."""
    machine = cordon_executor.machines.acquire(Profile(), frozenset())
    try:
        assert found(machine, booted=False) == {}  # type: ignore[arg-type] # this provider's machines are VMs
    finally:
        machine.destroy()


def test_devices_and_accounts_beyond_it_are_found(cordon_executor: LocalExecutor) -> None:
    """With a USB controller, a graphics card and the like, run by root, each shows in its section."""
    weaken = frozenset({"device_allowlist", "qemu_confinement"})
    machine = cordon_executor.machines.acquire(Profile(), weaken)
    try:
        seen = found(machine, booted=True)  # type: ignore[arg-type] # as above
        assert {"qemu-xhci", "VGA", "e1000", "nvme"} <= set(seen["devices"].unexpected)
        assert seen["devices"].missing == ()
        assert "-device VGA" in seen["arguments"].unexpected
        assert "Uid 0 0 0 0" in seen["status"].unexpected
        assert [text.rpartition(" ")[2] for text in seen["files"].unexpected] == ["rw"]
        assert any(text.startswith("unix @cordon-") for text in seen["handles"].unexpected)
        assert "Max address space unlimited" in seen["limits"].unexpected
    finally:
        machine.destroy()


def test_a_changed_limit_is_found(cordon_executor: LocalExecutor) -> None:
    """One limit lowered from outside is a difference of that limit alone."""
    machine = cordon_executor.machines.acquire(Profile(), frozenset())
    try:
        vm = machine.vm  # type: ignore[attr-defined] # as above
        limit(vm.pid, 100, (vm.overlay.stat().st_uid, vm.overlay.stat().st_gid))
        names = [text.rpartition(" ")[0] for text in found(machine, booted=False)["limits"].unexpected]  # type: ignore[arg-type] # as above
        assert names == ["Max address space"]
    finally:
        machine.destroy()

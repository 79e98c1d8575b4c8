"""Stops every VM at once: libvirt's suspend for all together, SIGSTOP for whichever QEMU does not obey in time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Final

from executor.domain.vm import Vm
from executor.errors import CordonError
from executor.machine import Stopped

OBEY_S: Final = 0.5
"""How long libvirt may take over all suspends; half of the second a SCRAM has in all."""


def stop_all(vms: Iterable[Vm]) -> Stopped:
    """Stop all of `vms`, within `OBEY_S` and a little."""
    alive = [vm for vm in vms if vm.alive and vm.running]
    obeyed: set[str] = set()

    def one(vm: Vm) -> None:
        with contextlib.suppress(CordonError):
            vm.suspend()
            obeyed.add(vm.name)

    # Daemons: a libvirt call that never comes back must not keep the process from ending.
    _together([lambda vm=vm: one(vm) for vm in alive], OBEY_S)  # type: ignore[misc]  # mypy cannot type defaults of lambdas
    suspended = frozenset(obeyed)
    forced = [vm.name for vm in alive if vm.name not in suspended and _send(vm, signal.SIGSTOP)]
    missed = [vm.name for vm in alive if vm.name not in suspended and vm.name not in forced]
    return Stopped(tuple(sorted(suspended)), tuple(forced), tuple(missed))


def let_go(vms: Iterable[Vm], stopped: Iterable[str]) -> tuple[str, ...]:
    """Let those of `vms` go on that were `stopped`; the names of those that do."""
    wanted = set(stopped)
    going = []
    for vm in vms:
        if vm.name in wanted and vm.alive:
            _send(vm, signal.SIGCONT)
            with contextlib.suppress(CordonError):
                vm.unsuspend()
                going.append(vm.name)
    return tuple(going)


def _send(vm: Vm, number: signal.Signals) -> bool:
    pid = vm.pid
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _together(actions: list[Callable[[], None]], seconds: float) -> None:
    left = threading.Semaphore(0)

    def run(action: Callable[[], None]) -> None:
        try:
            action()
        finally:
            left.release()

    for action in actions:
        threading.Thread(target=run, args=(action,), name="scram-suspend", daemon=True).start()
    clock = threading.Event()
    timer = threading.Timer(seconds, clock.set)
    timer.daemon = True
    timer.start()
    try:
        for _ in actions:
            while not left.acquire(timeout=0.02):
                if clock.is_set():
                    return
    finally:
        timer.cancel()

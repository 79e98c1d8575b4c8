"""What becomes of machines that are nobody's: the pool's own events, outside every task's trail."""

from __future__ import annotations

import contextlib
from typing import Final

from executor.api import Engine
from executor.errors import AuditError
from executor.trail import Recorder

ACTOR: Final = "cp20"


class Ledger:
    """Records for the pool; without a recorder (a bench, a test of the pool alone) it records nothing."""

    def __init__(self, recorder: Recorder | None, engine: Engine) -> None:
        """`engine` runs the guests."""
        self._recorder = recorder
        self._engine = engine
        self._own: set[str] = set()
        """Machines the trail knows and no task has."""

    def ready(self, vm_id: str) -> None:
        """A machine waits for its first task. Raises `AuditError`."""
        self._own.add(vm_id)
        self._emit("vm_event.READY", vm_id, {"from": "pool"})

    def handed_out(self, vm_id: str) -> None:
        """From here on a task's trail tells of it."""
        self._own.discard(vm_id)

    def taken_back(self, vm_id: str) -> None:
        """A task's trail has told that it waits again."""
        self._own.add(vm_id)

    def sick(self, vm_id: str, why: str) -> None:
        """A machine that no task has is not fit to be given to one. Raises `AuditError`."""
        self._own.add(vm_id)
        self._emit("vm_event.ZOMBIE", vm_id, {"why": why})

    def gone(self, vm_id: str, why: str) -> None:
        """A machine that no task has is destroyed; one the trail never heard of leaves none. Raises `AuditError`."""
        if vm_id in self._own:
            self._own.discard(vm_id)
            self._emit("vm_event.DESTROYED", vm_id, {"why": why})

    def gone_at_the_end(self, vm_id: str) -> None:
        """As `gone`, while everything is being closed: a trail that cannot be written keeps nothing from ending."""
        with contextlib.suppress(AuditError):
            self.gone(vm_id, "pool closed")

    def _emit(self, kind: str, vm_id: str, data: dict[str, str]) -> None:
        if self._recorder is not None:
            self._recorder.emit(kind, ACTOR, vm_id=vm_id, engine=self._engine, data=data)

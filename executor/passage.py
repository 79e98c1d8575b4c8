"""One request on its way: what is known of it so far, and how the way may end early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from executor.api import Request
from executor.channel.session import Denial
from executor.control.kill import KILLED, Killable, KillOrder
from executor.deadman import Hold
from executor.governance import Granted
from executor.intent import Command, Intent
from executor.machine import Machine
from executor.outcome import CollectedFile, CommandResult, EffectClass
from executor.policy import Decision
from executor.rollback.pack import Pack
from executor.trail import Trail
from executor.workspace import commands_of

KILL_SWITCH: Final = "kill_switch"
"""The control whose absence makes kill orders pass a task by, and what ended a command that one has reached."""


class EndError(Exception):
    """The path ends here; what it ends as."""

    def __init__(self, effect: EffectClass, reasons: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.effect = effect
        self.reasons = reasons


@dataclass(slots=True)
class Passage:
    """One request's way: what is known of it so far."""

    request: Request
    trail: Trail
    parent: Intent
    """Whose requester answers for it; of a run within a run the outer one."""
    killable: Killable
    """What kill orders reach: the parent's."""
    decision: Decision | None = None
    granted: Granted | None = None
    results: list[CommandResult] = field(default_factory=list)
    samples: list[dict[str, int]] = field(default_factory=list)
    files: tuple[CollectedFile, ...] = ()
    machine: Machine | None = None
    pack: Pack | None = None
    hold: Hold | None = None
    """The dead man's switch over the machine."""
    released: bool = False
    """Whether the release is on record; the machine may still be there."""
    learnt: int = 0
    """How many of its events the memory of requesters has."""
    ran: bool = False
    """Whether a command was started: then the budget is spent."""
    effect: EffectClass = "completed"
    reasons: tuple[str, ...] = ()
    message: str = ""

    @property
    def commands(self) -> tuple[Command, ...]:
        """What to run, in order."""
        return commands_of(self.request.intent, self.request.attempt)

    @property
    def kill_order(self) -> KillOrder | None:
        """The order to kill it, where one has come."""
        return None if KILL_SWITCH in self.request.weaken else self.killable.order

    def check_alive(self) -> None:
        """Raises `EndError` where an order has come and nothing else has ended the task: no more of it is begun."""
        if (order := self.kill_order) and self.effect in {"completed", "failed"}:
            raise self.killed(order)

    def killed(self, order: KillOrder) -> EndError:
        """`order` came while no command ran."""
        self.trail.emit("exec_event.ABORTED", "cp20", {"cause": KILLED, **order.data()})
        return EndError("aborted", (KILLED,), "it was killed while no command of it ran")

    def denied(self, denial: Denial) -> EndError:
        """The guest refused: its own check stands behind the host's."""
        self.trail.emit("exec_event.DENIED", "cp20", {"reason": denial.code})
        return EndError("refused", (denial.code,), denial.message)

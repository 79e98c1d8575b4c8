"""What lies in a task's workspace and what runs there: the intent's files and commands, its patch applied first."""

from __future__ import annotations

from executor.intent import Command, FileIn, Intent
from executor.sentinel import validation


def files_of(intent: Intent) -> tuple[FileIn, ...]:
    """Files put into the workspace before the first command."""
    return validation.files(intent) if intent.patch else intent.files


def commands_of(intent: Intent, attempt: tuple[Command, ...] | None = None) -> tuple[Command, ...]:
    """Commands in order; `attempt` stands in for the intent's own. A patch nobody can read adds none: cp14 fails it."""
    wanted = attempt or intent.commands
    return (*validation.plan(intent)[:1], *wanted) if intent.patch else wanted


def validating(intent: Intent) -> Intent | None:
    """The intent by which cp18 runs `intent`'s own tests in a sandbox; None when there is nothing that can be run."""
    commands = validation.plan(intent)
    if not commands:
        return None
    return Intent(
        intent_id=f"{intent.intent_id[:120]}.cp18",
        requester="cp18",
        commands=commands,
        priority=intent.priority,
        capabilities=validation.capabilities(intent),
        files=validation.files(intent),
        limits=intent.limits,
    )

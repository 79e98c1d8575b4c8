"""What can go wrong in the guest agent, by whose fault; each carries the stable code that is sent to the host."""

from __future__ import annotations


class AgentError(Exception):
    """Root of the agent's errors."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is `guest.<short_name>`, `message` one line for the person."""
        super().__init__(message)
        self.code = code


class DeniedError(AgentError):
    """A rule of the guest said no to one command or file; the sandbox stays as it is. Answered with `Denied`."""


class FaultError(AgentError):
    """The agent cannot go on: bad message order, broken frame, failing kernel. Sent as `Fault`, then power off."""

"""The event trail of a run against the state machine: legal in this order, exactly the expected ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executor.errors import InvalidInputError
from executor.outcome import Outcome
from executor.svf import machine
from harness.judgement.same import of_same


def complaint(trail: str | tuple[str, ...]) -> str | None:
    """Why `trail` is no trail: an unknown name or event type; None when it is one."""
    try:
        machine.match_trail((), trail)
    except InvalidInputError as error:
        return str(error)
    return None


def order_faults(outcome: Outcome) -> tuple[str, ...]:
    """Events that the state machine does not allow where they stand."""
    return _order_faults(outcome.events)


@of_same
def _order_faults(events: tuple[Mapping[str, Any], ...]) -> tuple[str, ...]:
    return tuple(str(fault) for fault in machine.check_trace(events, complete=True))


def differences(expected: str | tuple[str, ...], outcome: Outcome) -> tuple[str, ...]:
    """Missing and unexpected events, by name, against a named trail or a list of event types."""
    difference = machine.match_trail(outcome.events, expected)
    return (
        *(f"missing {name}" for name in difference.missing),
        *(f"unexpected {name}" for name in difference.unexpected),
    )


def counts(expected: str | tuple[str, ...], outcome: Outcome) -> tuple[int, int]:
    """How many events are missing and how many are unexpected."""
    difference = machine.match_trail(outcome.events, expected)
    return len(difference.missing), len(difference.unexpected)

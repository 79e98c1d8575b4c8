"""What of a run is compared between engines: verdict, effect, reasons, ends, and its events in order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, Final

from executor.outcome import Outcome
from harness.judgement.judge import is_host_weakened
from harness.judgement.runs import Role, Run

TIMED: Final = frozenset({"resource_event.MONITORED"})
"""Samples: how many there are is a matter of how long a run took, which differs between machines by design."""
PASSED_BY: Final = frozenset({"resource_event.ALERT"})
"""Where a control of the host is taken away: whether a sample falls on the way to a limit that nothing stops at is a
matter of microseconds. The judge does not look at such a run's record either."""
REPEATED: Final = frozenset({"resource_event.ALERT", "channel_event.THROTTLED"})
"""Said while a command runs, once or more: how often, and which first, depends on when a sample falls. Whether each is
said at all does not."""
POOLED: Final = frozenset({"vm_event.READY"})
"""Recorded in a task's trail only where no machine waited for it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One run as it is compared."""

    role: Role
    verdict: str
    effect: str
    reasons: tuple[str, ...]
    events: tuple[str, ...]
    detail: str
    """Exit codes and signals of the commands: shown, and compared as well."""

    def told(self) -> dict[str, Any]:
        """As JSON values, by field."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def differences(self, other: Seen) -> tuple[str, ...]:
        """In words, this run's value first."""
        found = [
            f"{name}: {mine} and {theirs}"
            for name, mine, theirs in (
                ("verdict", self.verdict, other.verdict),
                ("effect", self.effect, other.effect),
                ("reasons", self.reasons or "none", other.reasons or "none"),
                ("ends", self.detail, other.detail),
            )
            if mine != theirs
        ]
        if self.events != other.events:
            found.append(_first_event(self.events, other.events))
        return tuple(found)


def _first_event(mine: Sequence[str], theirs: Sequence[str]) -> str:
    place = next(
        (at for at, pair in enumerate(zip(mine, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(mine), len(theirs)),
    )
    one, two = (events[place] if place < len(events) else "the end" for events in (mine, theirs))
    return f"event {place + 1}: {one} and {two}"


def events_of(outcome: Outcome, left_out: frozenset[str] = TIMED | POOLED) -> tuple[str, ...]:
    """Types in order, without what is a matter of time or of the pool."""
    kinds = (kind for event in outcome.events if (kind := str(event["type"])) not in left_out)
    return tuple(
        kind
        for repeated, run in groupby(kinds, REPEATED.__contains__)
        for kind in (sorted(set(run)) if repeated else run)
    )


def seen(run: Run) -> Seen | str:
    """What is compared of `run`, or why there is nothing to compare."""
    outcome = run.outcome
    if outcome is None:
        return run.unmeasured or "no outcome"
    ends = [f"{result.cause} {result.exit_code}/{result.signal}" for result in outcome.results]
    loose = PASSED_BY if is_host_weakened(run) else frozenset()
    trail = events_of(run.whole or outcome, TIMED | POOLED | loose)
    return Seen(
        run.plan.role, outcome.verdict, outcome.effect, tuple(sorted(outcome.reasons)), trail, ", ".join(ends) or "none"
    )

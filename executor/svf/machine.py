"""The state machine of events: which orders are allowed, and which of its transitions a suite has exercised.

The machines are data (machine.yaml). `check_trace` follows each of them over a trail, once per value of its key;
`suite_coverage` says which event types and transitions were seen. Exactness against a named trail is in
`executor.svf.trails`, the drawing in `executor.svf.drawing`; both are offered here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Final

from executor import yaml_text
from executor.svf.catalogue import TYPES
from executor.svf.event import Event
from executor.svf.trails import Automaton, Difference, compiled, difference, parse_trails
from executor.svf.trails import match_trail as _match_trail

__all__ = [
    "MACHINES",
    "TRAILS",
    "TRANSITIONS",
    "TYPES",
    "Difference",
    "EventLike",
    "Fault",
    "Machine",
    "SuiteCoverage",
    "Transition",
    "check_trace",
    "match_trail",
    "suite_coverage",
    "svg",
]

EventLike = Event | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step of one machine."""

    machine: str
    name: str
    source: str
    event: str
    target: str

    def __str__(self) -> str:
        return f"{self.machine}: {self.name} ({self.source} --{self.event}--> {self.target})"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine; `key` is the field its instances are told apart by, '' for a single one."""

    name: str
    what: str
    key: str
    start: str
    final: frozenset[str]
    open: bool
    states: Mapping[str, tuple[int, int]]
    transitions: tuple[Transition, ...]
    events: frozenset[str] = field(repr=False)
    by_event: Mapping[str, tuple[Transition, ...]] = field(repr=False)
    """`transitions`, by what takes them."""

    def steps(self, states: Iterable[str], event: str) -> list[Transition]:
        """The transitions that `event` may take from any of `states`."""
        held = states if isinstance(states, frozenset) else frozenset(states)
        return [step for step in self.by_event.get(event, ()) if step.source in held]


@dataclass(frozen=True, slots=True)
class Fault:
    """An event where its machine does not allow it, or (`event` '') an instance that stopped before an end."""

    machine: str
    key: str
    seq: int
    event: str
    state: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{self.event} (seq {self.seq}) cannot come" if self.event else "the trail ends"
        after = ", ".join(self.allowed) or "nothing"
        return f"{self.machine} {self.key}: {what} in state {self.state}; allowed there: {after}".replace(" :", ":")


@dataclass(frozen=True, slots=True)
class SuiteCoverage:
    """Which types and transitions a suite has exercised; two are joined with `|`."""

    types: frozenset[str] = frozenset()
    visited: frozenset[Transition] = frozenset()

    @property
    def types_covered(self) -> int:
        """How many of the catalogue's types were seen."""
        return len(self.types)

    @property
    def types_total(self) -> int:
        """How many there are."""
        return len(TYPES)

    @property
    def transitions_covered(self) -> int:
        """How many transitions were taken."""
        return len(self.visited)

    @property
    def transitions_total(self) -> int:
        """How many there are, over all machines."""
        return len(TRANSITIONS)

    @property
    def unvisited(self) -> tuple[Transition, ...]:
        """The transitions no trail has taken, in the machines' order."""
        return tuple(step for step in TRANSITIONS if step not in self.visited)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The types no trail has shown."""
        return tuple(name for name in TYPES if name not in self.types)

    def __or__(self, other: SuiteCoverage) -> SuiteCoverage:
        return SuiteCoverage(self.types | other.types, self.visited | other.visited)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "types_covered": self.types_covered,
            "types_total": self.types_total,
            "transitions_covered": self.transitions_covered,
            "transitions_total": self.transitions_total,
            "unseen": list(self.unseen),
            "unvisited": [str(step) for step in self.unvisited],
        }


def check_trace(events: Iterable[EventLike], *, whole: bool = False, complete: bool = False) -> list[Fault]:
    """The order faults of a trail.

    `whole`: the trail begins with the log, so every machine begins at its start. `complete`: an instance that is not
    in a final state at the end is a fault too.
    """
    follow = _Follow(whole=whole)
    for event in events:
        follow.take(event)
    return [*follow.faults, *(follow.unfinished() if complete else ())]


def suite_coverage(events: Iterable[EventLike], *, whole: bool = False) -> SuiteCoverage:
    """What `events` (of any number of runs, one after another) exercise. Behind a fault nothing counts."""
    follow = _Follow(whole=whole)
    types: set[str] = set()
    for event in events:
        types.add(_get(event, "type"))
        follow.take(event)
    return SuiteCoverage(frozenset(types & TYPES.keys()), frozenset(follow.visited))


def match_trail(events: Iterable[EventLike], trail: str | Iterable[Any]) -> Difference:
    """What is missing from `events` and what is too much, against a named trail or a list of patterns."""
    seen = [_get(event, "type") for event in events]
    if isinstance(trail, str) and trail in TRAILS:
        return difference(seen, _automaton(trail))
    return _match_trail(seen, trail, TRAILS, frozenset(TYPES))


@cache
def _automaton(name: str) -> Automaton:
    """A named trail, compiled once."""
    return compiled(TRAILS[name])


def svg(coverage: SuiteCoverage) -> str:
    """The machines drawn, visited and unvisited transitions apart: one static SVG document."""
    from executor.svf.drawing import draw  # noqa: PLC0415 - only reports draw

    return draw(MACHINES.values(), coverage)


class _Follow:
    """Every machine's instances, each with the states it may be in."""

    def __init__(self, *, whole: bool) -> None:
        self.faults: list[Fault] = []
        self.visited: set[Transition] = set()
        self._whole = whole
        self._states: dict[tuple[str, str], frozenset[str]] = {}
        self._lost: set[tuple[str, str]] = set()

    def take(self, event: EventLike) -> None:
        name = _get(event, "type")
        for machine in _BY_EVENT.get(name, ()):
            key = _key(event, machine.key)
            if machine.key and not key:
                continue
            states = self._states.get((machine.name, key)) or self._entry(machine)
            steps = machine.steps(states, name)
            instance = (machine.name, key)
            if not steps:
                self.faults.append(self._fault(machine, key, states, _get(event, "seq"), name))
                # One disorder is one fault: go on from where this event leads, but count nothing of it any more.
                self._lost.add(instance)
                steps = machine.steps(machine.states, name)
            elif len(steps) == 1 and instance not in self._lost:
                self.visited.add(steps[0])
            self._states[instance] = frozenset(step.target for step in steps)

    def unfinished(self) -> Iterator[Fault]:
        for (name, key), states in self._states.items():
            machine = MACHINES[name]
            if not states & machine.final:
                yield self._fault(machine, key, states, 0, "")

    def _entry(self, machine: Machine) -> frozenset[str]:
        return frozenset(machine.states) if machine.open and not self._whole else frozenset({machine.start})

    @staticmethod
    def _fault(machine: Machine, key: str, states: frozenset[str], seq: int, event: str) -> Fault:
        allowed = sorted({step.event for step in machine.transitions if step.source in states})
        return Fault(machine.name, key, seq, event, "/".join(sorted(states)), tuple(allowed))


def _get(event: EventLike, name: str) -> Any:
    return event[name] if isinstance(event, Mapping) else getattr(event, name)


def _key(event: EventLike, path: str) -> str:
    if not path:
        return ""
    if path.startswith("data."):
        return str(_get(event, "data").get(path[5:], ""))
    return str(_get(event, path))


def _load() -> dict[str, Any]:
    text = resources.files("executor.svf").joinpath("machine.yaml").read_text("utf-8")
    raw: dict[str, Any] = yaml_text.load(text)
    return raw


def _machine(name: str, raw: Mapping[str, Any]) -> Machine:
    steps = tuple(Transition(name, *step) for step in raw["transitions"])
    events = frozenset(step.event for step in steps)
    return Machine(
        name=name,
        what=raw["what"],
        key=raw["key"],
        start=raw["start"],
        final=frozenset(raw["final"]),
        open=raw.get("open", False),
        states={state: (at[0], at[1]) for state, at in raw["states"].items()},
        transitions=steps,
        events=events,
        by_event={event: tuple(step for step in steps if step.event == event) for event in sorted(events)},
    )


_RAW: Final = _load()
MACHINES: Final[Mapping[str, Machine]] = {name: _machine(name, raw) for name, raw in _RAW["machines"].items()}
TRANSITIONS: Final[tuple[Transition, ...]] = tuple(
    step for machine in MACHINES.values() for step in machine.transitions
)
TRAILS: Final = parse_trails(_RAW["trails"], TYPES)
_BY_EVENT: Final[Mapping[str, tuple[Machine, ...]]] = {
    name: tuple(machine for machine in MACHINES.values() if name in machine.events) for name in TYPES
}

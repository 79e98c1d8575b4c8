"""Named trails: exactly which events a run must show, and what is missing or too much where it shows others.

A trail is a list of patterns, compiled to a small nondeterministic automaton. A matching trail is one path through it;
for any other the cheapest way to make it one is found (a shortest path: leaving an event out and putting one in cost 1
each), and that is the difference. It is empty both ways exactly when the trail matches.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from executor.errors import BugError, InvalidInputError

Trail = tuple["Pattern", ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One of `names`, or a group; `least` and `many` say how often."""

    names: tuple[str, ...] = ()
    group: Trail = ()
    least: int = 1
    many: bool = False
    """More than once is allowed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Expected minus seen, and seen minus expected, in order."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected)


_REPEATS: Final = {"*": (0, True), "+": (1, True), "?": (0, False)}


def parse_trails(raw: Mapping[str, Any], types: Iterable[str]) -> dict[str, Trail]:
    """The trails of machine.yaml, references resolved; raises `InvalidInputError` for an unknown event or trail."""
    known = frozenset(types)
    done: dict[str, Trail] = {}

    def resolve(name: str, above: tuple[str, ...]) -> Trail:
        if name not in raw or name in above:
            raise InvalidInputError(f"trail {above[-1] if above else name}: no trail ${name} can be put in here")
        if name not in done:
            done[name] = parse_items(raw[name], known, lambda inner: resolve(inner, (*above, name)))
        return done[name]

    for name in raw:
        resolve(name, ())
    return done


def parse_items(items: Iterable[Any], known: frozenset[str], named: Callable[[str], Trail]) -> Trail:
    """A list of patterns; `named` answers a reference."""
    found: list[Pattern] = []
    for item in items:
        if isinstance(item, str) and item.startswith("$"):
            found.extend(named(item[1:]))
        elif isinstance(item, str):
            found.append(parse_pattern(item, known))
        elif isinstance(item, Mapping):
            found.append(Pattern(group=parse_items(item["any"], known, named), least=0, many=True))
        else:
            found.append(Pattern(group=parse_items(item, known, named), many=True))
    return tuple(found)


def parse_pattern(item: str, known: frozenset[str]) -> Pattern:
    """One pattern; raises `InvalidInputError` for an unknown event type."""
    least, many = _REPEATS.get(item[-1:], (1, False))
    names = tuple((item[:-1] if item[-1:] in _REPEATS else item).split("|"))
    if unknown := sorted(set(names) - known):
        raise InvalidInputError(f"trail: no event type {unknown[0]!r:.100}")
    return Pattern(names=names, least=least, many=many)


def match_trail(
    seen: Sequence[str], trail: str | Iterable[Any], trails: Mapping[str, Trail], known: frozenset[str]
) -> Difference:
    """The difference between `seen` types and a trail: a name, or a list of patterns (which may name trails)."""

    def named(name: str) -> Trail:
        if name not in trails:
            raise InvalidInputError(f"no trail {name!r:.100}; there are {', '.join(trails)}")
        return trails[name]

    patterns = named(trail) if isinstance(trail, str) else parse_items(trail, known, named)
    return difference(seen, compiled(patterns))


def difference(seen: Sequence[str], automaton: Automaton) -> Difference:
    """The difference between `seen` types and a compiled trail."""
    return Difference() if automaton.accepts(seen) else _cheapest(seen, automaton)


@dataclass(slots=True)
class Automaton:
    """States are numbers, 0 the start and `goal` the end; `steps` consume one of the names, `free` consume nothing."""

    steps: list[list[tuple[tuple[str, ...], int]]] = field(default_factory=lambda: [[]])
    free: list[list[int]] = field(default_factory=lambda: [[]])
    goal: int = 0
    start: frozenset[int] = frozenset()
    """The states that a trail may begin in."""
    _known: dict[tuple[frozenset[int], str], frozenset[int]] = field(default_factory=dict)
    """Where an event leads to from a set of states, as far as it was asked: most trails match, and look alike."""

    def accepts(self, seen: Iterable[str]) -> bool:
        """Whether `seen` is exactly a path to the goal."""
        here = self.start
        for name in seen:
            there = self._known.get((here, name))
            if there is None:
                after = {target for state in here for names, target in self.steps[state] if name in names}
                there = self._known[here, name] = self.reached(after)
            if not there:
                return False
            here = there
        return self.goal in here

    def reached(self, states: set[int]) -> frozenset[int]:
        """`states` and all that is reached from them without an event."""
        found, left = set(states), list(states)
        while left:
            fresh = set(self.free[left.pop()]) - found
            found |= fresh
            left += fresh
        return frozenset(found)

    def new(self) -> int:
        """Another state."""
        self.steps.append([])
        self.free.append([])
        return len(self.steps) - 1

    def add(self, trail: Trail, start: int) -> int:
        """Append `trail` behind `start`; the state behind it."""
        for pattern in trail:
            if pattern.group:
                end = self.add(pattern.group, start)
            else:
                end = self.new()
                self.steps[start].append((pattern.names, end))
            after = self.new()
            self.free[end].append(after)
            if pattern.many:
                self.free[end].append(start)
            if not pattern.least:
                self.free[start].append(after)
            start = after
        return start


def compiled(trail: Trail) -> Automaton:
    """The automaton of `trail`."""
    automaton = Automaton()
    automaton.goal = automaton.add(trail, 0)
    automaton.start = automaton.reached({0})
    return automaton


def _cheapest(seen: Sequence[str], automaton: Automaton) -> Difference:
    """Dijkstra over (events consumed, state). Deterministic: ties go to the earlier found."""
    goal = automaton.goal
    start = (0, 0)
    cost = {start: 0}
    came: dict[tuple[int, int], tuple[tuple[int, int], str, str]] = {}
    order = 0
    heap = [(0, order, start)]
    while heap:
        spent, _, here = heapq.heappop(heap)
        if spent > cost[here]:
            continue
        if here == (len(seen), goal):
            return _walk_back(here, came)
        for price, there, missing, unexpected in _moves(here, seen, automaton):
            if spent + price < cost.get(there, spent + price + 1):
                cost[there] = spent + price
                came[there] = (here, missing, unexpected)
                order += 1
                heapq.heappush(heap, (spent + price, order, there))
    raise BugError("the end of a trail can always be reached by leaving out and putting in")


def _moves(
    here: tuple[int, int], seen: Sequence[str], automaton: Automaton
) -> Iterable[tuple[int, tuple[int, int], str, str]]:
    at, state = here
    for target in automaton.free[state]:
        yield 0, (at, target), "", ""
    for names, target in automaton.steps[state]:
        if at < len(seen) and seen[at] in names:
            yield 0, (at + 1, target), "", ""
        yield 1, (at, target), "|".join(names), ""
    if at < len(seen):
        yield 1, (at + 1, state), "", seen[at]


def _walk_back(here: tuple[int, int], came: Mapping[tuple[int, int], tuple[tuple[int, int], str, str]]) -> Difference:
    missing: list[str] = []
    unexpected: list[str] = []
    while here in came:
        here, lacks, extra = came[here]
        missing += [lacks] if lacks else []
        unexpected += [extra] if extra else []
    return Difference(tuple(reversed(missing)), tuple(reversed(unexpected)))

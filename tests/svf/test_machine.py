"""The event machines: what order is allowed, what a trail lacks or has too much, what a suite has exercised."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import InvalidInputError
from executor.svf import TYPES, machine
from executor.svf.machine import MACHINES, TRAILS, TRANSITIONS, SuiteCoverage
from executor.svf.trails import Difference, Pattern, Trail, _cheapest, compiled, parse_trails

EXECUTED = [
    "intent_event.SUBMITTED",
    "intent_event.REVIEWED",
    "risk_event.ASSESSED",
    "intent_event.ARBITRATED",
    "policy_event.DECIDED",
    "intent_event.APPROVED",
    "lease_event.ISSUED",
    "lease_event.VERIFIED",
    "resource_event.RESERVED",
    "task_event.QUEUED",
    "task_event.DISPATCHED",
    "vm_event.READY",
    "vm_event.ACQUIRED",
    "rollback_event.CREATED",
    "exec_event.STARTED",
    "resource_event.MONITORED",
    "exec_event.FINISHED",
    "resource_event.RELEASED",
    "vm_event.DESTROYED",
    "report_event.PUBLISHED",
]


def events(types: Sequence[str], run: str = "1") -> list[dict[str, Any]]:
    """Events of one intent and one VM; every lease that is issued is another one."""
    ids = {"intent_id": f"i{run}", "vm_id": f"v{run}", "task_id": f"t{run}", "data": {"kid": "k"}}
    found, leases = [], 0
    for seq, name in enumerate(types, 1):
        leases += name == "lease_event.ISSUED"
        found.append({"seq": seq, "type": name, "lease_id": f"l{run}-{max(leases, 1)}", **ids})
    return found


def words(trail: Trail) -> st.SearchStrategy[list[str]]:
    """Event sequences that a trail describes."""

    def word(pattern: Pattern) -> st.SearchStrategy[list[str]]:
        one = words(pattern.group) if pattern.group else st.sampled_from(pattern.names).map(lambda name: [name])
        most = 3 if pattern.many else 1
        return st.lists(one, min_size=pattern.least, max_size=most).map(lambda found: list(chain.from_iterable(found)))

    return st.tuples(*map(word, trail)).map(lambda found: list(chain.from_iterable(found)))


RUNS = sorted(
    set(TRAILS)
    - {"judged", "leased", "dispatched", "prepared", "ended", "ended_pooled", "run", "earlier", "last", "close"}
)
"""Trails of whole intents; the others are parts of them."""


@given(st.data(), st.sampled_from(RUNS))
def test_trail_matches_exactly_what_it_describes(data: st.DataObject, name: str) -> None:
    """Every sequence a trail describes has no difference from it."""
    seen = data.draw(words(TRAILS[name]))
    assert machine.match_trail(events(seen), name) == Difference()


@given(st.data(), st.sampled_from(["executed", "killed", "policy_denied", "lease_denied", "guest_denied", "aborted"]))
def test_one_event_more_or_less_is_a_difference(data: st.DataObject, name: str) -> None:
    """Of an exact trail: an event left out is missing, an event put in is unexpected, and nothing else is."""
    fixed = tuple(pattern for pattern in TRAILS[name] if pattern.names and pattern.least and not pattern.many)
    seen = [pattern.names[0] for pattern in fixed]
    spelled = list(seen)
    at = data.draw(st.integers(0, len(seen) - 1))
    gone = machine.match_trail(events(seen[:at] + seen[at + 1 :]), spelled)
    assert gone == Difference(missing=(seen[at],))
    extra = data.draw(st.sampled_from(sorted(TYPES)))
    assert machine.match_trail(events([*seen[:at], extra, *seen[at:]]), spelled) == Difference(unexpected=(extra,))


@pytest.mark.parametrize("gone", EXECUTED)
def test_dropped_event_is_named(gone: str) -> None:
    """Each event of the executed trail, dropped, is missing by name (but those that may be absent)."""
    difference = machine.match_trail(events([name for name in EXECUTED if name != gone]), "executed")
    may_be_absent = gone in {"vm_event.READY", "resource_event.MONITORED"}
    assert difference == (Difference() if may_be_absent else Difference(missing=(gone,)))


def test_swapped_events_are_both_missing_and_unexpected() -> None:
    """Order counts: two events swapped differ in both directions."""
    swapped = [*EXECUTED[:3], EXECUTED[4], EXECUTED[3], *EXECUTED[5:]]
    assert machine.match_trail(events(swapped), "executed") == Difference(
        ("intent_event.ARBITRATED",), ("intent_event.ARBITRATED",)
    )


@pytest.mark.parametrize(
    ("trail", "message"),
    [
        ("wrong", "no trail 'wrong'; there are judged"),
        (["a.B"], "no event type 'a.B'"),
        (["$wrong"], "no trail 'wrong'"),
    ],
)
def test_unknown_trails_and_events_are_refused(trail: Any, message: str) -> None:
    """A misspelt trail or event is an error, not a trail that never matches."""
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        machine.match_trail([], trail)


@given(st.data(), st.sampled_from(sorted(TRAILS)))
def test_a_trail_is_accepted_exactly_when_nothing_has_to_be_changed(data: st.DataObject, name: str) -> None:
    """The quick look at a trail and the search for its difference agree, also on what is almost one."""
    seen = data.draw(words(TRAILS[name]))
    for at in data.draw(st.lists(st.integers(0, max(len(seen) - 1, 0)), max_size=2)):
        seen = seen[:at] + data.draw(st.lists(st.sampled_from(sorted(TYPES)), max_size=1)) + seen[at + 1 :]
    automaton = compiled(TRAILS[name])
    assert automaton.accepts(seen) == automaton.accepts(seen) == (not _cheapest(seen, automaton))


def test_trails_cannot_name_each_other_in_a_circle() -> None:
    """A reference that leads back to itself is refused."""
    with pytest.raises(InvalidInputError, match=r"trail b: no trail \$a can be put in here"):
        parse_trails({"a": ["$b"], "b": ["$a"]}, TYPES)


@given(st.data(), st.sampled_from(RUNS))
def test_named_trails_are_orders_the_machines_allow(data: st.DataObject, name: str) -> None:
    """What a named trail describes has no order fault, and ends in a final state of every machine."""
    seen = data.draw(words(TRAILS[name]))
    assert machine.check_trace(events(seen), complete=True) == []


def test_fault_says_where_and_what_would_be_allowed() -> None:
    """A missing step is one fault, naming machine, event, state and what may come there."""
    seen = [name for name in EXECUTED if name != "vm_event.ACQUIRED"]
    faults = machine.check_trace(events(seen), complete=True)
    assert [str(fault) for fault in faults] == [
        (
            "intent i1: rollback_event.CREATED (seq 13) cannot come in state booted; "
            "allowed there: exec_event.ABORTED, vm_event.ACQUIRED"
        )
    ]


def test_unfinished_trail_is_a_fault_only_when_it_must_be_complete() -> None:
    """A trail that stops in the middle is legal so far, and a fault when it is over."""
    assert machine.check_trace(events(EXECUTED[:-1])) == []
    faults = machine.check_trace(events(EXECUTED[:-1]), complete=True)
    assert [(fault.machine, fault.state) for fault in faults] == [("intent", "destroyed")]


@pytest.mark.parametrize(
    "types",
    [
        ["vm_event.DESTROYED", "vm_event.ACQUIRED"],
        ["vm_event.READY", "vm_event.ACQUIRED", "vm_event.ACQUIRED"],
        ["lease_event.VERIFIED"],
        ["lease_event.ISSUED", "lease_event.REVOKED", "lease_event.VERIFIED"],
        ["channel_event.VIOLATION", "exec_event.FINISHED"],
        ["key_event.RETIRED", "key_event.ROTATED"],
        ["control_event.SCRAM", "control_event.RESUMED"],
        ["intent_event.SUBMITTED", "intent_event.APPROVED"],
    ],
    ids="-".join,
)
def test_forbidden_orders(types: list[str]) -> None:
    """What must never happen is a fault: a dead VM given out, a guest believed after a violation, and the like."""
    assert len(machine.check_trace(events(types))) >= 1


def test_pooled_machine_may_come_from_outside_the_trail_but_not_from_nowhere() -> None:
    """One intent's view may begin with a VM that was booted before; a whole log may not."""
    warm = [name for name in EXECUTED if name != "vm_event.READY"]
    assert machine.check_trace(events(warm), complete=True) == []
    assert [fault.machine for fault in machine.check_trace(events(warm), whole=True)] == ["policy", "vm"]


def test_runs_are_told_apart_by_their_ids() -> None:
    """Two intents, interleaved event by event, are two traces."""
    mixed = [event for pair in zip(events(EXECUTED, "1"), events(EXECUTED, "2"), strict=True) for event in pair]
    assert machine.check_trace(mixed, complete=True) == []


def test_coverage_counts_types_and_transitions_and_joins() -> None:
    """Coverage is what was seen of what there is, and two suites' coverages join."""
    none = SuiteCoverage()
    executed = machine.suite_coverage(events(EXECUTED))
    denied = machine.suite_coverage(events([*EXECUTED[:5], "intent_event.REJECTED"], "2"))
    assert (none.types_covered, none.transitions_covered) == (0, 0)
    assert (none.types_total, none.transitions_total) == (len(TYPES), len(TRANSITIONS))
    assert len(executed.types) == 20
    assert {step.name for step in (executed | denied).visited - executed.visited} == {"reject"}
    assert len((executed | denied).unvisited) == len(TRANSITIONS) - len((executed | denied).visited)


def test_nothing_counts_behind_a_fault() -> None:
    """A trail in the wrong order does not add transitions by its later events."""
    wrong = machine.suite_coverage(events([EXECUTED[0], *EXECUTED[2:]]))
    assert {step.name for step in wrong.visited if step.machine == "intent"} == {"submit"}


def test_every_transition_can_be_exercised() -> None:
    """Each transition lies on a path from its machine's start, so full coverage is possible; names are unique."""
    for one in MACHINES.values():
        reached, grew = {one.start}, True
        while grew:
            more = {step.target for step in one.transitions if step.source in reached}
            grew = not more <= reached
            reached |= more
        assert reached == set(one.states)
        assert {step.source for step in one.transitions} <= reached
        assert one.final <= reached
        assert len({(step.source, step.event) for step in one.transitions}) == len(one.transitions)
        assert len({step.name for step in one.transitions}) == len(one.transitions)


def test_every_type_moves_some_machine() -> None:
    """No event type is outside the machines, and the machines name no event that is not in the catalogue."""
    assert {step.event for step in TRANSITIONS} == set(TYPES)


def test_drawing_shows_every_state_and_transition_and_runs_nothing() -> None:
    """The drawing is well-formed SVG with each state and transition in it, taken ones marked, and no script or link."""
    coverage = machine.suite_coverage(events(EXECUTED))
    root = ET.fromstring(machine.svg(coverage))  # noqa: S314 - our own output
    space = "{http://www.w3.org/2000/svg}"
    labels = [
        (group.get("class"), text.text) for group in root.iter(f"{space}g") for text in group.findall(f"{space}text")
    ]
    for one in MACHINES.values():
        assert {state.replace("_", " ") for state in one.states} <= {name for _, name in labels}
    assert sorted(name or "" for kind, name in labels if kind == "taken") == sorted(
        step.name for step in coverage.visited
    )
    assert sorted(name or "" for kind, name in labels if kind == "missed") == sorted(
        step.name for step in coverage.unvisited
    )
    assert {element.tag.removeprefix(space) for element in root.iter()} == {
        "svg", "title", "style", "defs", "marker", "path", "rect", "g", "text",
    }  # fmt: skip
    assert not any("href" in name or name.startswith("on") for element in root.iter() for name in element.attrib)

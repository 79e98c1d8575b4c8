"""Procedures: read strictly, called as written, judged by the rules of scenarios; each ruling has its case."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from executor.errors import BugError, HypervisorError
from fixtures import outcomes as make
from harness import procedures
from harness.collection.procedure_runs import Observed, calls, judge, perform
from harness.document.procedure import Procedure
from harness.document.scenario import parse_text
from harness.errors import ScenarioError
from harness.judgement import facts
from harness.judgement.coverage import Covered
from harness.judgement.facts import Matcher
from harness.judgement.judge import Judgement
from harness.procedures import Registered, Stage
from harness.procedures.stage import Kept
from harness.reference import scenario_docs

ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
schema: cordon.procedure/1
id: a-deleted
title: A record is taken out
plan: escapes
tags: [smoke]
description: The chain has a gap.
procedure: audit-damage
arguments: {damage: deleted}
expect: {facts: {at: 5, believed: 0}}
breakout: {class: A, mechanism: deleted-event, refusal: {denial: svf.delete}}
controls:
  positive: {arguments: {checked: false}, expect: {facts: {at: 0, believed: 11}}}
  twin: {arguments: {damage: none}, expect: {facts: {at: 0, believed: 12}}}
"""


def parsed(text: str = TEXT) -> Procedure:
    (found,) = parse_text(text, "p.yaml", Path("/nonexistent"))
    assert isinstance(found, Procedure)
    return found


def test_a_document_is_read_with_its_controls() -> None:
    """Controls take the attempt's arguments, theirs on top; the refusal becomes a fact; the simulator is told."""
    found = parsed()
    assert [(role, dict(call.arguments)) for role, call in calls(found)] == [
        ("attempt", {"damage": "deleted"}),
        ("positive", {"damage": "deleted", "checked": False}),
        ("twin", {"damage": "none"}),
    ]
    assert found.attempt.expect.facts["refusal"] == Matcher((("equals", "denial svf.delete"),))
    assert found.positive is not None
    assert found.positive.expect.facts["refusal"] == Matcher((("equals", ""),))
    assert (found.attempt.expect.events, found.positive.expect.events) == ((), None)
    assert parsed(TEXT.replace("audit-damage", "killed-executor").replace("{damage: deleted}", "{}").replace(
        "{checked: false}", "{restart: false}").replace("{damage: none}", "{kill: false}")).unmeasured == {
        "sim": "the simulator has no QEMU processes"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("procedure: audit-damage", "procedure: audit-damge", "no procedure audit-damge; did you mean audit-damage?"),
        ("{damage: deleted}", "{damage: 7}", "p.yaml:8:21: arguments.damage: expected text"),
        ("{damage: deleted}", "{damage: none, how: x}", "p.yaml:8:32: arguments.how: audit-damage takes no such"),
        ("arguments: {damage: deleted}\n", "", "p.yaml:7:12: procedure: audit-damage needs the argument damage"),
        ("{checked: false}", "{checked: 0}", "p.yaml:12:35: controls.positive.arguments.checked: "),
        ("arguments: {checked: false}, ", "", "p.yaml:12:13: controls.positive: must take something away: "),
        ("at: 5", "at: {least: 5}", "p.yaml:9:22: expect.facts.at: unknown condition least; there are "),
        ("at: 5", "at: {matches: '('}", "p.yaml:9:22: expect.facts.at: is no regular expression: "),
        ("at: 5", "at: {at_most: x}", "p.yaml:9:22: expect.facts.at: at_most takes a number"),
        ("at: 5, believed: 0}}", "at: 5}, events: [no.AT_ALL]}", "p.yaml:9:34: expect.events: trail: no event type"),
        ("title: A record is taken out\n", "", "p.yaml:1:1: title: is required"),
        (TEXT[TEXT.index("  twin") :], "", "p.yaml:12:3: controls.twin: is required of a break-out attempt"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is(old: str, new: str, problem: str) -> None:
    """Unknown procedures, arguments, conditions and events are located problems, not failures of a run."""
    assert old in TEXT
    with pytest.raises(ScenarioError) as raised:
        parsed(TEXT.replace(old, new))
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("matcher", "good", "bad"),
    [
        (True, [True], [1, "true", None]),
        (["a"], [["a"]], [["a", "b"], "a"]),
        ({"equals": {"a": 1}}, [{"a": 1}], [{"a": 2}, {}]),
        ({"contains": "b"}, ["abc", ["a", "b"], {"b": 1}], ["ac", ["ab"], 3, None]),
        ({"absent": "b"}, ["ac", []], ["abc", ["b"]]),
        ({"matches": "^v[0-9]+$"}, ["v1"], ["x1", 1]),
        ({"at_least": 2, "at_most": 3}, [2, 3, 2.5], [1, 4, True, "2", None]),
    ],
)
def test_matchers_hold_facts_to_their_conditions(matcher: Any, good: list[Any], bad: list[Any]) -> None:
    """Each condition accepts and refuses what it says; types count: true is not 1."""
    one = Matcher.parse(matcher)
    assert [one.complaint(value) for value in good] == [None] * len(good)
    assert all(one.complaint(value) for value in bad)


def test_facts_are_compared_both_ways() -> None:
    """A fact that is missing and one that nobody expected are both differences."""
    expected = {"a": Matcher.parse(1), "b": Matcher.parse(2)}
    assert list(facts.differences(expected, {"a": 1, "c": 3})) == [
        "facts.b: was not observed",
        "facts.c: 3 was observed, and nothing is expected of it",
    ]


ATTEMPT: Mapping[str, Any] = {"refusal": "denial svf.delete", "at": 5, "believed": 0}
POSITIVE: Mapping[str, Any] = {"refusal": "", "at": 0, "believed": 11}
TWIN: Mapping[str, Any] = {"refusal": "", "at": 0, "believed": 12}


def ruled(*seen: Mapping[str, Any] | None, text: str = TEXT, **changes: Any) -> Judgement:
    """The judgement when attempt, positive control and twin observe `seen`; `changes` are the attempt's."""
    found = parsed(text)
    runs = [Observed(role, call, one) for (role, call), one in zip(calls(found), seen, strict=True)]
    attempt = runs[0]
    runs[0] = Observed(attempt.role, attempt.call, attempt.facts, **changes)
    return judge(found, runs)


@pytest.mark.parametrize(
    ("ruling", "seen", "changes"),
    [
        ("BLOCKED", (ATTEMPT, POSITIVE, TWIN), {}),
        ("ESCAPED", (POSITIVE, POSITIVE, TWIN), {}),
        ("ESCAPED", (ATTEMPT, POSITIVE, TWIN), {"alarms": ("a file was changed",)}),
        ("UNMEASURED", (None, POSITIVE, TWIN), {"unmeasured": "no device"}),
        ("DIVERGENT", ({**ATTEMPT, "at": 6}, POSITIVE, TWIN), {}),
        ("DIVERGENT", ({**ATTEMPT, "refusal": "denial svf.edit"}, POSITIVE, TWIN), {}),
        ("DIVERGENT", (ATTEMPT, POSITIVE, TWIN), {"complaints": ("released: 1 taken, 0 given back",)}),
        ("DIVERGENT", (ATTEMPT, POSITIVE, TWIN), {"undeclared": ("a VM says nothing",)}),
        ("DIVERGENT", (ATTEMPT, POSITIVE, TWIN), {"events": make.executed().events}),
        ("VACUOUS", (ATTEMPT, ATTEMPT, TWIN), {}),
        ("OVER_REFUSED", (ATTEMPT, POSITIVE, ATTEMPT), {}),
        ("UNMEASURED", (ATTEMPT, POSITIVE, None), {}),
    ],
)
def test_rulings(ruling: str, seen: tuple[Any, ...], changes: dict[str, Any]) -> None:
    """Every ruling of a break-out attempt follows from what its calls observed."""
    assert ruled(*seen, **changes).ruling == ruling


@pytest.mark.parametrize(
    ("ruling", "seen", "changes"),
    [
        ("PASSED", {"at": 5, "believed": 0}, {}),
        ("FAILED", {"at": 5}, {}),
        ("DIVERGENT", {"at": 5, "believed": 0}, {"events": make.executed().events}),
        ("ESCAPED", {"at": 5, "believed": 0}, {"alarms": ("x",)}),
    ],
)
def test_rulings_of_what_is_no_attempt(ruling: str, seen: dict[str, Any], changes: dict[str, Any]) -> None:
    """Without `breakout` a procedure passes, fails, or diverges."""
    assert ruled(seen, text=TEXT[: TEXT.index("breakout")], **changes).ruling == ruling


def test_events_are_judged_exactly_and_in_order() -> None:
    """Expected events must come, in a legal order; one that is dropped is named."""
    text = TEXT[: TEXT.index("breakout")].replace("believed: 0}}", "believed: 0}, events: [$executed]}")
    whole = make.executed()
    seen = {"at": 5, "believed": 0}
    assert ruled(seen, text=text, events=whole.events).ruling == "PASSED"
    lacking = make.without(whole, "vm_event.ACQUIRED").events
    judgement = ruled(seen, text=text, events=lacking)
    assert judgement.ruling == "DIVERGENT"
    assert "attempt: trail: missing vm_event.ACQUIRED" in map(str, judgement.findings)


class Watch:
    """Canaries that remember what they were shown."""

    said = ""
    shown: tuple[Any, ...] = ()

    def before(self, weakened: frozenset[str] = frozenset()) -> None:
        """Nothing to take stock of."""

    def after(self, *outcomes: Any, said: str = "") -> tuple[str, ...]:
        """Remember."""
        self.said, self.shown = said, outcomes
        return ()


def performed(call: Any, tmp_path: Path, **options: Any) -> tuple[Observed, Watch]:
    found = parsed()
    registered = Registered("x", call, "", {}, frozenset())
    one = Procedure(**{name: getattr(found, name) for name in found.__slots__} | {"called": registered})
    watch = Watch()
    kept = Kept(tmp_path, tmp_path)
    executor: Any = None
    plain = type(one.attempt)({}, one.attempt.expect, frozenset({"seccomp"}))
    return perform(one, "attempt", plain, executor, watch, kept, frozenset({"ioguard"})), watch


def test_a_call_gets_what_is_taken_away_and_gives_everything_back(tmp_path: Path) -> None:
    """The stage names the document's and the sabotaged controls; folders are gone afterwards; canaries see all."""
    folders = []

    def call(stage: Stage) -> Mapping[str, Any]:
        folders.append(stage.folder())
        return {"weaken": sorted(stage.weaken), "there": folders[0].is_dir(), "pair": (1, 2)}

    seen, watch = performed(call, tmp_path)
    assert seen.facts == {"weaken": ["ioguard", "seccomp"], "there": True, "pair": [1, 2]}
    assert not folders[0].exists()
    assert json.loads(watch.said)[0] == seen.facts


def test_what_an_executor_of_ones_own_records_is_covered(tmp_path: Path) -> None:
    """Its trail goes with the stage; which transitions it went through stays, also after a stop and a start."""
    kept = Kept(tmp_path / "kept", ROOT / "policies")
    shared = cast("Any", SimpleNamespace(engine="sim"))
    with kept.closing:
        stage = Stage(shared, frozenset(), kept)
        with stage.open():
            own = stage.own_executor()
            outcome = own.run(stage.request({"commands": [{"argv": ["echo", "hi"]}]}))
            own.close()
            assert kept.covered == Covered()
        assert outcome.effect == "completed"
        assert {event["type"] for event in outcome.events} <= kept.covered.types
        assert any(name.startswith("policy: load") for name in kept.covered.transitions)  # in no outcome's events


def test_what_is_broken_outside_is_unmeasured_and_a_bug_is_not(tmp_path: Path) -> None:
    """An `OutsideError` is the reason why nothing was measured; facts that are no JSON are our own mistake."""

    def broken(_stage: Stage) -> Mapping[str, Any]:
        raise HypervisorError("no QEMU")

    seen, _ = performed(broken, tmp_path)
    assert (seen.facts, seen.unmeasured) == (None, "hypervisor.failed: no QEMU")
    with pytest.raises(BugError, match="what is no JSON"):
        performed(lambda _stage: {"x": object()}, tmp_path)


def test_a_procedure_is_an_item_like_any_other(project: Any) -> None:
    """It is collected, selected by class and mechanism, run, summed up."""
    project.write("a.yaml", TEXT, project.hello("one"))
    found = project.run("--summary", "out.json", "-m", "class_a")
    found.assert_outcomes(passed=1, deselected=1)
    assert project.summary()["attempts"]["blocked"] == 1
    assert "break-outs  1 BLOCKED" in found.stdout.str()


def test_a_red_procedure_shows_yaml_and_what_was_observed(project: Any) -> None:
    """The failure names the fact, the lines of the document and everything the concerned calls observed."""
    project.write("a.yaml", TEXT.replace("at: 5", "at: 6"))
    found = project.run()
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(
        [
            "DIVERGENT: a-deleted - A record is taken out",
            "  attempt: expectation: facts.at: is 5, not 6",
            "     9 | expect: {facts: {at: 6, believed: 0}}",
            'attempt: audit-damage {"damage": "deleted"}',
            '  observed    refusal = "denial svf.delete"',
        ]
    )


def test_collecting_procedures_needs_no_hypervisor() -> None:
    """Importing every procedure leaves libvirt alone, so that collection works where it is not installed."""
    look = "import sys, harness.procedures as p; p.names(); print('libvirt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_every_procedure_is_documented() -> None:
    """The reference lists each procedure with its arguments and what it does."""
    text = scenario_docs.render()
    for name in procedures.names():
        registered = procedures.find(name)
        assert registered is not None
        assert f"- `{name}`" in text
        assert registered.summary in text

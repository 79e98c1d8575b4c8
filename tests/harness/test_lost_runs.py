"""A machine lost before a command began is no evidence: the run is tried once more, and the loss is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from executor.api import Request
from executor.outcome import EffectClass, Outcome
from fixtures import outcomes as make
from harness.document.scenario import Scenario, parse_text
from harness.judgement.judge import judge
from harness.judgement.runs import Run, perform, plans
from harness.sabotage.bait import Nobody

HELLO: Final = """\
schema: cordon.scenario/1
id: hello
title: Hello
plan: hello
description: Says hi.
intent: {requester: drill, commands: [{argv: [echo, hi]}]}
expect: {verdict: allow, effect: completed, stdout: {contains: hi}}
"""


def lost(effect: EffectClass = "aborted", *, began: bool = False) -> Outcome:
    """A machine that went."""
    whole = make.executed(make.result(stdout=b"hi"))
    events = tuple(event for event in whole.events if began or event["type"] != "exec_event.STARTED")
    reasons = ("channel.timeout",)
    return replace(whole, effect=effect, reasons=reasons, message="no answer", results=(), events=events)


@dataclass
class Scripted:
    """Comes to one outcome after the other."""

    outcomes: list[Outcome]
    engine: Literal["kvm", "tcg", "sim"] = "tcg"
    asked: list[str] = field(default_factory=list)

    def run(self, request: Request) -> Outcome:
        self.asked.append(request.intent.intent_id)
        return make.of_intent(self.outcomes[len(self.asked) - 1], request.intent.intent_id)

    def statistics(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


def tried(*outcomes: Outcome, text: str = HELLO) -> tuple[Scenario, Run, list[str]]:
    """The scenario's attempt as it went, and the ids that were asked for."""
    (one,) = parse_text(text, "x.yaml", Path())
    assert isinstance(one, Scenario)
    executor = Scripted(list(outcomes))
    return one, perform(plans(one)[0], executor, Nobody()), executor.asked


def test_a_lost_machine_is_tried_once_more_and_told() -> None:
    """The second run is judged, under an id of its own."""
    one, run, asked = tried(lost(), make.executed(make.result(stdout=b"hi")))
    assert run.lost == "channel.timeout: no answer"
    assert asked[1] == f"{asked[0]}-again" == run.plan.request.intent.intent_id
    assert judge(one, [run]).ruling == "PASSED"


def test_twice_lost_is_unmeasured() -> None:
    """It is not tried until it is green."""
    one, run, asked = tried(lost(), lost())
    assert len(asked) == 2
    assert judge(one, [run]).ruling == "UNMEASURED"


@pytest.mark.parametrize("outcome", [lost(began=True), lost("failed"), lost("denied")])
def test_what_is_evidence_is_never_tried_again(outcome: Outcome) -> None:
    """A command that began, a refusal, a failure: whatever came of it counts."""
    one, run, asked = tried(outcome)
    assert (len(asked), run.lost) == (1, "")
    assert judge(one, [run]).ruling != "PASSED"


def test_an_abort_that_is_expected_counts_at_once() -> None:
    """A drill of a broken machine is not given another."""
    text = HELLO.replace("effect: completed, stdout: {contains: hi}", "effect: aborted")
    _, run, asked = tried(lost(), text=text)
    assert (len(asked), run.lost) == (1, "")

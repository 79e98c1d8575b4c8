"""Whatever is asked, the simulator's verdict, effect and record tell the same: random requests, nothing expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor import weaken
from executor.api import Request
from executor.outcome import Outcome
from executor.service import LocalExecutor, open_executor
from harness.conform import cases
from harness.judgement import agreement, trail
from harness.judgement.judge import undeclared
from harness.judgement.modelled import unmodelled

ROOT: Final = Path(__file__).resolve().parents[2]
NUMBERS: Final = count()
EXAMPLES: Final = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""The executor is shared by the examples of a test on purpose: what one leaves behind must not change the next."""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """The simulator as the drills open it."""
    made = open_executor("sim", state=tmp_path_factory.mktemp("state"), policies=ROOT / "policies", drill=True)
    yield made
    made.close()


def took(simulator: LocalExecutor, request: Request) -> Outcome:
    """What became of `request`, under an id that was never used."""
    intent = replace(request.intent, intent_id=f"drill-generated-{next(NUMBERS)}")
    return simulator.run(replace(request, intent=intent))


def contradictions(request: Request, outcome: Outcome) -> list[str]:
    """Everything in which the outcome disagrees with itself."""
    return [*agreement.complaints(outcome), *trail.order_faults(outcome), *undeclared(request, outcome)]


@EXAMPLES
@given(request=cases.requests())
def test_verdict_effect_and_record_agree(simulator: LocalExecutor, request: Request) -> None:
    """Three accounts of each run; none contradicts another, whatever was asked, damaged or taken away in the guest."""
    outcome = took(simulator, request)
    assert unmodelled(outcome) == ""
    if not request.weaken & frozenset(weaken.HOST_CONTROLS):
        assert contradictions(request, outcome) == []
    kinds = [str(event["type"]) for event in outcome.events]
    ran = "exec_event.STARTED" in kinds
    if outcome.verdict != "allow":
        assert not ran
        assert "lease_event.ISSUED" not in kinds
        assert outcome.effect == "denied"
    assert ran == bool(outcome.results)
    assert kinds.count("vm_event.ACQUIRED") == kinds.count("vm_event.DESTROYED")
    assert kinds.count("resource_event.RESERVED") == kinds.count("resource_event.RELEASED")


@EXAMPLES
@given(request=cases.requests())
def test_a_run_is_the_same_each_time(simulator: LocalExecutor, request: Request) -> None:
    """Verdict, effect, ends and events follow from the request; nothing that an earlier run left decides."""
    first, second = (took(simulator, request) for _ in range(2))
    assert told(first) == told(second)


def told(outcome: Outcome) -> tuple[object, ...]:
    """What has to be the same in two runs of one request."""
    ends = [(one.cause, one.exit_code, one.signal) for one in outcome.results]
    kinds = [event["type"] for event in outcome.events if event["type"] != "resource_event.MONITORED"]
    return outcome.verdict, outcome.effect, outcome.reasons, ends, kinds


@EXAMPLES
@given(request=cases.requests(), at=st.integers(0, 40))
def test_a_record_that_lost_an_event_contradicts_itself(simulator: LocalExecutor, request: Request, at: int) -> None:
    """The check can fail: without any one event but a sample, an alert or an opinion, the accounts differ."""
    outcome = took(simulator, replace(request, weaken=frozenset()))
    place = at % len(outcome.events)
    less = replace(outcome, events=(*outcome.events[:place], *outcome.events[place + 1 :]))
    if outcome.events[place]["type"] not in OPTIONAL:
        assert contradictions(replace(request, weaken=frozenset()), less) != [], outcome.events[place]["type"]


OPTIONAL: Final = frozenset(
    {"resource_event.MONITORED", "resource_event.ALERT", "lease_event.COSIGNED", "intent_event.REVIEWED"}
)
"""Events that may be there or not as far as a record alone can tell."""

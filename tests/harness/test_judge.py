"""The judge: verdict, effect and events must agree, then be what was expected. Each rule has a red case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from executor.outcome import CollectedFile, Outcome
from fixtures import outcomes as make
from harness.document.expect import Expect, Refusal
from harness.document.scenario import Scenario, parse_text
from harness.judgement import agreement, comparison
from harness.judgement.judge import Judgement, judge
from harness.judgement.probe import refusal_seen
from harness.judgement.runs import Role, Run, plans

TEXT = """\
schema: cordon.scenario/1
id: attempt
title: Attempt
plan: seccomp
description: Tries.
intent: {requester: drill, commands: [{argv: [probe]}]}
expect: {verdict: allow, effect: killed, signal: SIGSYS}
breakout: {class: K, mechanism: some-call, refusal: {signal: SIGSYS}}
controls:
  positive: {weaken: [seccomp], expect: {effect: completed, stdout: {contains: GOT IN}}}
  twin: {commands: [{argv: [probe, harmless]}], expect: {effect: completed}}
"""
SIGSYS = make.result(cause="seccomp", exit_code=-1, signal=31, syscall=101, stdout=b"")

GOOD: dict[str, Outcome] = {
    "completed": make.executed(),
    "two commands": make.executed(make.result(), make.result()),
    "failed": make.executed(make.result(exit_code=3)),
    "killed by seccomp": make.executed(SIGSYS),
    "killed by a signal": make.executed(make.result(cause="signaled", signal=9)),
    "timed out": make.executed(make.result(cause="wallclock", signal=9)),
    "out of memory": make.executed(make.result(cause="oom", signal=9)),
    "disk full": make.executed(make.result(cause="disk", signal=9)),
    "too much output": make.executed(make.result(cause="output", signal=9)),
    "denied": make.denied("rules.capability_not_granted"),
    "denied twice for one reason": make.denied("commands.not_allowed", "commands.not_allowed"),
    "lease refused": make.lease_denied("lease.command"),
    "guest refused": make.guest_denied("guest.command"),
    "no machine": make.no_machine(),
}


@pytest.mark.parametrize("outcome", GOOD.values(), ids=GOOD.keys())
def test_correct_outcomes_agree_with_themselves(outcome: Outcome) -> None:
    """No rule complains about what a correct executor records."""
    assert agreement.complaints(outcome) == ()


def killed(**changes: object) -> Outcome:
    return replace(make.executed(SIGSYS), **changes)  # type: ignore[arg-type] # names are checked by replace itself


DAMAGE: dict[str, tuple[str, Callable[[], Outcome]]] = {
    "allowed yet denied": ("verdict-effect", lambda: replace(make.executed(), effect="denied", results=())),
    "denied yet completed": ("verdict-effect", lambda: replace(make.executed(), verdict="deny")),
    "allow against the decision": (
        "verdict-decision",
        lambda: replace(make.executed(), decision=make.decision("rules.x")),
    ),
    "deny against the decision": (
        "verdict-decision",
        lambda: make.without(replace(make.denied("rules.x"), decision=make.decision()), "intent_event.REJECTED"),
    ),
    "another reason than the decision's": (
        "verdict-decision",
        lambda: replace(make.denied("rules.x"), reasons=("rules.y",)),
    ),
    "another decision on record": (
        "verdict-events",
        lambda: make.with_data(make.executed(), "policy_event.DECIDED", decision=make.decision("rules.x")),
    ),
    "no decision on record": ("verdict-events", lambda: make.without(make.executed(), "policy_event.DECIDED")),
    "arbitration says otherwise": (
        "verdict-events",
        lambda: make.with_data(make.executed(), "intent_event.ARBITRATED", verdict="deny"),
    ),
    "never approved": ("verdict-events", lambda: make.without(make.executed(), "intent_event.APPROVED")),
    "a denial with a command started": (
        "nothing-ran",
        lambda: make.with_event(
            make.denied("rules.x"), make.event("exec_event.STARTED"), after="intent_event.REJECTED"
        ),
    ),
    "a denial with a result": ("nothing-ran", lambda: replace(make.denied("rules.x"), results=(make.result(),))),
    "a denial with files": (
        "nothing-ran",
        lambda: replace(make.denied("rules.x"), files=(CollectedFile("/workspace/x", 0o644, b""),)),
    ),
    "a denial with a lease": ("nothing-ran", lambda: replace(make.denied("rules.x"), lease={"lease_id": make.LEASE})),
    "a denial with a VM": (
        "nothing-ran",
        lambda: make.with_event(make.denied("rules.x"), make.event("vm_event.ACQUIRED"), after="intent_event.REJECTED"),
    ),
    "a refused lease with a command started": (
        "nothing-ran",
        lambda: make.with_event(
            make.lease_denied("lease.command"), make.event("exec_event.STARTED"), after="task_event.REJECTED"
        ),
    ),
    "a refusal that is not on record": (
        "refusal-recorded",
        lambda: make.without(
            make.without(make.lease_denied("lease.command"), "lease_event.DENIED"), "task_event.REJECTED"
        ),
    ),
    "a refusal recorded for another reason": (
        "refusal-recorded",
        lambda: replace(make.lease_denied("lease.command"), reasons=("lease.expired",)),
    ),
    "started but never ended": ("commands-events", lambda: make.without(make.executed(), "exec_event.FINISHED")),
    "ended but never started": ("commands-events", lambda: make.without(make.executed(), "exec_event.STARTED")),
    "killed in the guest, finished in the record": (
        "commands-events",
        lambda: replace(killed(), events=make.executed(make.result()).events),
    ),
    "another exit code on record": (
        "commands-events",
        lambda: make.with_data(make.executed(), "exec_event.FINISHED", exit_code=1),
    ),
    "another signal on record": ("commands-events", lambda: make.with_data(killed(), "exec_event.KILLED", signal=9)),
    "another system call on record": (
        "commands-events",
        lambda: make.with_data(killed(), "exec_event.KILLED", syscall=1),
    ),
    "another cause on record": ("commands-events", lambda: make.with_data(killed(), "exec_event.KILLED", by="signal")),
    "a cause nobody knows": (
        "commands-events",
        lambda: killed(results=(replace(SIGSYS, cause="magic"),)),
    ),
    "exit code 3 called completed": (
        "effect-results",
        lambda: replace(make.executed(make.result(exit_code=3)), effect="completed"),
    ),
    "exit code 0 called failed": ("effect-results", lambda: replace(make.executed(), effect="failed")),
    "killed called failed": ("effect-results", lambda: killed(effect="failed")),
    "completed without a result": ("effect-results", lambda: replace(make.executed(), results=())),
    "no lease handed back": ("lease-events", lambda: replace(make.executed(), lease=None)),
    "a lease never issued": ("lease-events", lambda: make.without(make.executed(), "lease_event.ISSUED")),
    "another lease": ("lease-events", lambda: replace(make.executed(), lease={"lease_id": "lease-2"})),
    "a VM left behind": ("released", lambda: make.without(make.executed(), "vm_event.DESTROYED")),
    "a budget left reserved": ("released", lambda: make.without(make.executed(), "resource_event.RELEASED")),
    "events of another intent": ("one-trace", lambda: replace(make.executed(), intent_id="other")),
    "events of another engine": ("one-trace", lambda: replace(make.executed(), engine="kvm")),
    "events of another VM": ("one-trace", lambda: replace(make.executed(), vm_id="vm-2")),
    "events out of sequence": (
        "one-trace",
        lambda: replace(make.executed(), events=make.executed().events[::-1]),
    ),
    "a breach without its event": (
        "breach-recorded",
        lambda: make.without(make.executed(make.result(cause="oom", signal=9)), "resource_event.BREACH"),
    ),
    "a breach event without a breach": (
        "breach-recorded",
        lambda: make.with_event(make.executed(), make.event("resource_event.BREACH"), after="exec_event.STARTED"),
    ),
    "a breach without an alert": (
        "alert-first",
        lambda: make.without(make.executed(make.result(cause="oom", signal=9)), "resource_event.ALERT"),
    ),
}


@pytest.mark.parametrize(("rule", "damaged"), DAMAGE.values(), ids=DAMAGE.keys())
def test_each_damage_is_noticed_by_its_rule(rule: str, damaged: Callable[[], Outcome]) -> None:
    """One thing wrong with an otherwise correct outcome is complained of by the rule that is there for it."""
    assert rule in {complaint.partition(":")[0] for complaint in agreement.complaints(damaged())}


def test_every_rule_has_a_case_that_turns_red() -> None:
    """No rule is left that no damage above sets off."""
    assert {rule for rule, _ in DAMAGE.values()} == set(agreement.RULES)


# The rulings -----------------------------------------------------------------------------------------------------


def scenario(text: str = TEXT) -> Scenario:
    (found,) = parse_text(text, "s.yaml", Path("/nonexistent"))
    assert isinstance(found, Scenario)
    return found


PLAIN = TEXT[: TEXT.index("breakout")]
BLOCKED_RUNS: dict[Role, Outcome] = {
    "attempt": make.executed(SIGSYS),
    "positive": make.executed(make.result(stdout=b"GOT IN\n"), weaken=("seccomp",)),
    "twin": make.executed(),
}


def ruled(text: str = TEXT, alarms: dict[Role, str] | None = None, **outcomes: Outcome | None) -> Judgement:
    """The judgement over blocked runs with some of the outcomes replaced; None: could not be tried."""
    one = scenario(text)
    runs = []
    for plan in plans(one):
        outcome = outcomes.get(plan.role, BLOCKED_RUNS[plan.role])
        alarm = (alarms or {}).get(plan.role)
        runs.append(Run(plan, outcome, "" if outcome else "no engine", (alarm,) if alarm else ()))
    return judge(one, runs)


def test_a_blocked_attempt_passes() -> None:
    """Refused as expected, successful in the weakened VM, harmless twin fine: BLOCKED, and nothing found."""
    assert ruled() == Judgement("BLOCKED", ())


RULINGS: dict[str, tuple[str, Callable[[], Judgement]]] = {
    "the attempt looks like the success": (
        "ESCAPED",
        lambda: ruled(attempt=make.executed(make.result(stdout=b"GOT IN"))),
    ),
    "the probe says it got through": (
        "ESCAPED",
        lambda: ruled(attempt=make.executed(make.result(exit_code=1, stdout=b"CORDON-PROBE escaped\n"))),
    ),
    "a canary is touched in the attempt": ("ESCAPED", lambda: ruled(alarms={"attempt": "/etc/passwd was changed"})),
    "a canary is touched in a control": ("ESCAPED", lambda: ruled(alarms={"twin": "/etc/passwd was changed"})),
    "the attempt cannot be tried": ("UNMEASURED", lambda: ruled(attempt=None)),
    "the positive control cannot be tried": ("UNMEASURED", lambda: ruled(positive=None)),
    "the twin cannot be tried": ("UNMEASURED", lambda: ruled(twin=None)),
    "no VM could be had for the attempt": ("UNMEASURED", lambda: ruled(attempt=make.no_machine())),
    "no VM could be had for a control": ("UNMEASURED", lambda: ruled(positive=make.no_machine())),
    "plain: no VM could be had": ("UNMEASURED", lambda: ruled(PLAIN, attempt=make.no_machine())),
    "stopped by another signal": (
        "DIVERGENT",
        lambda: ruled(attempt=make.executed(make.result(cause="signaled", signal=9, stdout=b""))),
    ),
    "stopped by policy instead": ("DIVERGENT", lambda: ruled(attempt=make.denied("rules.x"))),
    "an event of the attempt is missing": (
        "DIVERGENT",
        lambda: ruled(attempt=make.without(make.executed(SIGSYS), "exec_event.KILLED")),
    ),
    "an event of the twin is missing": (
        "DIVERGENT",
        lambda: ruled(twin=make.without(make.executed(), "vm_event.DESTROYED")),
    ),
    "the attempt ran in a weakened VM": (
        "DIVERGENT",
        lambda: ruled(attempt=make.executed(SIGSYS, weaken=("noexec",))),
    ),
    "the positive control ran at full strength": (
        "DIVERGENT",
        lambda: ruled(positive=make.executed(make.result(stdout=b"GOT IN"))),
    ),
    "the same bytes fail in the weakened VM": (
        "VACUOUS",
        lambda: ruled(positive=make.executed(SIGSYS, weaken=("seccomp",))),
    ),
    "the twin fails": ("OVER_REFUSED", lambda: ruled(twin=make.executed(make.result(exit_code=1)))),
    "the twin is killed": ("OVER_REFUSED", lambda: ruled(twin=make.executed(SIGSYS))),
    "plain: as expected": ("PASSED", lambda: ruled(PLAIN)),
    "plain: another effect": ("FAILED", lambda: ruled(PLAIN, attempt=make.executed())),
    "plain: a deny with a command started": (
        "DIVERGENT",
        lambda: ruled(
            PLAIN,
            attempt=make.with_event(
                make.denied("rules.x"), make.event("exec_event.STARTED"), after="intent_event.REJECTED"
            ),
        ),
    ),
    "plain: not tried": ("UNMEASURED", lambda: ruled(PLAIN, attempt=None)),
    "plain: a canary is touched": ("ESCAPED", lambda: ruled(PLAIN, alarms={"attempt": "a socket appeared"})),
}


@pytest.mark.parametrize(("ruling", "judged"), RULINGS.values(), ids=RULINGS.keys())
def test_rulings(ruling: str, judged: Callable[[], Judgement]) -> None:
    """Each way in which an attempt can go has its ruling; only BLOCKED and PASSED are good, and bad ones say why."""
    found = judged()
    assert found.ruling == ruling
    assert found.good == (ruling in {"BLOCKED", "PASSED"})
    assert bool(found.findings) != found.good


def test_a_dropped_event_is_named() -> None:
    """The finding for a missing event names it."""
    found = ruled(PLAIN, attempt=make.without(make.executed(SIGSYS), "vm_event.DESTROYED"))
    assert any(finding.kind == "trail" and "vm_event.DESTROYED" in finding.text for finding in found.findings)


def test_an_event_too_many_is_named() -> None:
    """The finding for an unexpected event names it."""
    extra = make.with_event(make.executed(SIGSYS), make.event("channel_event.VIOLATION"), after="exec_event.STARTED")
    found = ruled(PLAIN, attempt=extra)
    assert any(finding.kind == "trail" and "channel_event.VIOLATION" in finding.text for finding in found.findings)


def test_a_positive_control_without_a_host_control_is_not_held_to_the_record() -> None:
    """Where the host's own check was taken away, the record differs by intent: the effect alone is judged."""
    text = TEXT.replace("weaken: [seccomp]", "weaken: [policy]")
    ran_though_denied = replace(
        make.executed(make.result(stdout=b"GOT IN"), weaken=("policy",)), verdict="deny", reasons=("rules.x",)
    )
    expecting = text.replace(
        "effect: completed, stdout", "verdict: deny, reasons: [rules.x], effect: completed, stdout"
    )
    assert ruled(text, positive=ran_though_denied).ruling == "VACUOUS"
    assert "verdict" in str(ruled(text, positive=ran_though_denied).findings)
    assert expecting != text


# Expectations and refusals ----------------------------------------------------------------------------------------

EXPECT = {
    "verdict": "allow",
    "effect": "completed",
    "exit_code": 0,
    "stdout": {"equals": "hi\n", "contains": "hi", "matches": "^h.$", "absent": "bye"},
    "stderr": {"equals": ""},
    "files": {"/workspace/out": {"contains": "4"}},
}
FULL = replace(make.executed(), files=(CollectedFile("/workspace/out", 0o644, b"42"),))
DIFFERENT: dict[str, Outcome] = {
    "verdict: expected allow, got deny": replace(FULL, verdict="deny"),
    "reasons: unexpected rules.x": replace(FULL, reasons=("rules.x",)),
    "effect: expected completed, got failed": replace(FULL, effect="failed"),
    "exit_code: expected 0, got 3": replace(FULL, results=(make.result(exit_code=3),)),
    "exit_code: expected 0, got no command that ended": replace(FULL, results=()),
    "stdout: line 1 is 'hi', not 'hi\\n'": replace(FULL, results=(make.result(stdout=b"hi"),)),
    "stdout: ends before line 1: 'hi\\n'": replace(FULL, results=(make.result(stdout=b""),)),
    "stdout: has a line 2 too many: 'x'": replace(FULL, results=(make.result(stdout=b"hi\nx"),)),
    "stderr: has a line 1 too many: 'oops'": replace(FULL, results=(make.result(stderr=b"oops"),)),
    "files./workspace/out: was not handed back": replace(FULL, files=()),
    "files./workspace/out: does not contain '4'": replace(FULL, files=(replace(FULL.files[0], content=b"3"),)),
    "files./workspace/out: was refused: a link": replace(FULL, files=(replace(FULL.files[0], refused="a link"),)),
}


def test_an_outcome_as_expected_has_no_differences() -> None:
    """The full expectation is met by the outcome it describes."""
    assert comparison.differences(Expect.parse(EXPECT), FULL) == ()


@pytest.mark.parametrize(("wanted", "outcome"), DIFFERENT.items(), ids=DIFFERENT.keys())
def test_each_difference_is_told(wanted: str, outcome: Outcome) -> None:
    """One difference gives its own line."""
    assert wanted in comparison.differences(Expect.parse(EXPECT), outcome)


@pytest.mark.parametrize(
    ("match", "text", "complaint"),
    [
        ({"contains": "x"}, "hi", "does not contain 'x'"),
        ({"matches": "^x"}, "hi", "does not match /^x/"),
        ({"absent": "h"}, "hi", "contains 'h', which must not be there"),
        ({"equals": "", "absent": "h"}, "", None),
    ],
)
def test_matches(match: dict[str, str], text: str, complaint: str | None) -> None:
    """Every condition of a match is asked."""
    found = Expect.parse({"effect": "completed", "stdout": match}).stdout
    assert found is not None
    assert found.complaint(text) == complaint


@pytest.mark.parametrize(
    ("refusal", "outcome", "seen"),
    [
        (Refusal("signal", "SIGSYS"), make.executed(SIGSYS), None),
        (Refusal("signal", "SIGSYS"), make.executed(), "expected signal SIGSYS, saw no signal"),
        (
            Refusal("signal", "SIGSYS"),
            make.executed(make.result(cause="signaled", signal=9)),
            "expected signal SIGSYS, saw SIGKILL",
        ),
        (Refusal("denial", "rules.x"), make.denied("rules.x"), None),
        (Refusal("denial", "rules.x"), make.denied("rules.y"), "expected denial rules.x, saw rules.y"),
        (Refusal("denial", "rules.x"), make.executed(), "expected denial rules.x, saw no reason code"),
        (Refusal("errno", "EPERM"), make.executed(make.result(stdout=b"CORDON-PROBE errno=EPERM\n")), None),
        (
            Refusal("errno", "EPERM"),
            make.executed(make.result(stdout=b"CORDON-PROBE errno=EPERM\nCORDON-PROBE errno=ENOENT\n")),
            "expected errno EPERM, the probe said EPERM, ENOENT",
        ),
        (
            Refusal("errno", "EPERM"),
            make.executed(make.result(stdout=b"I got EPERM")),
            "expected errno EPERM, the probe said nothing",
        ),
        (
            Refusal("errno", "EROFS"),
            make.executed(make.result(exit_code=1, stderr=b"touch: cannot touch 'x': Read-only file system\n")),
            None,
        ),
        (Refusal("absence", "/dev/kvm"), make.executed(make.result(stdout=b"CORDON-PROBE absent=/dev/kvm\n")), None),
        (
            Refusal("absence", "/dev/kvm"),
            make.executed(make.result(stdout=b"CORDON-PROBE absent=/dev/mem\n")),
            "expected absence /dev/kvm, the probe said /dev/mem",
        ),
    ],
)
def test_refusal_classes(refusal: Refusal, outcome: Outcome, seen: str | None) -> None:
    """Each class of refusal is recognised by its own evidence and by nothing else."""
    assert refusal_seen(refusal, outcome) == seen

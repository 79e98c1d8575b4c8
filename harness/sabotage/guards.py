"""Guards of the harness, each with the bait that only it can catch.

Taking a guard away can turn nothing red that is green: it makes the harness see less. So each guard is shown a run that
is wrong in one way. With the guard the judgement must be red; without it, green: then this guard, and no other, is what
sees it. The runs are real ones (a smoke scenario, an attempt with its controls); the bait damages what is said of them,
or really touches the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.collection.drill_session import DrillSession
from harness.document.scenario import Scenario
from harness.errors import ReportError
from harness.judgement.judge import GOOD, Sight, judge
from harness.judgement.runs import Role, Run, perform, plans
from harness.sabotage import bait
from harness.sabotage.cases import Case


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a bait."""

    subject: str
    """The scenario whose run was the bait."""
    ruling: str
    red: bool
    finding: str


class Stand:
    """The runs that baits are made of, each made once, when it is first needed."""

    def __init__(self, session: DrillSession, cases: Sequence[Case]) -> None:
        """`cases`: every case of the suite."""
        self.session = session
        self._cases = cases
        self._runs: dict[str, tuple[Scenario, tuple[Run, ...]]] = {}

    def plain(self) -> tuple[Scenario, tuple[Run, ...]]:
        """A scenario that completes, and its run."""
        return self._made("plain", lambda one: one.plan == "hello" and one.expect.effect == "completed")

    def attempt(self) -> tuple[Scenario, tuple[Run, ...]]:
        """A break-out attempt that a signal ends, with its controls."""
        return self._made(
            "attempt", lambda one: one.breakout is not None and one.breakout.refusal.kind == "signal" and not one.member
        )

    def _made(self, name: str, fits: Callable[[Scenario], bool]) -> tuple[Scenario, tuple[Run, ...]]:
        if name not in self._runs:
            all_of = (case.first for case in self._cases)
            scenario = next((one for one in all_of if isinstance(one, Scenario) and fits(one)), None)
            if scenario is None:
                raise ReportError(f"no scenario of the suite can be the bait called {name}")
            executor, watch = self.session.executor(), self.session.watch()
            self._runs[name] = (scenario, tuple(perform(plan, executor, watch) for plan in plans(scenario)))
        return self._runs[name]

    def close(self) -> None:
        """Forget the runs."""
        self._runs.clear()


Bait = Callable[[Stand], tuple[Scenario, Sequence[Run]]]
Trial = Callable[[Stand, bool], Tried]


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: what its absence means, and its trial."""

    what: str
    trial: Trial

    def tried(self, stand: Stand, *, blind: bool) -> Tried:
        """Show it its bait, with or without the guard."""
        return self.trial(stand, blind)


def _judge(sight: Sight, made: Bait) -> Trial:
    """A guard of the judge's."""

    def trial(stand: Stand, blind: bool) -> Tried:  # noqa: FBT001 - the two sides of one trial
        scenario, runs = made(stand)
        ruling = judge(scenario, runs, blind=frozenset({sight}) if blind else frozenset())
        said = str(ruling.findings[0]) if ruling.findings else ruling.ruling
        return Tried(scenario.id, ruling.ruling, ruling.ruling not in GOOD, said)

    return trial


def _canary(name: str) -> Trial:
    """A canary on the host: really touched while a real run goes on."""

    def trial(stand: Stand, blind: bool) -> Tried:  # noqa: FBT001 - the two sides of one trial
        scenario, runs = stand.plain()
        watch = stand.session.watch()
        kept, writes = watch.blind, watch.writes_outside
        watch.blind = frozenset({name}) if blind else frozenset()
        try:
            watch.before()
            with bait.touched(name, watch) as printed:
                outcome = runs[0].outcome
                if printed and outcome is not None:
                    plan = plans(replace(scenario, intent=bait.printing(scenario.intent, printed)))[0]
                    outcome = perform(plan, stand.session.executor(), bait.Nobody()).outcome
                alarms = watch.after(outcome)
        finally:
            watch.blind, watch.writes_outside = kept, writes
        ruling = judge(scenario, (replace(runs[0], alarms=alarms),))
        return Tried(scenario.id, ruling.ruling, ruling.ruling not in GOOD, alarms[0] if alarms else "no alarm")

    return trial


def _outside(subject: str, complaint: Callable[[bool], str]) -> Trial:
    """A guard around the judge: what it complains of, empty when it is content."""

    def trial(_stand: Stand, blind: bool) -> Tried:  # noqa: FBT001 - the two sides of one trial
        said = complaint(blind)
        return Tried(subject, "FAILED" if said else "PASSED", bool(said), said or "no complaint")

    return trial


def _one(change: Callable[[Run], Run], role: Role = "attempt") -> Bait:
    """The attempt's runs with one of them changed."""

    def made(stand: Stand) -> tuple[Scenario, Sequence[Run]]:
        scenario, runs = stand.attempt()
        return scenario, [change(run) if run.plan.role == role else run for run in runs]

    return made


def _control_like_attempt(role: Role) -> Bait:
    """A control run that ended as the attempt did: a positive control that does not succeed, a twin that is refused."""

    def made(stand: Stand) -> tuple[Scenario, Sequence[Run]]:
        scenario, runs = stand.attempt()
        attempt = next(run for run in runs if run.plan.role == "attempt")
        return scenario, [bait.as_if(run, attempt) if run.plan.role == role else run for run in runs]

    return made


def _plain(change: Callable[[Run], Run]) -> Bait:
    def made(stand: Stand) -> tuple[Scenario, Sequence[Run]]:
        scenario, runs = stand.plain()
        return scenario, [change(run) for run in runs]

    return made


def _refused_otherwise(stand: Stand) -> tuple[Scenario, Sequence[Run]]:
    scenario, runs = stand.attempt()
    return bait.refusal_of_another_kind(scenario), runs


def _wrong_trail_too(stand: Stand) -> tuple[Scenario, Sequence[Run]]:
    scenario, runs = stand.plain()
    return scenario, [bait.destroyed_before_released(run) for run in runs]


GUARDS: Final[dict[str, Guard]] = {
    "canary_secrets": Guard("nobody looks for planted secrets in what comes out of a guest", _canary("secrets")),
    "canary_files": Guard("nobody compares the host's watched files before and after", _canary("files")),
    "canary_processes": Guard("nobody looks for new processes on the host", _canary("processes")),
    "canary_sockets": Guard("nobody looks for new sockets on the host", _canary("sockets")),
    "canary_packets": Guard("nobody looks for packets beyond the grants", _canary("packets")),
    "judge_effect": Guard("effect and output are not compared", _judge("expectation", _plain(bait.other_output))),
    "judge_agreement": Guard(
        "verdict, effect and record need not agree", _judge("agreement", _plain(bait.other_decision))
    ),
    "judge_trail": Guard("events may be missing or too many", _judge("trail", _plain(bait.one_event_more))),
    "judge_order": Guard("events may come in any order", _judge("order", _wrong_trail_too)),
    "judge_weakened": Guard("a weakened machine passes for whole", _judge("weaken", _plain(bait.weakened_secretly))),
    "judge_refusal": Guard("any refusal is taken for the expected one", _judge("refusal", _refused_otherwise)),
    "judge_word": Guard("a probe's word that it got through is not heard", _judge("word", _one(bait.says_escaped))),
    "judge_positive": Guard(
        "an attempt need not succeed in the weakened machine", _judge("positive", _control_like_attempt("positive"))
    ),
    "judge_twin": Guard("the harmless twin need not work", _judge("twin", _control_like_attempt("twin"))),
    "judge_untried": Guard(
        "a control that could not be tried counts as good", _judge("unmeasured", _one(bait.not_tried, "positive"))
    ),
    "summary_faults": Guard("a summary with an escape is green", _outside("the summary", bait.escape_in_summary)),
    "attestation": Guard("a changed summary passes as signed", _outside("the attestation", bait.changed_summary)),
    "report_check": Guard("nobody opens the report", _outside("the report", bait.report_without_a_scenario)),
}
"""Name -> guard. Every one is tried by `cordon drills sabotage`, and is a line of the matrix like any other control."""

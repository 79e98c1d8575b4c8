"""Sabotage: a control counts as caught only when a scenario that was green turns red without it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import pytest

from cordon.__main__ import main
from executor import weaken
from executor.api import Request
from executor.clock import SystemClock
from executor.network import Network
from executor.outcome import Outcome
from fixtures import outcomes as make
from fixtures.test_hosts import HOSTS, World
from harness.collection.drill_session import DrillSession
from harness.document.scenario import Scenario, parse_text
from harness.errors import ReportError
from harness.judgement.runs import plans
from harness.sabotage.cases import candidates, group
from harness.sabotage.guards import GUARDS, Stand
from harness.sabotage.matrix import Matrix, Row, controls, merged, resumed
from harness.sabotage.sweep import Sweep, sweep
from harness.watch.packet_watch import PacketWatch

HELLO: Final = """\
schema: cordon.scenario/1
id: hello
title: Hello
plan: hello
description: Says hi.
notices: [cgroup]
intent: {requester: drill, commands: [{argv: [echo, hi]}]}
expect: {verdict: allow, effect: completed, stdout: {contains: hi}}
"""
ATTEMPT: Final = """\
schema: cordon.scenario/1
id: attempt
title: Attempt
plan: seccomp
description: Tries.
intent: {requester: drill, commands: [{argv: [kill-me]}]}
expect: {verdict: allow, effect: killed, signal: SIGSYS}
breakout: {class: K, mechanism: some-call, refusal: {signal: SIGSYS}}
controls:
  positive: {weaken: [seccomp, landlock], expect: {effect: completed, stdout: {contains: GOT IN}}}
  twin: {commands: [{argv: [echo, hi]}], expect: {effect: completed}}
"""
NARROW: Final = ATTEMPT.replace("id: attempt", "id: narrow").replace("[seccomp, landlock]", "[seccomp]")
BROKEN: Final = HELLO.replace("id: hello", "id: broken").replace("[echo, hi]", "[fails]")


@dataclass
class Scripted:
    """An executor whose seccomp filter matters, whose Landlock rules do not."""

    engine: str = "tcg"
    ran: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    def run(self, request: Request) -> Outcome:
        word = request.intent.commands[0].argv[0]
        self.ran.append((word, request.weaken))
        names = tuple(sorted(request.weaken))
        if word == "kill-me" and "seccomp" not in request.weaken:
            killed = make.result(cause="seccomp", exit_code=-1, signal=31, syscall=101, stdout=b"")
            outcome = make.executed(killed, weaken=names)
        elif word == "fails" or "cgroup" in request.weaken:
            outcome = make.executed(make.result(exit_code=3), weaken=names)
        else:
            printed = b"GOT IN" if word == "kill-me" else " ".join(request.intent.commands[0].argv[1:]).encode()
            outcome = make.executed(make.result(stdout=printed), weaken=names)
        return make.of_intent(outcome, request.intent.intent_id)

    def statistics(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return


def scenarios(*texts: str) -> list[Scenario]:
    """The scenarios of several documents."""
    return [one for one in parse_text("---\n".join(texts), "x.yaml", Path()) if isinstance(one, Scenario)]


@pytest.fixture
def session(tmp_path: Path) -> DrillSession:
    """A session with the scripted executor."""
    return DrillSession(
        engine="tcg",
        policies=tmp_path / "policies",
        state=tmp_path / "state",
        progress=lambda _: None,
        opener=lambda _: cast("Any", Scripted()),
    )


def sweep_of(session: DrillSession, *texts: str, thorough: bool = False) -> Sweep:
    return Sweep(session, group(scenarios(*texts), "tcg"), thorough=thorough)


def test_candidates_are_found_in_the_scenarios_the_narrowest_first() -> None:
    """A scenario that declares itself comes first, then those whose positive control takes away least."""
    cases = group(scenarios(ATTEMPT, HELLO, NARROW), "tcg")
    assert [case.name for case in candidates("seccomp", cases)] == ["narrow", "attempt"]
    assert [case.name for case in candidates("landlock", cases)] == ["attempt"]
    assert [case.name for case in candidates("cgroup", cases)] == ["hello"]
    assert candidates("quota", cases) == []


def test_what_cannot_be_tried_on_the_engine_is_no_candidate() -> None:
    """A scenario listed as unmeasured on this engine would only ever be UNMEASURED."""
    text = ATTEMPT + "unmeasured: [{engine: tcg, reason: needs hardware}]\n"
    assert group(scenarios(text), "tcg") == []
    assert len(group(scenarios(text), "kvm")) == 1


def test_a_control_is_caught_by_a_scenario_that_turns_red(session: DrillSession) -> None:
    """The first that notices is enough; it was green with the control in place."""
    row = sweep_of(session, ATTEMPT, NARROW).control("seccomp")
    assert (row.caught_by, dict(row.rulings)) == (("narrow",), {"narrow": "DIVERGENT"})
    assert row.finding.startswith("narrow: attempt: expectation: effect: expected killed, got completed")
    assert cast("Scripted", session.executor()).ran == [("kill-me", frozenset({"seccomp"})), ("kill-me", frozenset())]


def test_thorough_tries_every_candidate(session: DrillSession) -> None:
    """The whole column is filled when that is asked for."""
    row = sweep_of(session, ATTEMPT, NARROW, thorough=True).control("seccomp")
    assert row.caught_by == ("narrow", "attempt")


def test_a_control_nobody_notices_is_not_caught(session: DrillSession) -> None:
    """Another layer stops the attempt all the same: the control is named, with what was tried."""
    row = sweep_of(session, ATTEMPT).control("landlock")
    assert not row.caught
    assert row.finding == "nobody notices: tried attempt"
    assert dict(row.rulings) == {"attempt": "BLOCKED"}


def test_a_control_without_a_scenario_is_not_caught(session: DrillSession) -> None:
    """A new control is missed until a scenario takes it away."""
    row = sweep_of(session, ATTEMPT).control("quota")
    assert (row.caught, row.finding) == (False, "no scenario takes it away or `notices` it")


def test_a_scenario_that_is_red_anyway_notices_nothing(session: DrillSession) -> None:
    """Red without the control and red with it proves nothing."""
    assert not sweep_of(session, BROKEN).control("cgroup").caught
    assert sweep_of(session, BROKEN, HELLO).control("cgroup").caught_by == ("hello",)


@pytest.mark.parametrize("name", [name for name in GUARDS if name != "report_check"])
def test_each_guard_sees_its_bait_and_nothing_else_does(session: DrillSession, name: str) -> None:
    """Red with the guard, green without it."""
    if name == "canary_packets":
        _give_it_a_network(session)
    row = sweep_of(session, ATTEMPT).guard(name, Stand(session, group(scenarios(HELLO, ATTEMPT), "tcg")))
    assert row.caught, row.finding
    session.close()


def _give_it_a_network(session: DrillSession) -> None:
    """The scripted executor has none: a real one beside it, with the sentinel on it."""
    world = World()
    network = Network(world.config(), SystemClock())
    session.watch().packets = PacketWatch(network, HOSTS)
    for closing in (network, world):
        session.kept.closing.callback(closing.close)


@pytest.mark.report
def test_the_report_check_sees_a_missing_scenario(session: DrillSession) -> None:
    """A real report, opened in a real browser: without the check nobody would know."""
    row = sweep_of(session, ATTEMPT).guard("report_check", Stand(session, []))
    assert row.finding == "the report does not show 'A scenario that was left out'"


def test_every_control_and_every_guard_is_in_the_matrix() -> None:
    """What weaken.py can take away is swept, whoever added it; so are the harness's own guards."""
    assert set(controls()) == weaken.ALL | set(GUARDS)
    assert not weaken.ALL & set(GUARDS)


def test_a_sweep_goes_on_where_it_was_interrupted(session: DrillSession, tmp_path: Path) -> None:
    """Rows are kept one by one; what was missed is tried again; other sources start from nothing."""
    target, said = tmp_path / "sabotage.json", list[str]()
    cases = group(scenarios(HELLO, NARROW), "tcg")

    def run(matrix: Matrix) -> list[tuple[str, frozenset[str]]]:
        before = len(cast("Scripted", session.executor()).ran)
        sweep(session, cases, matrix=matrix, keep=lambda m: m.write(target), say=said.append)
        return cast("Scripted", session.executor()).ran[before:]

    empty = Matrix("f", "tcg", ("seccomp", "cgroup", "quota"))
    assert len(run(replace(empty, rows={}))) == 4
    known = resumed(target, empty)
    assert list(known.rows) == ["seccomp", "cgroup"]
    assert run(known) == []
    assert said[3] == "sabotage: 2 controls are known from an earlier sweep over the same sources"
    assert resumed(target, replace(empty, fingerprint="g")).rows == {}
    assert resumed(target, replace(empty, engine="kvm")).rows == {}
    assert resumed(tmp_path / "none.json", empty).rows == {}


def test_a_missed_control_is_named_and_counted() -> None:
    """The figures of the summary tell how many of all controls were caught."""
    row = Row("seccomp", "guest", "no filter", {"x": "ESCAPED"}, ("x",), "x: said", 1.0)
    rows = {"seccomp": row, "quota": replace(row, control="quota", caught_by=())}
    matrix = Matrix("f", "tcg", ("seccomp", "quota", "landlock"), rows)
    assert matrix.figures() == {"controls": 3, "caught": 1}
    assert matrix.to_json()["missed"] == ["quota", "landlock"]  # the one nobody noticed, and one that was not tried


def test_parts_of_a_sweep_become_one() -> None:
    """Shards and processes share the controls; what none of them tried is missed; other sources do not mix."""
    row = Row("seccomp", "guest", "no filter", {"x": "ESCAPED"}, ("x",), "x: said", 1.0)
    one = Matrix("f", "tcg", ("quota", "landlock"), {"quota": replace(row, control="quota")}).to_json()
    two = Matrix("f", "tcg", ("seccomp",), {"seccomp": row}).to_json()
    both = merged([one, two])
    assert [raw["control"] for raw in both["rows"]] == ["seccomp", "quota"]
    assert (both["controls"], both["caught"], both["missed"]) == (3, 2, ["landlock"])
    with pytest.raises(ReportError, match="different sources"):
        merged([one, {**two, "fingerprint": "g"}])


def test_an_unknown_control_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake must not look like a sweep that found nothing."""
    assert main(["drills", "sabotage", "--control", "secomp"]) == 2
    assert "no such control: secomp; there are seccomp" in capsys.readouterr().err


def test_layers_that_failed_already_are_gone_in_every_run() -> None:
    """`without` takes a layer away in the attempt too: the next one has to hold by itself."""
    (scenario,) = scenarios(ATTEMPT + "without: [lockdown]\n")
    taken = [plan.request.weaken for plan in plans(scenario, frozenset({"quota"}))]
    both = {"lockdown", "quota"}
    assert taken == [both, both | {"seccomp", "landlock"}, both]

"""The simulator against what drills recorded: equal where it is, DIVERGENT where model or record is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cordon.__main__ import main
from executor.service import LocalExecutor, open_executor
from executor.sim.kernel.filter import ALLOW, Filter
from fixtures import outcomes as make
from harness.collection.shard import Shard
from harness.conform import corpus, kept, recorded
from harness.conform.asked import digest
from harness.conform.run import Nothing, Report
from harness.conform.seen import Seen, events_of, seen
from harness.errors import ReportError
from harness.judgement.coverage import Covered
from harness.judgement.runs import Run, own_part, perform
from harness.report import records
from harness.report.faults import faults

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = (ROOT / "scenarios/hello_staging.yaml", ROOT / "scenarios/seccomp/forbidden_syscall.yaml")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """The simulator as the drills open it."""
    made = open_executor("sim", state=tmp_path_factory.mktemp("state"), policies=ROOT / "policies", drill=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def found() -> corpus.Corpus:
    """Two scenarios: one that just runs, one of three runs."""
    return corpus.load(FILES)


def policy(simulator: LocalExecutor) -> str:
    """Digest of the policies in use."""
    return str(simulator.facts["digests"]["policy"])


@pytest.fixture(scope="module")
def made(simulator: LocalExecutor, found: corpus.Corpus) -> list[dict[str, Any]]:
    """Records as the drills leave them; what stands for the real machines is the simulator before it is changed."""
    left = []
    for scenario in (one for group in found.groups for one in group.scenarios):
        runs = [
            own_part(perform(plan, simulator, Nothing()), scenario) for plan in corpus.Group("", (scenario,)).plans()
        ]
        facts = {"digests": {"policy": policy(simulator)}}
        left.append({"id": scenario.id, "runs": [{"engine": "tcg"}], "facts": facts, "compared": recorded.of(runs)})
    return left


def saved(folder: Path, left: list[dict[str, Any]]) -> Path:
    """A folder of drills with these records."""
    records.write(folder / records.FILE, left, Covered())
    return folder


def compared(simulator: LocalExecutor, found: corpus.Corpus, folder: Path, part: Shard | None = None) -> Report:
    """The comparison with what is in `folder`."""
    held = recorded.read(folder, policy(simulator))
    report = Report(held.engine)
    recorded.compare(report, found, simulator, held, part=part)
    return report


def test_what_was_recorded_is_found_again(
    simulator: LocalExecutor, found: corpus.Corpus, made: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The same requests, run again on the simulator, come to the same; parts of it make the whole."""
    folder = saved(tmp_path, made)
    report = compared(simulator, found, folder)
    assert [(one.state, one.why) for one in report.compared] == [("EQUAL", ())] * 2
    parts = [kept.to_json(compared(simulator, found, folder, Shard(number, 2))) for number in (1, 2)]
    whole = kept.merged(parts)
    assert [one["id"] for one in whole["compared"]] == sorted(one["id"] for one in made)
    assert kept.figures(whole, bar=90)["equal"] == 2


def test_a_changed_model_diverges(
    simulator: LocalExecutor,
    found: corpus.Corpus,
    made: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel model that lets every call through tells something else of the call that kills, and of that alone."""
    folder = saved(tmp_path, made)
    monkeypatch.setattr(Filter, "answer", lambda *_: ALLOW)
    report = compared(simulator, found, folder)
    assert [one.state for one in report.compared] == ["EQUAL", "DIVERGENT"]
    assert report.divergent[0].why[0] == "attempt: effect: completed and killed"
    summary = {"conformance": kept.figures(kept.to_json(report), bar=0)}
    assert [text for text in faults({**GOOD, **summary}) if text.startswith("simulator: forbidden-syscall: attempt:")]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("verdict", "deny", "attempt: verdict: allow and deny"),
        ("effect", "killed", "attempt: effect: completed and killed"),
        ("detail", "exited 1/0", "attempt: ends: exited 0/0 and exited 1/0"),
        ("reasons", ["x.y"], "attempt: reasons: none and ('x.y',)"),
        ("events", ["intent_event.SUBMITTED"], "attempt: event 2: intent_event.REVIEWED and the end"),
    ],
)
def test_a_changed_record_diverges(
    simulator: LocalExecutor,
    found: corpus.Corpus,
    made: list[dict[str, Any]],
    tmp_path: Path,
    name: str,
    value: object,
    told: str,
) -> None:
    """Whatever is compared, one change of it in the record is found."""
    first, *others = json.loads(json.dumps(made))
    first["compared"][0]["seen"][name] = value
    report = compared(simulator, found, saved(tmp_path, [first, *others]))
    assert [(one.state, one.why) for one in report.compared] == [("DIVERGENT", (told,)), ("EQUAL", ())]


def test_a_scenario_changed_since_is_stale(
    simulator: LocalExecutor, found: corpus.Corpus, made: list[dict[str, Any]], tmp_path: Path
) -> None:
    """What was recorded of another request says nothing of this one and does not pass; nor does a missing run."""
    folder = saved(tmp_path, made)
    first, second = found.groups
    intent = replace(first.scenarios[0].intent, env={"LANG": "C"})
    changed = replace(first, scenarios=(replace(first.scenarios[0], intent=intent),))
    report = compared(simulator, replace(found, groups=(changed, second)), folder)
    assert [one.state for one in report.compared] == ["STALE", "EQUAL"]
    assert report.wrong == report.compared[:1]
    less = json.loads(json.dumps(made))
    del less[1]["compared"][1]
    assert compared(simulator, found, saved(tmp_path, less)).compared[1].state == "STALE"


def test_a_record_that_is_no_evidence_is_refused(
    simulator: LocalExecutor, made: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Of other policies, of the simulator itself, of several engines, of another version, of nothing at all."""
    for left, told in (
        ([{**one, "facts": {"digests": {"policy": "sha256:other"}}} for one in made], "of other policies"),
        ([{**one, "runs": [{"engine": "sim"}]} for one in made], "the simulator's own"),
        ([*made[:1], {**made[1], "runs": [{"engine": "kvm"}]}], "of several engines"),
        ([{**made[0], "compared": [{"role": "attempt"}]}], "cannot be read as runs"),
        ([{**one, "compared": []} for one in made], "holds no run"),
    ):
        with pytest.raises(ReportError, match=told):
            recorded.read(saved(tmp_path, left), policy(simulator))


def test_what_the_machines_could_not_try_is_not_compared(
    simulator: LocalExecutor, found: corpus.Corpus, made: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A scenario without an outcome is UNMEASURED, with its reason; one that the record lacks is counted."""
    plan = found.groups[0].plans()[0]
    left = [{**made[0], "compared": recorded.of([Run(plan, None, "no such device")])}, made[1]]
    report = compared(simulator, found, saved(tmp_path, left))
    assert (report.compared[0].state, report.compared[0].why) == ("UNMEASURED", ("no such device",))
    report = compared(simulator, found, saved(tmp_path, made[1:]))
    assert (report.unrecorded, [one.state for one in report.compared]) == (1, ["EQUAL"])


def test_the_digest_is_of_all_that_is_asked(found: corpus.Corpus) -> None:
    """Another id is the same request; anything else is another."""
    one, again = (found.groups[0].plans()[0].request for _ in range(2))
    assert one.intent.intent_id != again.intent.intent_id
    assert digest(one) == digest(again)
    others = [
        replace(one, weaken=frozenset({"seccomp"})),
        replace(one, approvals=()),
        replace(one, tamper={"limits.pids": 1}),
        replace(one, life=replace(one.life, ttl_s=1)),
        replace(one, intent=replace(one.intent, env={"A": "b"})),
    ]
    assert len({digest(one), *map(digest, others)}) == len(others) + 1


def test_an_alert_counts_unless_a_control_of_the_host_is_gone(found: corpus.Corpus) -> None:
    """On the way to a limit that nothing stops at a sample may fall or not; everywhere else an alert is compared."""
    plan = found.groups[1].plans()[1]
    assert plan.role == "positive"
    alerted = make.executed()
    alerted = replace(alerted, events=(*alerted.events, make.event("resource_event.ALERT", "cp19")))
    without = replace(plan, request=replace(plan.request, weaken=frozenset({"host_quota"})))
    for one, counts in ((plan, True), (without, False)):
        kinds = seen(Run(one, alerted))
        assert isinstance(kinds, Seen)
        assert ("resource_event.ALERT" in kinds.events) is counts


def test_how_often_a_sample_says_something_is_no_difference() -> None:
    """Alerts and throttling count once for each stretch, in no order of their own; one that is missing is missed."""
    ended, alert, slow = "exec_event.FINISHED", "resource_event.ALERT", "channel_event.THROTTLED"

    def told(*kinds: str) -> tuple[str, ...]:
        return events_of(replace(make.executed(), events=tuple(make.event(kind, "cp19") for kind in kinds)))

    assert told(alert, slow, alert, ended, alert) == told(slow, alert, ended, alert, alert)
    assert len({told(alert, ended), told(ended), told(ended, alert), told(slow, ended), told(alert, slow, ended)}) == 5
    assert told(ended, ended) != told(ended)


def test_comparing_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a record, or with options that mean something else: wrong use, in one line."""
    assert main(["simulate", "--conform", "--recorded", str(tmp_path)]) == 2
    assert "run the drills first" in capsys.readouterr().err
    assert main(["simulate", "--conform", "--recorded", str(tmp_path), "--generated", "3"]) == 2
    assert "goes without --engine and --generated" in capsys.readouterr().err
    assert main(["simulate", "--conform", "--part", "1/2"]) == 2
    assert "belong to --recorded" in capsys.readouterr().err


GOOD: Final = {
    "scenarios": {"passed": 1},
    "attempts": {"escaped": 0, "vacuous": 0, "divergent": 0, "over_refused": 0},
    "writes_outside": 0,
    "svf": {"missing": 0, "unexpected": 0},
    "sabotage": {"controls": 0, "caught": 0},
}


def test_too_little_modelled_makes_a_whole_run_red() -> None:
    """Below the bar is a fault of the whole suite; a part of it has no bar, and an older summary no comparison."""
    share = {"modelled_percent": 80.0, "wrong": {}}
    assert faults({**GOOD, "conformance": {**share, "modelled_bar": 90}}) == [
        "simulator: 80.0 % of the scenarios are modelled, less than 90 %"
    ]
    assert faults({**GOOD, "conformance": {**share, "modelled_bar": 0}}) == faults(GOOD) == []

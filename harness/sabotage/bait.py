"""Baits: real runs, wrong in exactly one way, for the guards of harness/sabotage/guards.py."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from executor.clock import SystemClock
from executor.dsse import EnvelopeRefusedError
from executor.errors import BugError
from executor.intent import Command, Intent
from executor.keys import KeyStore
from executor.outcome import Outcome
from harness.document.expect import Refusal
from harness.document.scenario import Scenario
from harness.judgement.runs import Run
from harness.report import attest, build
from harness.report.check import check
from harness.report.faults import faults
from harness.watch.canaries import HostWatch

BAIT_PROCESS_S: Final = 120
"""Seconds the unknown program would run if nobody ended it."""
CLEAN_SUMMARY: Final[Mapping[str, Any]] = {
    "engine": "tcg",
    "digests": dict.fromkeys(attest.DIGESTS, f"sha256:{'0' * 64}"),
    "scenarios": {"total": 2, "passed": 2, "failed": 0, "unmeasured": 0},
    "attempts": {
        "total": 1,
        "distinct": 1,
        "blocked": 1,
        "escaped": 0,
        "over_refused": 0,
        "vacuous": 0,
        "divergent": 0,
        "unmeasured": 0,
    },
    "svf": {"missing": 0, "unexpected": 0},
    "writes_outside": 0,
    "sabotage": {"controls": 0, "caught": 0, "missed": []},
}
"""A summary in which nothing is wrong."""


class Nobody:
    """A watch that sees nothing: the real one is watching already."""

    def before(self, weakened: frozenset[str] = frozenset()) -> None:
        """Nothing."""

    def after(self, *outcomes: Outcome | None, said: str = "") -> tuple[str, ...]:  # noqa: ARG002 - the protocol's
        """Nothing."""
        return ()


@contextmanager
def touched(canary: str, watch: HostWatch) -> Iterator[str]:
    """Touch a canary of the host, and undo it at the end; yields what a task is to print, if that is the touch."""
    if canary == "files":
        file = watch.folder / f"written-by-sabotage-{secrets.token_hex(4)}"
        file.write_text("x", encoding="utf-8")
        try:
            yield ""
        finally:
            file.unlink()
    elif canary == "processes":
        with subprocess.Popen(["sleep", str(BAIT_PROCESS_S)]) as process:
            try:
                yield ""
            finally:
                process.kill()
    elif canary == "sockets":
        # Bound beyond loopback, which is what the canary looks for; nothing is ever sent.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind(("0.0.0.0", 0))  # noqa: S104 - the bait
            yield ""
    elif canary == "packets":
        if watch.packets is None:
            raise BugError("there is no packet sentinel to be blinded: the executor has no network (needs root)")
        watch.packets.plant()
        yield ""
    else:
        yield watch.secrets[0]


def printing(intent: Intent, text: str) -> Intent:
    """`intent` with one command that prints `text`."""
    return replace(intent, commands=(Command(("echo", text)),))


def other_output(run: Run) -> Run:
    """The command wrote something else than it should."""
    outcome = _outcome(run)
    results = tuple(replace(result, stdout=b"-\n") for result in outcome.results)
    return replace(run, outcome=replace(outcome, results=results))


def other_decision(run: Run) -> Run:
    """The decision handed back is not the one on record."""
    outcome = _outcome(run)
    return replace(run, outcome=replace(outcome, decision={**outcome.decision, "policy_digest": "another"}))


def one_event_more(run: Run) -> Run:
    """An alert nobody expected, where the state machine would allow one."""
    outcome = _outcome(run)
    events = list(outcome.events)
    place = _first(events, "exec_event.STARTED") + 1
    events.insert(place, {**events[place - 1], "type": "resource_event.ALERT", "actor": "cp19", "data": {}})
    return replace(run, outcome=replace(outcome, events=_numbered(events)))


def destroyed_before_released(run: Run) -> Run:
    """Two events have changed places, and so they have in what is expected: only the state machine knows better."""
    outcome = _outcome(run)
    events = list(outcome.events)
    one, two = _first(events, "resource_event.RELEASED"), _first(events, "vm_event.DESTROYED")
    events[one], events[two] = events[two], events[one]
    trail = tuple(event["type"] for event in events)
    plan = replace(run.plan, expect=replace(run.plan.expect, trail=trail))
    return replace(run, plan=plan, outcome=replace(outcome, events=_numbered(events)))


def weakened_secretly(run: Run) -> Run:
    """The machine says that it was weakened, and nobody asked for that."""
    return replace(run, outcome=_weakened(_outcome(run), ("seccomp",)))


def says_escaped(run: Run) -> Run:
    """The probe says that it got through, and is refused as expected all the same."""
    outcome = _outcome(run)
    *earlier, last = outcome.results
    told = replace(last, stdout=last.stdout + b"CORDON-PROBE escaped\n")
    plan = replace(run.plan, expect=replace(run.plan.expect, stdout=None))
    return replace(run, plan=plan, outcome=replace(outcome, results=(*earlier, told)))


def not_tried(run: Run) -> Run:
    """The run could not be made."""
    return replace(run, outcome=None, unmeasured="bait: this control was not tried")


def as_if(run: Run, other: Run) -> Run:
    """`run` as if it had ended like `other`, on a machine weakened as `run` asks."""
    return replace(run, outcome=_weakened(_outcome(other), sorted(run.plan.request.weaken)))


def refusal_of_another_kind(scenario: Scenario) -> Scenario:
    """A scenario that expects to be refused in another way than it is."""
    if scenario.breakout is None:
        raise BugError("the bait is no break-out attempt")
    return replace(scenario, breakout=replace(scenario.breakout, refusal=Refusal("errno", "EPERM")))


def escape_in_summary(blind: bool) -> str:  # noqa: FBT001 - the two sides of one trial
    """One attempt escaped, says the summary."""
    attempts = {**CLEAN_SUMMARY["attempts"], "blocked": 0, "escaped": 1}
    return "" if blind else "; ".join(faults({**CLEAN_SUMMARY, "attempts": attempts}))


def changed_summary(blind: bool) -> str:  # noqa: FBT001 - the two sides of one trial
    """The summary was changed after it was signed."""
    with tempfile.TemporaryDirectory(prefix="cordon-sabotage-") as name:
        folder = Path(name)
        keys = KeyStore(folder / "keys", SystemClock())
        keys.init()
        summary = json.dumps(CLEAN_SUMMARY).encode()
        signed = attest.create(summary, commit="0" * 40, modified=False, signer=keys.issuer(), clock=SystemClock())
        (folder / "attestation.json").write_bytes(signed)
        (folder / "summary.json").write_bytes(summary.replace(b'"escaped": 0', b'"escaped": 1'))
        trusted = attest.trusted_from(keys.trust_path)
        try:
            attest.verify_file(folder / "attestation.json", trusted, summary=None if blind else folder / "summary.json")
        except EnvelopeRefusedError as error:
            return str(error)
    return ""


def report_without_a_scenario(blind: bool) -> str:  # noqa: FBT001 - the two sides of one trial
    """One of two scenarios that ran is not in the report."""
    with tempfile.TemporaryDirectory(prefix="cordon-sabotage-") as name:
        results = Path(name, "results")
        results.mkdir()
        for number, title in enumerate(("A scenario that is shown", "Another in its place")):
            result = {
                "uuid": f"bait-{number}",
                "name": title,
                "fullName": title,
                "status": "passed",
                "stage": "finished",
            }
            times = {"start": 1_700_000_000_000, "stop": 1_700_000_000_001}
            text = json.dumps({**result, **times, "historyId": title})
            (results / f"bait-{number}-result.json").write_text(text, encoding="utf-8")
        index = build.generate(results, Path(name, "report"))
        if blind:
            return ""
        seen = check(index, ["A scenario that is shown", "A scenario that was left out"])
        return "; ".join(f"the report does not show {title!r}" for title in seen.missing)


def _outcome(run: Run) -> Outcome:
    if run.outcome is None:
        raise BugError(f"the bait could not be made: {run.unmeasured}")
    return run.outcome


def _first(events: Sequence[Mapping[str, Any]], kind: str) -> int:
    return next(number for number, event in enumerate(events) if event["type"] == kind)


def _numbered(events: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    first = events[0]["seq"]
    return tuple({**event, "seq": first + number} for number, event in enumerate(events))


def _weakened(outcome: Outcome, names: Sequence[str]) -> Outcome:
    events = tuple(
        {**event, "data": {**event["data"], "weakened": list(names)}} if event["type"] == "vm_event.ACQUIRED" else event
        for event in outcome.events
    )
    return replace(outcome, events=events)

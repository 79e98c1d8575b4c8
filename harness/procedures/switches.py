"""The switches: SCRAM with machines running and a full queue, safe mode over a restart, and a requester's record."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from executor.api import Request
from executor.intent import Intent
from harness.judgement.facts import Facts
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage
from harness.procedures.waiting import until

if TYPE_CHECKING:
    from executor.service import LocalExecutor

SECOND_US: Final = 1_000_000
STANDS_S: Final = 220
"""The first task has to stand until the last has begun, and a crowded host takes minutes for eight machines."""
_BREACH: Final = {"commands": [{"argv": ["yes"]}], "limits": {"output_mb": 1}}
_HARMLESS: Final = {"commands": [{"argv": ["true"]}]}


@procedure()
def repeat_violator(stage: Stage, *, violations: int = 3, requester: str = "cbo", restart: bool = True) -> Facts:
    """A requester's tasks breach their quota `violations` times; then it asks for something harmless.

    Asked again after a restart, when only the record knows, and once in another requester's name.
    """
    own = stage.fresh_executor()

    def asked(raw: dict[str, Any], name: str, number: str) -> Any:
        request = stage.request({**raw, "requester": name})
        # Not a drill by its id: what drills do is held against nobody.
        intent_id = f"history-{number}-{request.intent.intent_id}"
        named = replace(request, intent=replace(request.intent, intent_id=intent_id))
        outcome = own.run(named)
        stage.judged(named, outcome)
        return outcome

    breached = [asked(_BREACH, requester, str(number)).effect for number in range(violations)]
    then = asked(_HARMLESS, requester, "then")
    other = asked(_HARMLESS, "drill", "other")
    later = then
    if restart:
        own.close()
        own = stage.fresh_executor(state=own.state)
        later = asked(_HARMLESS, requester, "later")
    return {
        "breached": sum(effect == "breached" for effect in breached),
        "then": [then.effect, *then.reasons],
        "after_a_restart": [later.effect, *later.reasons],
        "somebody_else": other.effect,
    }


@procedure()
def forecast_alert(stage: Stage, *, before: int = 3) -> Facts:
    """The same command breaches its memory `before` times; then it is run once more, and its alerts are looked at."""
    memory = f"x = bytearray(90 << 20)  # {uuid.uuid4().hex}"
    raw = {
        "requester": "drill",
        "capabilities": ["base:execute", "dev:python"],
        "commands": [{"argv": ["python3", "-c", memory]}],
        "limits": {"mem_quota_mb": 64},
    }
    effects = [stage.run(stage.request(raw)).effect for _ in range(before)]
    last = stage.run(stage.request(raw))
    kinds = [event["type"].partition(".")[2] for event in last.events]
    alerts = [event["data"] for event in last.events if event["type"] == "resource_event.ALERT"]
    at_once = kinds[kinds.index("STARTED") + 1] == "ALERT" if "STARTED" in kinds else False
    return {
        "before": effects,
        "alerted_by": [alert["by"] for alert in alerts],
        "alerted_for": [alert["quota"] for alert in alerts],
        "foreseen_at_the_start": at_once and alerts[0]["by"] == "forecast",
        "ended": last.effect,
    }


@procedure()
def scram(stage: Stage, *, machines: int = 8, queued: int = 1000) -> Facts:
    """A service with `machines` tasks running and `queued` waiting is stopped, restarted and resumed by a person."""
    own = stage.own_executor()
    found: Facts = own.call("harness.procedures.switches:_stopped", str(own.state), machines, queued, seconds=400.0)
    return found


def _stopped(executor: LocalExecutor, state: str, machines: int, queued: int) -> Facts:
    """Runs in the executor's own process: the service is real, its client and operator connect over CURVE."""
    from harness.procedures.child.serving import Serving  # noqa: PLC0415 - only in the child

    with Serving(executor, state, workers=machines) as serving:
        for number in range(machines):
            serving.submit(_intent(f"run-{number}", "sleep", str(STANDS_S)))
        until(f"{machines} tasks run", lambda: serving.running() >= machines, seconds=STANDS_S)
        waiting = [serving.submit(_intent(f"wait-{number}", "true")) for number in range(queued)]
        waiting[-1].accepted.result(60)
        done = serving.operator().scram("a drill")
        reasons = sorted({serving.refused(task) for task in waiting})
        lets_in = serving.lets_in()
        stranger = serving.resumes_as("cp14")
        killed = serving.operator().kill("all", why="a drill")["killed"]
        until("no task runs", lambda: not serving.running())
        serving.operator().scram("once more")
        serving.restart()
        still = serving.safe_mode()
        person = serving.resumes_as("human")
        return {
            "paused": len(done["paused"]),
            "flushed": done["flushed"],
            "within_a_second": done["took_us"] < SECOND_US,
            "faults": done["faults"],
            "turned_away": reasons,
            "killed_where_they_stood": len(killed),
            "lets_anybody_in": lets_in,
            "an_agent_resumes": stranger,
            "safe_after_a_restart": still,
            "a_person_resumes": person,
            "safe_after_that": serving.safe_mode(),
        }


def _intent(name: str, *argv: str) -> Intent:
    return Request(
        Intent.parse(
            {"intent_id": f"drill-{name}", "requester": "drill", "commands": [{"argv": list(argv)}],
             "limits": {"wallclock_timeout_s": STANDS_S + 30}}
        )
    ).intent  # fmt: skip

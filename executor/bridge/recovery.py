"""What a killed executor left open, closed by events at the next start, before anything new is taken.

Two sources: the audit trail (intents whose trail has not come to an end: they ran) and the queue's journal (tasks that
waited: they have no trail yet). Machines are gone by then: `VmHost` reaps orphans when it opens. The trail is followed
from where the last recovery stopped, so that a start does not read years of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from executor import canonical
from executor.api import Engine
from executor.errors import InvalidInputError, OutsideError
from executor.keys import atomic
from executor.lease import authority
from executor.outcome import EffectClass, Outcome
from executor.queue.journal import Leftover
from executor.rollback.pack import FOLDER as PACKS
from executor.run_record import RunRecord
from executor.svf import Event, read
from executor.svf.head import read_head
from executor.svf.machine import MACHINES, check_trace
from executor.trail import Recorder

CAUSE: Final = "executor.restarted"
MARK: Final = "recovered.json"
"""Below the state folder: the audit record up to which everything is closed."""
_ACTORS: Final = {
    "exec_event.ABORTED": "cp20",
    "exec_event.KILLED": "cp20",
    "resource_event.RELEASED": "cp19",
    "vm_event.DESTROYED": "cp20",
    "report_event.PUBLISHED": "cp17",
    "task_event.REJECTED": "cp20",
}
"""The events that close a trail, and who records them."""
_DATA: Final[Mapping[str, Mapping[str, Any]]] = {
    "exec_event.ABORTED": {"cause": CAUSE},
    "exec_event.KILLED": {"by": CAUSE},
    "vm_event.DESTROYED": {"why": CAUSE},
    "task_event.REJECTED": {"reason": CAUSE},
}

_GONE: Final = "vm_event.DESTROYED"


class Ended(Protocol):
    """The part of `executor.queue.Journal` that is needed here."""

    def ended(self, task_id: str) -> None:
        """The task has ended."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was closed: for the log, and for whoever asks how the queue stood."""

    interrupted: tuple[str, ...] = ()
    """Intents that were under way."""
    turned_away: tuple[str, ...] = ()
    """Intents that waited."""
    by_priority: Mapping[str, int] = field(default_factory=dict)
    """How many of the latter, by priority."""
    unreadable: int = 0
    """Lines of the journal that say nothing."""
    orphans: tuple[str, ...] = ()
    """VMs that had outlived their executor: destroyed before anything else, recorded here."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "interrupted": list(self.interrupted),
            "queued": len(self.turned_away),
            "queued_by_priority": dict(self.by_priority),
            "unreadable": self.unreadable,
            "orphans": list(self.orphans),
        }


def closing(state: str) -> tuple[str, ...]:
    """The events that bring an intent from `state` to an end: ABORTED where that may come, then the shortest way."""
    machine = MACHINES["intent"]
    first: tuple[str, ...] = ()
    if state in machine.final:
        return ()
    if steps := machine.steps([state], "exec_event.ABORTED"):
        first, state = ("exec_event.ABORTED",), steps[0].target
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(state, first)])
    seen = {state}
    while waiting:
        here, way = waiting.popleft()
        if here in machine.final:
            return way
        for event in _ACTORS:
            for step in machine.steps([here], event):
                if step.target not in seen:
                    seen.add(step.target)
                    waiting.append((step.target, (*way, event)))
    raise InvalidInputError(f"the machine has no way to close an intent in state {state}")


def recover(
    audit: Recorder,
    state: Path,
    engine: Engine,
    leftovers: Sequence[Leftover],
    journal: Ended,
    *,
    unreadable: int = 0,
    orphans: Sequence[str] = (),
) -> Recovered:
    """Close everything that is open. Raises `AuditError` when that cannot be recorded: nothing may start then.

    `orphans`: VMs a killed executor left, which are destroyed by now.
    """
    trail = state / "logs" / "svf_audit"
    followed = list(read(trail, after=_mark(state, trail)))
    trails = _by_intent(followed)
    events = sorted((event for found in trails.values() for event in found), key=lambda event: event.seq)
    open_states = {
        fault.key: fault.state
        for fault in check_trace(events, complete=True)
        if fault.machine == "intent" and not fault.event
    }
    runs = RunRecord(state)
    authority.sweep(state / "outgoing" / "leases")  # all: of a lease that was killed on its way nothing is on record
    for events_of_one in (trails[intent_id] for intent_id in open_states):
        _sweep(state, {event.lease_id for event in events_of_one if event.lease_id})
    for intent_id, at in open_states.items():
        _close(audit, runs, engine, trails[intent_id], closing(at.split("/", maxsplit=1)[0]))
    # Of those a task had the end is in its trail; the others waited.
    theirs = {event.vm_id for intent_id in open_states for event in trails[intent_id]}
    last = _left(followed)
    idle = tuple(
        name for name in dict.fromkeys([*orphans, *last]) if name not in theirs and last.get(name, "") != _GONE
    )
    for name in idle:
        if last.get(name) != "vm_event.ZOMBIE":
            audit.emit("vm_event.ZOMBIE", "cp20", vm_id=name, engine=engine, data={"why": CAUSE})
        audit.emit("vm_event.DESTROYED", "cp20", vm_id=name, engine=engine, data={"why": CAUSE})
    waiting = [task for task in leftovers if task.intent_id not in trails]
    for task in waiting:
        turn_away(audit, task.intent_id, task.requester, {"phase": task.phase}, CAUSE)
    for task in leftovers:
        journal.ended(task.task_id)
    _set_mark(state, trail)
    counts: dict[str, int] = {}
    for task in waiting:
        counts[task.priority] = counts.get(task.priority, 0) + 1
    return Recovered(tuple(open_states), tuple(task.intent_id for task in waiting), counts, unreadable, idle)


def turn_away(audit: Recorder, intent_id: str, requester: str, submitted: Mapping[str, Any], reason: str) -> None:
    """Record of a task that only ever waited: that it came, and that it will not run. Raises `AuditError`."""
    audit.emit("intent_event.SUBMITTED", requester, intent_id=intent_id, data=submitted)
    audit.emit("task_event.REJECTED", "cp20", intent_id=intent_id, data={"reason": reason})


def _by_intent(events: Iterable[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        if event.intent_id:
            found.setdefault(event.intent_id, []).append(event)
    return found


def _close(audit: Recorder, runs: RunRecord, engine: Engine, events: list[Event], kinds: Sequence[str]) -> None:
    ids = {
        name: next((value for event in reversed(events) if (value := getattr(event, name))), "")
        for name in ("intent_id", "lease_id", "task_id", "vm_id", "engine", "policy_digest")
    }
    recorded = [event.to_json() for event in events]
    for kind in kinds:
        data = dict(_DATA.get(kind, {}))
        if kind == "report_event.PUBLISHED":
            data = _publish(runs, ids, engine, recorded)
        recorded.append(audit.emit(kind, _ACTORS[kind], **ids, data=data).to_json())


def _publish(
    runs: RunRecord, ids: Mapping[str, str], engine: Engine, events: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The report of what is known of an interrupted run."""
    decided = [event["data"].get("decision") for event in events if event["type"] == "policy_event.DECIDED"]
    effect, reason, message = ended_as(events)
    outcome = Outcome(
        intent_id=ids["intent_id"],
        engine=ids["engine"] or engine,
        verdict="allow",
        reasons=(reason,) if reason else (),
        effect=effect,
        decision=decided[-1] if decided and isinstance(decided[-1], dict) else {},
        lease={"lease_id": ids["lease_id"]},
        events=tuple(dict(event) for event in events),
        vm_id=ids["vm_id"],
        message=message,
    )
    try:
        return runs.publish(ids["lease_id"], outcome, None)
    except OutsideError as error:
        # The trail has to be closed even where the report's disk is the one that broke.
        return {"effect": effect, "report": "", "failed": error.code}


def _left(followed: Iterable[Event]) -> dict[str, str]:
    """The last event of each machine of the executors before this one.

    One that was being taken away when its executor was killed is found nowhere any more, and its end is not on record.
    The machines of this executor, which may be making its first ones by now, come behind its loading of the policy.
    """
    before: dict[str, str] = {}
    now: dict[str, str] = {}
    started = False
    for event in followed:
        if event.type == "policy_event.LOADED" and event.data.get("cause") == "start":
            before, now, started = before | now, {}, True
        elif event.type.startswith("vm_event."):
            now[event.vm_id] = event.type
    return before if started else now


def _sweep(state: Path, leases: Iterable[str]) -> None:
    """Remove what was being written of the rollback packs of these leases when the executor was killed."""
    for lease_id in leases:
        pack = state / "outgoing" / "staging_runs" / lease_id / PACKS
        atomic.sweep(pack)
        atomic.sweep(pack / "blobs")


def ended_as(events: Sequence[Mapping[str, Any]]) -> tuple[EffectClass, str, str]:
    """Effect, reason and message of a run that is closed here, by the last thing on record about its commands.

    One whose release was on record had ended, and somebody may have been told how: it is not said to be aborted.
    """
    last = next((event for event in reversed(events) if event["type"].startswith("exec_event.")), None)
    kind, data = (last["type"].partition(".")[2], last["data"]) if last else ("ABORTED", {"cause": CAUSE})
    if CAUSE in {data.get("cause"), data.get("by")}:
        return "aborted", CAUSE, "the executor was killed while this ran"
    late = "the executor was killed before this run's report was written"
    if kind == "FINISHED":
        return "completed" if data.get("exit_code") == 0 else "failed", "", late
    if kind == "KILLED" and data.get("quota"):
        return "breached", f"quota.{data['quota']}", late
    named: dict[str, EffectClass] = {"KILLED": "killed", "TIMEOUT": "timeout", "DENIED": "refused"}
    reason = data.get("reason") or data.get("cause") or ""
    return named.get(kind, "aborted"), str(reason), late


def _mark(state: Path, trail: Path) -> int:
    """The record up to which everything is closed; 0 where that is not known, or belongs to another trail."""
    head = read_head(trail, None)
    try:
        raw = canonical.loads((state / MARK).read_bytes(), where=MARK)
        seq = raw["seq"]
        if head is not None and raw["log"] == head.log_id and isinstance(seq, int) and seq <= head.seq:
            return seq
    except (OSError, InvalidInputError, KeyError, TypeError):
        pass
    return 0


def _set_mark(state: Path, trail: Path) -> None:
    head = read_head(trail, None)
    if head is not None:
        content = canonical.dumps({"schema": "cordon.recovered/1", "log": head.log_id, "seq": head.seq})
        atomic.write_atomic(state / MARK, content, atomic.SECRET_MODE)

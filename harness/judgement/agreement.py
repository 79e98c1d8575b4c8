"""Does a run agree with itself? Verdict, effect and events, compared without asking what was expected.

Every rule is a function from an outcome to complaints. A complaint makes a run DIVERGENT whatever the scenario says:
a record that contradicts the effect is worth nothing as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

from executor.outcome import CommandResult, EffectClass, Outcome
from harness.judgement.same import of_same

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the record must speak of a command that ended for one cause."""

    event: str
    by: frozenset[str]
    """What the event's `by` may say."""
    effects: frozenset[EffectClass]
    """What a run amounts to whose last command ended so."""
    details: tuple[str, ...] = ()
    """Fields that result and event must have in common."""


def _ending(event: str, by: str, effects: str, *details: str) -> Ending:
    names = cast("frozenset[EffectClass]", frozenset(effects.split()))
    return Ending(f"exec_event.{event}", frozenset(by.split()), names, details)


ENDINGS: Final[dict[str, Ending]] = {
    "exited": _ending("FINISHED", "exit", "completed failed", "exit_code"),
    "signaled": _ending("KILLED", "signal", "killed", "signal"),
    "seccomp": _ending("KILLED", "seccomp", "killed", "signal", "syscall"),
    "oom": _ending("KILLED", "quota", "breached"),
    "disk": _ending("KILLED", "quota", "breached"),
    "output": _ending("KILLED", "quota", "breached"),
    "pids": _ending("KILLED", "quota", "breached"),
    "memory": _ending("KILLED", "quota", "breached"),
    "cpu": _ending("KILLED", "quota", "breached"),
    "fds": _ending("KILLED", "quota", "breached"),
    "wallclock": _ending("TIMEOUT", "guest host", "timeout"),
    "lease_expired": _ending("KILLED", "lease_expired", "killed"),
    "lease_revoked": _ending("KILLED", "lease_revoked", "killed"),
    "kill_switch": _ending("KILLED", "kill_switch", "killed"),
}
"""By the cause of a command's end: the guest's word, or the host's own when the host ordered it."""

_ENDED: Final = frozenset(ending.event for ending in ENDINGS.values()) | {"exec_event.ABORTED"}
_RAN: Final = _ENDED | {"exec_event.STARTED"}


@of_same
def complaints(outcome: Outcome) -> tuple[str, ...]:
    """Every disagreement inside `outcome`, each as `rule: words`; empty when verdict, effect and events agree."""
    return tuple(f"{name}: {text}" for name, rule in RULES.items() for text in rule(outcome))


def _types(outcome: Outcome) -> list[str]:
    return [event["type"] for event in outcome.events]


def _of(outcome: Outcome, *types: str) -> list[Event]:
    return [event for event in outcome.events if event["type"] in types]


def verdict_effect(outcome: Outcome) -> Iterator[str]:
    """A refusing verdict and the effect `denied` go together."""
    if (outcome.verdict != "allow") != (outcome.effect == "denied"):
        yield f"the verdict is {outcome.verdict} and the effect {outcome.effect}"


def verdict_decision(outcome: Outcome) -> Iterator[str]:
    """The verdict is the decision's own answer, and so are the reasons of a denial."""
    allowed = outcome.decision.get("allow")
    if outcome.verdict == "allow" and allowed is not True:
        yield f"the verdict is allow, the decision says allow={allowed!r}"
    if outcome.verdict == "deny" and allowed is True and not _of(outcome, "intent_event.REJECTED"):
        yield "the verdict is deny, the decision allows, and no review rejected it"
    codes = sorted({reason["code"] for reason in outcome.decision.get("reasons", ())})  # one code may have several
    if outcome.verdict == "deny" and allowed is False and list(outcome.reasons) != codes:
        yield f"the outcome's reasons {list(outcome.reasons)} are not the decision's {codes}"


def verdict_events(outcome: Outcome) -> Iterator[str]:
    """The record holds this very decision, once, and approval or rejection as it went."""
    decided = _of(outcome, "policy_event.DECIDED")
    if len(decided) != 1:
        yield f"{len(decided)} policy_event.DECIDED"
    for event in decided:
        if event["data"].get("decision") != outcome.decision:
            yield "policy_event.DECIDED records another decision than the one handed back"
    for event in _of(outcome, "intent_event.ARBITRATED"):
        if event["data"].get("verdict") != outcome.verdict:
            yield f"intent_event.ARBITRATED says {event['data'].get('verdict')!r}, the verdict is {outcome.verdict}"
    approved, rejected = len(_of(outcome, "intent_event.APPROVED")), len(_of(outcome, "intent_event.REJECTED"))
    wanted = (1, 0) if outcome.verdict == "allow" else (0, 1)
    if (approved, rejected) != wanted:
        yield f"the verdict is {outcome.verdict} with {approved} APPROVED and {rejected} REJECTED"


def nothing_ran(outcome: Outcome) -> Iterator[str]:
    """Denied or refused means that nothing ran; when the guest refuses a later command, nothing from that one on."""
    if outcome.effect not in {"denied", "refused"} or _refused_later(outcome):
        return
    for name in dict.fromkeys(name for name in _types(outcome) if name in _RAN):
        yield f"the effect is {outcome.effect}, yet there is {name}"
    if outcome.results:
        yield f"the effect is {outcome.effect}, yet {len(outcome.results)} command(s) ended in the guest"
    if outcome.files:
        yield f"the effect is {outcome.effect}, yet files came back"
    if outcome.effect == "denied":
        for name in ("lease_event.ISSUED", "task_event.DISPATCHED", "vm_event.ACQUIRED"):
            if name in _types(outcome):
                yield f"the effect is denied, yet there is {name}"
        if outcome.lease is not None:
            yield "the effect is denied, yet a lease was made"


def _refused_later(outcome: Outcome) -> bool:
    """Whether the guest's refusal is the last word of the record after commands that did complete."""
    words = [name for name in _types(outcome) if name.startswith("exec_event.")]
    return outcome.effect == "refused" and words[-1:] == ["exec_event.DENIED"] and len(words) > 1


def refusal_recorded(outcome: Outcome) -> Iterator[str]:
    """A refusal after approval is in the record, with the outcome's reason."""
    if outcome.effect != "refused":
        return
    recorded = _of(outcome, "lease_event.DENIED", "task_event.REJECTED", "exec_event.DENIED")
    if not recorded:
        yield "the effect is refused, and no event records a refusal"
    codes = {event["data"].get("reason") for event in recorded}
    if recorded and not codes & set(outcome.reasons):
        yield f"the events' reasons {sorted(map(str, codes))} are not the outcome's {list(outcome.reasons)}"


def commands_events(outcome: Outcome) -> Iterator[str]:
    """Every command that ran was recorded as started and as ended, in order, in the words of its result."""
    started, ended = len(_of(outcome, "exec_event.STARTED")), _of(outcome, *_ENDED)
    finished = [event for event in ended if event["type"] != "exec_event.ABORTED"]
    aborted = len(ended) - len(finished)
    if not len(finished) <= started <= len(finished) + aborted:
        yield f"{started} commands started, {len(finished)} ended and {aborted} aborted"
    if len(outcome.results) != len(finished):
        yield f"{len(outcome.results)} commands ended in the guest, {len(finished)} in the record"
        return
    for number, (result, event) in enumerate(zip(outcome.results, finished, strict=True)):
        for text in _one_command(result, event):
            yield f"command {number}: {text}"


def _one_command(result: CommandResult, event: Event) -> Iterator[str]:
    if result.cause not in ENDINGS:
        yield f"ended for an unknown cause {result.cause!r}"
        return
    ending, data = ENDINGS[result.cause], event["data"]
    if event["type"] != ending.event:
        yield f"ended as {result.cause}, recorded as {event['type']} instead of {ending.event}"
    if data.get("by") not in ending.by:
        yield f"ended as {result.cause}, {event['type']} says by {data.get('by')!r}"
    for name in ending.details:
        if data.get(name) != getattr(result, name):
            yield f"{name} is {getattr(result, name)!r} in the guest and {data.get(name)!r} in {event['type']}"


def effect_results(outcome: Outcome) -> Iterator[str]:
    """The effect is what the last command's end amounts to."""
    if outcome.effect in {"denied", "refused"}:
        return
    if not outcome.results:
        if outcome.effect != "aborted":
            yield f"the effect is {outcome.effect} and no command ended in the guest"
        return
    last = outcome.results[-1]
    if last.cause == "exited":
        fits = "completed" if all(result.exit_code == 0 for result in outcome.results) else "failed"
        if outcome.effect not in {fits, "aborted"}:
            yield f"the last command exited with {last.exit_code}, the effect is {outcome.effect}"
    elif last.cause in ENDINGS and outcome.effect not in ENDINGS[last.cause].effects | {"aborted"}:
        yield f"the last command ended as {last.cause}, the effect is {outcome.effect}"


def lease_events(outcome: Outcome) -> Iterator[str]:
    """A lease comes back when the record says it was issued and not denied, and every later event names it."""
    issued, denied = bool(_of(outcome, "lease_event.ISSUED")), bool(_of(outcome, "lease_event.DENIED"))
    if (outcome.lease is not None) != (issued and not denied):
        yield f"lease handed back: {outcome.lease is not None}, issued: {issued}, denied: {denied}"
    if outcome.lease is not None:
        lease_id = outcome.lease.get("lease_id")
        named = {event.get("lease_id") for event in outcome.events if event.get("lease_id")}
        # A renewal names the lease it replaces, and that lease's own events came before it.
        replaced = {event["data"].get("renews") for event in _of(outcome, "lease_event.ISSUED")}
        if named - {lease_id} - replaced:
            yield f"events name the leases {sorted(map(str, named))}, the lease is {lease_id}"
        nameless = [event["type"] for event in _of(outcome, *_RAN) if not event.get("lease_id")]
        if nameless:
            yield f"{nameless[0]} names no lease"


def released(outcome: Outcome) -> Iterator[str]:
    """What was taken was given back: the VM and the budget."""
    pairs = (
        ("vm_event.ACQUIRED", ("vm_event.DESTROYED", "vm_event.RECYCLED")),
        ("resource_event.RESERVED", ("resource_event.RELEASED",)),
    )
    for taken, given in pairs:
        if len(_of(outcome, taken)) != len(_of(outcome, *given)):
            yield f"{len(_of(outcome, taken))} {taken}, {len(_of(outcome, *given))} {' or '.join(given)}"


def one_trace(outcome: Outcome) -> Iterator[str]:
    """All events belong to this intent, this engine and, once acquired, this VM; sequence numbers rise."""
    for name, wanted in (("intent_id", outcome.intent_id), ("engine", outcome.engine)):
        others = {event.get(name) for event in outcome.events if event.get(name)} - {wanted}
        if others:
            yield f"{name} is {wanted} and events name {sorted(map(str, others))}"
    named = {event.get("vm_id") for event in outcome.events if event.get("vm_id")}
    if outcome.vm_id and named - {outcome.vm_id}:
        yield f"the VM is {outcome.vm_id} and events name {sorted(map(str, named))}"
    numbers = [event["seq"] for event in outcome.events]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        yield f"sequence numbers do not rise: {numbers}"


def breach_recorded(outcome: Outcome) -> Iterator[str]:
    """A breached quota is recorded as such, and nothing else is."""
    if (outcome.effect == "breached") != bool(_of(outcome, "resource_event.BREACH")):
        yield f"the effect is {outcome.effect} with {len(_of(outcome, 'resource_event.BREACH'))} resource_event.BREACH"


def alert_first(outcome: Outcome) -> Iterator[str]:
    """A breached quota was alerted before, for the same command; each is alerted once."""
    alerted: set[tuple[Any, Any]] = set()
    for event in _of(outcome, "resource_event.ALERT", "resource_event.BREACH"):
        what = (event.get("task_id"), event["data"].get("quota"))
        if event["type"] == "resource_event.ALERT":
            if what in alerted:
                yield f"{what[1]} is alerted twice"
            alerted.add(what)
        elif what not in alerted:
            yield f"{what[1]} is breached without an alert"


RULES: Final[dict[str, Callable[[Outcome], Iterator[str]]]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        verdict_effect,
        verdict_decision,
        verdict_events,
        nothing_ran,
        refusal_recorded,
        commands_events,
        effect_results,
        lease_events,
        released,
        one_trace,
        breach_recorded,
        alert_first,
    )
}
"""Name -> rule; the name stands at the front of each complaint."""

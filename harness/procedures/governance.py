"""Plan governance beyond single requests: keys over their life, a policy exchanged, a run taken back, restarts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from executor.api import LeaseLife, Request
from executor.bridge.recovery import recover
from executor.clock import SystemClock
from executor.errors import BugError, OutsideError
from executor.intent import Intent
from executor.keys import KeyStore
from executor.policy import DecisionRequest, Facts, PolicyEngine
from executor.policy import request as policy_facts
from executor.rollback.runs import apply_recorded, find
from executor.svf import SvfLog, machine, read
from harness.judgement.facts import Facts as Observed
from harness.procedures.registry import procedure
from harness.procedures.stage import Stage

_IDS: Final = ("intent_id", "lease_id", "task_id", "vm_id")
_CUT: Final = "-cut-"


class _Nobody:
    """A journal in which nothing is noted: what was under way is read from the trail."""

    def ended(self, _task_id: str) -> None:
        return


def _log(folder: Path) -> tuple[SvfLog, KeyStore]:
    """A fresh trail in a state folder with keys of its own."""
    keys = KeyStore(folder, SystemClock())
    if not keys.trust_path.exists():
        keys.init()
    return SvfLog.open(folder / "logs" / "svf_audit", SystemClock(), signer=keys.issuer()), keys


def _tell(stage: Stage, folder: Path) -> list[dict[str, Any]]:
    """What a trail of one's own holds, told to the judge."""
    events = [event.to_json() for event in read(folder / "logs" / "svf_audit")]
    stage.caused(events)
    return events


@procedure()
def keys_over_their_life(stage: Stage, rotations: int = 3) -> Observed:
    """Keys are made, rotated and retired, each on record; trust never holds more than the current and the previous."""
    folder = stage.folder()
    log, keys = _log(folder)
    most = 0
    with log:
        agent = keys.create("agent", "cp14", log)
        seen = [keys.issuer().kid]
        for _ in range(rotations):
            keys.rotate(log)
            seen.append(keys.issuer().kid)
            trust = keys.ring().trust
            most = max(most, 1 + (trust.previous is not None))
        keys.retire(agent.kid, log)
    ring = keys.ring()
    trusted = {ring.trust.current.kid} | ({ring.trust.previous.kid} if ring.trust.previous else set())
    events = _tell(stage, folder)
    retired = [event["data"]["kid"] for event in events if event["type"] == "key_event.RETIRED"]
    return {
        "trusted_at_most": most,
        "distinct": len(set(seen)),
        "trusted_are_the_last_two": trusted == set(seen[-2:]),
        "retired": [*seen[: rotations - 1], agent.kid] == retired,
        "agent_trusted": any(key.kid == agent.kid and not key.retired_ns for key in ring.registered.values()),
    }


@procedure()
def policy_exchanged(stage: Stage) -> Observed:
    """Policies change under a running engine: the new ones decide at once, broken ones never do."""
    folder = stage.folder()
    policies = folder / "policies"
    shutil.copytree(stage.kept.policies, policies)
    log, _ = _log(folder / "state")
    raw = {"requester": "cbo", "intent_id": "drill-exchange", "commands": [{"argv": ["echo", "hello"]}]}
    question = DecisionRequest(Intent.parse(raw), _passed())

    def record(kind: str, data: Mapping[str, Any]) -> None:
        log.emit(kind, "cp16", policy_digest=str(data["policy_digest"]), data=data)

    with log, PolicyEngine(policies, clock=SystemClock(), on_event=record) as engine:
        before, digest = engine.decide(question).allowed, engine.digest
        matrix = policies / "cordon/rules/matrix/data.yaml"
        text = matrix.read_text(encoding="utf-8")
        matrix.write_text(text.replace("base:execute", "base:nothing"), encoding="utf-8")
        engine.reload()
        after, changed = engine.decide(question).allowed, engine.digest != digest
        (policies / "cordon/decision.rego").write_text("package cordon\n\nnot a rule\n", encoding="utf-8")
        refused, kept = False, engine.digest
        try:
            engine.reload()
        except OutsideError:
            refused = True
        still = engine.decide(question).allowed
        in_force = engine.digest == kept
    _tell(stage, folder / "state")
    return {
        "allowed_before": before,
        "allowed_after": after,
        "digest_changed": changed,
        "broken_refused": refused,
        "allowed_by_the_broken": still,
        "old_ones_in_force": in_force,
    }


def _passed() -> Facts:
    """Facts of an intent that was reviewed and found good."""
    return Facts(reviews=(policy_facts.Review("cp14", "PASS", "cp14"),), signatures=())


@procedure(unsimulated="the simulator has no rollback pack: nothing is really changed in it")
def run_taken_back(stage: Stage) -> Observed:
    """A run changes a file; rolled back, the folder is as it was, byte for byte, and that is on record."""
    own = stage.own_executor()
    raw = {
        "commands": [{"argv": ["cp", "/workspace/after.txt", "/workspace/notes.txt"]}],
        "files": [
            {"path": "/workspace/notes.txt", "text": "before\n"},
            {"path": "/workspace/after.txt", "text": "after\n"},
        ],
        "collect": ["/workspace/notes.txt"],
    }
    request = stage.request(raw)
    outcome = own.run(request)
    stage.judged(request, outcome)
    own.close()
    if outcome.lease is None:
        raise OutsideError(f"the run to be taken back was refused: {outcome.message}")
    target = stage.folder()
    for file in outcome.files:
        (target / Path(file.path).name).write_bytes(file.content)
    (target / "after.txt").write_text("after\n", encoding="utf-8")
    changed = (target / "notes.txt").read_text(encoding="utf-8")
    last = own.events()[-1].seq
    proof = apply_recorded(find(str(outcome.lease["lease_id"]), own.state), target, SystemClock())
    stage.caused(event.to_json() for event in own.events(after=last))
    return {
        "effect": outcome.effect,
        "changed_to": changed,
        "taken_back_to": (target / "notes.txt").read_text(encoding="utf-8"),
        "restored": len(proof.restored),
    }


@procedure()
def killed_at_every_step(stage: Stage, trails: list[str]) -> Observed:
    """The executor dies after each event of real runs in turn; the next start closes every trail, in legal order."""
    folder = stage.folder()
    log, _ = _log(folder)
    cuts = 0
    with log:
        for name in trails:
            events = stage.executor.run(_request(stage, name)).events
            for length in range(1, len(events)):
                cuts += 1
                _replay(log, events[:length], f"{_CUT}{name}-{length}")
        recovered = recover(log, folder, stage.executor.engine, (), _Nobody())
        again = recover(log, folder, stage.executor.engine, (), _Nobody())
    faults = machine.check_trace(_tell(stage, folder), complete=True)
    return {
        "cut": cuts > 0,
        "closed": len(recovered.interrupted),
        "left_open": len([fault for fault in faults if not fault.event]),
        "out_of_order": len([fault for fault in faults if fault.event]),
        "closed_twice": len(again.interrupted),
    }


def _request(stage: Stage, name: str) -> Request:
    """A request whose run leaves the trail called `name`."""
    sleep = {"commands": [{"argv": ["sleep", "45"]}], "limits": {"wallclock_timeout_s": 50}}
    raw: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "executed": ({"commands": [{"argv": ["echo", "one"]}]}, {}),
        # A machine whose QEMU is made otherwise is booted for its task alone: the record then has its READY.
        "booted": ({"commands": [{"argv": ["echo", "one"]}]}, {"weaken": ["device_allowlist"]}),
        "lapsed": ({"commands": [{"argv": ["echo", "never"]}]}, {"life": LeaseLife(before_use=("revoke",))}),
        "revoked": (sleep, {"life": LeaseLife(revoke_while_running=True)}),
    }
    if name not in raw:
        raise BugError(f"no trail {name}; there are {', '.join(raw)}")
    intent, options = raw[name]
    return stage.request(intent, **options)


def _replay(log: SvfLog, events: Iterable[Mapping[str, Any]], suffix: str) -> None:
    """Record `events` anew under ids of their own, as an executor that was killed behind the last would have left."""
    for event in events:
        ids = {name: f"{event[name]}{suffix}" if event.get(name) else "" for name in _IDS}
        rest = {name: event.get(name, "") for name in ("engine", "policy_digest")}
        log.emit(event["type"], event["actor"], **ids, **rest, data=event["data"])

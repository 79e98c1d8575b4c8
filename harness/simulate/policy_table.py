"""What the policy says to each source, for every balance and every number of machines: asked once, before the run.

A simulated task may not cost a question to OPA, and the rules are not written a second time here. So the policy's own
rules are evaluated over everything a run can meet: ATP over every balance, the host over every number of machines.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from executor.intent import Command, Intent
from executor.policy import default_policies_dir, find_opa
from executor.policy.bundle import load_bundle
from executor.policy.request import Budget, DecisionRequest, Facts, Host, Review
from harness.policydir import OpaTool
from harness.simulate.load import UNLIMITED_MB, Load, Source

DEADLINE_S: Final = 60
MOMENT: Final = 1_700_000_000
"""When it is asked, in seconds since the epoch: always the same, so that a run can be repeated."""
_QUERY: Final = """\
[answer | some document in input.documents
answer := {{"standing": [r.code | some r in data.cordon.decision.reasons],
  "unreviewed": [c |
    codes := [r.code | some r in data.cordon.decision.reasons] with input.facts.reviews as []
    some c in codes],
  "cost": data.cordon.rules.atp.cost,
  "atp": [codes |
    some balance in numbers.range(0, {start})
    codes := [r.code | some r in data.cordon.rules.atp.deny] with input.facts.budget.atp as balance{floor}],
  "host": [codes |
    some alive in numbers.range(0, {most})
    codes := [r.code | some r in data.cordon.rules.host.deny]
      with input.facts.host.vms_running as alive
      with input.facts.host.mem_free_mb as {memory_mb} - alive * {machine_mb}]}} with input as document]"""


@dataclass(frozen=True, slots=True)
class Answers:
    """The policy's answers to one source's tasks. Codes are empty where it does not refuse."""

    cost: int
    standing: str
    """Refused whatever the balance and the host."""
    unreviewed: str
    """Refused when no review comes."""
    by_balance: tuple[str, ...]
    by_machines: tuple[str, ...]

    def denial(self, balance: int, machines: int) -> str:
        """The code that refuses a task of the source, or nothing."""
        return (
            self.standing
            or self.by_balance[min(balance, len(self.by_balance) - 1)]
            or self.by_machines[min(machines, len(self.by_machines) - 1)]
        )


def ask(load: Load) -> tuple[Answers, ...]:
    """The answers for each source of `load`, in order. Raises `OutsideError` when OPA or the policies are missing."""
    serving, budget = load.serving, load.budget
    limited = serving.memory_mb != UNLIMITED_MB or serving.vms_max > 0
    # Where the host has no limits its answers are not used: then the same is asked whatever serves the load.
    most = serving.pool + serving.workers + 1 if limited else 0
    query = _QUERY.format(
        start=budget.start_atp if budget else 0,
        floor=f" with data.cordon.rules.atp.nap_floor as {budget.nap_floor}"
        if budget and budget.nap_floor is not None
        else "",
        most=most,
        memory_mb=serving.memory_mb,
        machine_mb=serving.machine_mb,
    )
    policies = budget.policies if budget and budget.policies else default_policies_dir()
    host = Host(mem_free_mb=serving.memory_mb, vms_max=serving.vms_max or most + 1)
    balance = budget.start_atp if budget else Budget().atp
    documents = [_input(source, host, balance) for source in load.sources]
    try:
        archive = load_bundle(policies).archive
    except OutsideError as error:
        raise OutsideError(f"the policies in {policies} do not answer: {error}") from error
    asked = json.dumps({"documents": documents}, sort_keys=True)
    raw = _evaluate(find_opa(), policies, archive, query, asked)
    if len(raw) != len(documents):
        raise OutsideError(f"the policies in {policies} answer {len(raw)} of {len(documents)} sources")
    return tuple(_answers(one, budgeted=budget is not None, limited=limited) for one in raw)


def judged(load: Load) -> bool:
    """Whether anything in `load` is the policy's to judge: budgets, or the limits of a host."""
    return load.budget is not None or load.serving.memory_mb != UNLIMITED_MB or load.serving.vms_max > 0


def _answers(raw: Mapping[str, Any], *, budgeted: bool, limited: bool) -> Answers:
    return Answers(
        cost=int(raw["cost"]) if budgeted else 0,
        # What the balance or the host alone refuses is in their own tables.
        standing=_first([code for code in raw["standing"] if not code.startswith(("atp.", "host."))])
        if budgeted
        else "",
        unreviewed=_first([code for code in raw["unreviewed"] if code.startswith(("reviews.", "phases."))]),
        by_balance=tuple(map(_first, raw["atp"])) if budgeted else ("",),
        by_machines=tuple(map(_first, raw["host"])) if limited else ("",),
    )


def _input(source: Source, host: Host, balance: int) -> dict[str, Any]:
    """The policy's input for a task of `source`: reviewed, by somebody with `balance` ATP, on an idle `host`."""
    facts = Facts(reviews=(Review("cp14", "PASS"),), budget=Budget(balance), host=host)
    return DecisionRequest(_intent(source), facts).document(now=MOMENT)


def _intent(source: Source) -> Intent:
    return Intent(
        intent_id=f"simulated-{source.name}",
        requester=source.requester,
        commands=(Command(("echo", "simulated")),) * source.commands,
        capabilities=source.capabilities,
    )


@lru_cache(maxsize=8)
def _evaluate(opa: Path, policies: Path, archive: bytes, query: str, asked: str) -> list[dict[str, Any]]:
    """The value of `query`; remembered as long as the `policies` are these: a study's controls ask the same.

    They are loaded as the executor loads them, without their tests: two thirds of what OPA would have to read.
    """
    with tempfile.TemporaryDirectory(prefix="cordon-simulate-") as scratch:
        source, bundle = Path(scratch) / "input.json", Path(scratch) / "bundle.tar.gz"
        source.write_text(asked, encoding="utf-8")
        bundle.write_bytes(archive)
        done = OpaTool(opa).run(
            ["eval", "--format", "json", "--bundle", str(bundle), "--input", str(source), query],
            cwd=Path(scratch),
            deadline_s=DEADLINE_S,
            quiet=True,
        )
    if done.timed_out:
        raise OutsideError(f"OPA did not answer within {DEADLINE_S} s about {policies}")
    try:
        value: list[dict[str, Any]] = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    except (ValueError, KeyError, IndexError, TypeError):
        said = done.stderr.strip() or done.stdout.decode(errors="replace")
        raise OutsideError(f"the policies in {policies} do not answer: {said[:300]}") from None
    return value


def _first(codes: list[str]) -> str:
    """One of several codes, always the same: the least."""
    return min(codes, default="")

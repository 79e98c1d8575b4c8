"""The reason tree: one decision laid out by concern, every check with its outcome and the line that made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from executor.policy import Decision, Reason
from harness.reasons.checks import Catalogue, Check, Concern
from harness.replay.tally import asks

SCHEMA: Final = "cordon.decide/1"
ALLOW_RULE: Final = "cordon.allow"
ENGINE: Final = Concern("policy", "Policy engine", ())
"""Stands for denials no rule made: the engine had no answer."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision with everything needed to understand it."""

    decision: Decision
    catalogue: Catalogue
    document: Mapping[str, Any]
    assumed: tuple[str, ...]

    def failed(self, check: Check) -> list[Reason]:
        """The denials `check` made, none when it passed."""
        return [reason for reason in self.decision.reasons if reason.code == check.code]

    def unlisted(self) -> list[Reason]:
        """Denials of no check in the catalogue: the engine's own, or of a rule without annotations."""
        known = {check.code for concern in self.catalogue.concerns for check in concern.checks}
        return [reason for reason in self.decision.reasons if reason.code not in known]

    def decided_by(self) -> list[str]:
        """Places of the rules that settled it: those that denied, or the one that allows when none does."""
        checks = [check for concern in self.catalogue.concerns for check in concern.checks if self.failed(check)]
        if checks:
            return [check.place for check in checks]
        place = self.catalogue.rules.get(ALLOW_RULE)
        return [place] if place and self.decision.verdict != "malformed" else []


def as_json(explained: Explained) -> dict[str, Any]:
    """For `--json`."""
    checks = [
        {
            "concern": concern.name,
            "code": check.code,
            "title": check.title,
            "place": check.place,
            # Without an answer no check has passed; it was not made.
            "passed": None if explained.decision.verdict == "malformed" else not explained.failed(check),
            "reasons": [asdict(reason) for reason in explained.failed(check)],
        }
        for concern in explained.catalogue.concerns
        for check in concern.checks
    ]
    return {
        "schema": SCHEMA,
        "decision": explained.decision.to_json(),
        "decided_by": explained.decided_by(),
        "checks": checks,
        "assumed": list(explained.assumed),
        "input": dict(explained.document),
    }


def text(explained: Explained) -> Iterator[str]:
    """The tree as lines. They hold requesters' words: escape them before they reach a terminal."""
    decision = explained.decision
    requester = (explained.document.get("intent") or {}).get("requester", "?")
    yield f"{_HEADS[decision.verdict]}: {requester}, {asks(dict(explained.document))}"
    if decision.verdict == "malformed":
        yield f"  no decision could be had ({decision.cause}), which denies"
    yield from _granted(explained)
    yield ""
    yield from _checks(explained)
    if decision.verdict != "malformed":
        yield ""
        yield from _obligations(explained)
        yield from _risk(decision)
    if explained.assumed:
        yield ""
        yield "assumed, because the request does not say"
        yield from (f"  {line}" for line in explained.assumed)
    yield ""
    yield f"decided by {', '.join(explained.decided_by()) or 'nobody'} of policy {decision.policy_digest[:19]}"


_HEADS: Final = {"allow": "ALLOWED", "deny": "DENIED", "malformed": "DENIED (no answer)"}


def _granted(explained: Explained) -> Iterator[str]:
    grants = explained.decision.grants
    if not grants:
        yield "  nothing that was asked for is granted"
        return
    heading = "granted by" if explained.decision.allowed else "would be granted by (denials win)"
    yield f"  {heading}"
    width = max(len(f"{grant.kind} {grant.name}") for grant in grants)
    for grant in sorted(grants, key=lambda one: (one.kind, one.name)):
        yield f"    {f'{grant.kind} {grant.name}':<{width}}  {grant.by}"


def _checks(explained: Explained) -> Iterator[str]:
    total = sum(len(concern.checks) for concern in explained.catalogue.concerns)
    if explained.decision.verdict == "malformed":
        yield f"checks: {total} exist, none was answered"
    else:
        bad = sum(bool(explained.failed(c)) for concern in explained.catalogue.concerns for c in concern.checks)
        yield f"checks: {total - bad} passed, {bad} failed"
        width = max((len(concern.name) for concern in explained.catalogue.concerns), default=0)
        for concern in explained.catalogue.concerns:
            yield from _concern(explained, concern, width)
    for reason in explained.unlisted():
        yield f"  FAIL  {reason.code}: {reason.msg}"
        yield f"          to do: {reason.remedy}"


def _concern(explained: Explained, concern: Concern, width: int) -> Iterator[str]:
    passed = [check.code.partition(".")[2] for check in concern.checks if not explained.failed(check)]
    failed = [check for check in concern.checks if explained.failed(check)]
    yield f"  {'FAIL' if failed else 'pass'}  {concern.name:<{width}}  {concern.title}"
    for check in failed:
        for reason in explained.failed(check):
            yield f"          FAIL  {reason.code}: {reason.msg}"
            yield f"                to do: {reason.remedy}"
            yield f"                rule:  {check.place}"
    if passed:
        yield f"          pass  {', '.join(passed)}"


def _obligations(explained: Explained) -> Iterator[str]:
    owed = explained.decision.obligations
    scope = owed.scope
    limits = owed.limits
    yield "if it runs, it must be so" if explained.decision.allowed else "if it were allowed, it would have to run so"
    size = f"{limits.mem_quota_mb} MB memory, {limits.disk_quota_mb} MB disk, {limits.output_mb} MB output"
    count = f"{limits.fd_limit} files, {limits.pids} processes"
    lines = {
        "limits": f"{limits.cpu_quota} % of a CPU, {size}, {limits.wallclock_timeout_s} s, {count}",
        "outside": owed.hard and f"set up before the VM runs: {', '.join(owed.hard)}",
        "inside": owed.soft and f"checked again in the guest: {', '.join(owed.soft)}",
        "programs": ", ".join(scope.commands),
        "reads": ", ".join(scope.read),
        "writes": ", ".join(scope.write),
        "never": f"{len(scope.deny)} denied path patterns" if scope.deny else "",
        "environment": ", ".join(scope.env),
        "network": " ".join(
            [scope.network, *(f"{one.host}:{one.port}/{one.proto}" for one in scope.endpoints)],
        ),
        "reviewers": ", ".join(owed.reviewers),
        "keys": ", ".join(owed.keys_required),
        "cost": f"{owed.atp_cost} ATP",
        "lease": f"at most {owed.lease_ttl_s} s",
    }
    yield from (f"  {name:<11}  {value}" for name, value in lines.items() if value)


def _risk(decision: Decision) -> Iterator[str]:
    factors = ", ".join(f"{factor.name} {factor.points}" for factor in decision.risk.factors)
    yield f"  risk         {decision.risk.score} ({decision.risk.band}){f': {factors}' if factors else ''}"

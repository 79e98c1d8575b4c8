"""The simulator against what a run of the drills has recorded of real machines: no machine is started again.

The drills keep of each scenario's runs what conformance compares, beside a digest of what was asked. A record of other
policies, of the simulator itself, or of a scenario that was changed since, is no evidence: it is refused, or the
scenario is STALE, which fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from executor.api import Executor
from harness.collection.shard import Shard
from harness.conform import asked
from harness.conform.corpus import Corpus, Group
from harness.conform.run import Compared, Nothing, Report, apart, compare_seen
from harness.conform.seen import Seen, seen
from harness.errors import ReportError
from harness.judgement.runs import Run, came_to_nothing, own_part, perform
from harness.report import records

SIMULATOR: Final = "sim"


@dataclass(frozen=True, slots=True)
class Held:
    """One run of a scenario as it was recorded."""

    role: str
    request: str
    """Digest of what was asked."""
    seen: Seen | str
    """What came of it, or why nothing did."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run of the drills left."""

    engine: str
    runs: Mapping[str, tuple[Held, ...]]
    """Scenario -> its runs."""


def of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the record of a scenario keeps of its `runs`; a batch's member gives its own parts."""
    kept: list[dict[str, Any]] = []
    for run in runs:
        nothing = came_to_nothing(run.plan.expect, run.outcome) if run.outcome else ""
        found = nothing or seen(run)
        told = {"unmeasured": found} if isinstance(found, str) else {"seen": found.told()}
        kept.append({"role": run.plan.role, "request": asked.digest(run.plan.request), **told})
    return kept


def read(folder: Path, policy: str) -> Recorded:
    """What the drills left in `folder`; raises `ReportError` when it is no evidence for policies of digest `policy`."""
    path = folder / records.FILE
    found, _ = records.read([path])
    try:
        runs = {str(one["id"]): tuple(_held(run) for run in one["compared"]) for one in found if one.get("compared")}
        others = {
            digest
            for one in found
            if one.get("compared") and (digest := one["facts"].get("digests", {}).get("policy", policy)) != policy
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path} cannot be read as runs to compare with: {error!r}; run the drills anew") from None
    engines = sorted({str(run["engine"]) for one in found if one.get("compared") for run in one["runs"]})
    if not runs or not engines:
        raise ReportError(f"{path} holds no run that the simulator could be compared with; run the drills")
    if others:
        raise ReportError(f"{path} is of other policies than these: run the drills anew")
    if engines == [SIMULATOR]:
        raise ReportError(f"{path} is the simulator's own: run the drills on real machines (--engine auto)")
    if len(engines) > 1:
        raise ReportError(f"{path} is of several engines ({', '.join(engines)}): run the drills on one")
    return Recorded(engines[0], runs)


def _held(raw: Mapping[str, Any]) -> Held:
    told = raw.get("seen")
    if told is None:
        return Held(str(raw["role"]), str(raw["request"]), str(raw["unmeasured"]))
    return Held(
        str(raw["role"]),
        str(raw["request"]),
        Seen(
            told["role"],
            told["verdict"],
            told["effect"],
            tuple(told["reasons"]),
            tuple(told["events"]),
            told["detail"],
        ),
    )


def compare(
    report: Report,
    corpus: Corpus,
    simulator: Executor,
    recorded: Recorded,
    *,
    part: Shard | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Compare what of `corpus` the record holds, into `report`; with `part` only that part of the groups."""
    known = [group for group in corpus.groups if any(one.id in recorded.runs for one in group.scenarios)]
    groups = part.keep(known) if part else known
    report.unrecorded = sum(one.id not in recorded.runs for group in corpus.groups for one in group.scenarios)
    for number, group in enumerate(groups, 1):
        tell(f"{number} of {len(groups)}: {group.id}; {len(report.divergent)} divergent so far")
        report.compared += compare_group(group, simulator, recorded)


def compare_group(group: Group, simulator: Executor, recorded: Recorded) -> list[Compared]:
    """Every scenario of `group` that the record holds."""
    result, left = apart(group, recorded.engine)
    result = [one for one in result if one.id in recorded.runs]
    left = [one for one in left if one.id in recorded.runs]
    if not left:
        return result
    watch = Nothing()
    runs = [perform(plan, simulator, watch) for plan in group.plans()]
    for scenario in left:
        own = [own_part(run, scenario) for run in runs]
        result.append(_compared(scenario.id, own, recorded.runs[scenario.id]))
    return result


def _compared(scenario: str, own: Sequence[Run], held: Sequence[Held]) -> Compared:
    """One scenario's runs on the simulator against its recorded ones, role by role."""
    by_role = {one.role: one for one in held}
    untried = [one.seen for one in held if isinstance(one.seen, str)]
    if untried:
        return Compared(scenario, "UNMEASURED", (untried[0],))
    pairs: list[tuple[Seen | str, Seen | str]] = []
    for run in own:
        there = by_role.get(run.plan.role)
        if there is None or there.request != asked.digest(run.plan.request):
            why = "was not recorded" if there is None else "asked for something else when it was recorded"
            return Compared(scenario, "STALE", (f"{run.plan.role}: {why}; run the drills anew",))
        pairs.append((seen(run), there.seen))
    return compare_seen(scenario, pairs)

"""What is left of a judged scenario for the summary and the report: plain data that travels between xdist processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.document.drill import AnyDrill
from harness.document.scenario import Scenario
from harness.errors import ReportError
from harness.judgement import coverage, trail
from harness.judgement.coverage import Covered
from harness.judgement.judge import Judgement, is_host_weakened
from harness.judgement.runs import Run
from harness.report.whole_file import read_json, write_text

Record = dict[str, Any]
"""JSON-like; see `of`."""
FILE: Final = "records.json"
"""Beside the summary: what it was made from, for the report's front page and for merging shards."""
SCHEMA: Final = "cordon.records/1"


def of(
    scenario: Scenario,
    runs: tuple[Run, ...],
    judgement: Judgement,
    *,
    listed: str,
    seconds: float,
    facts: dict[str, Any],
    writes: int,
    cell: Mapping[str, object] | None = None,
) -> Record:
    """The record of one scenario.

    `listed`: the reason for which UNMEASURED is accepted here, or empty; `facts`: versions and digests of the executor;
    `writes`: watched files on the host that changed; `cell`: what its positive control is worth to the sabotage matrix.
    """
    untried = {finding.role for finding in judgement.findings if finding.kind == "unmeasured"}
    made = [_run(run, untried=run.plan.role in untried) for run in runs if run.outcome is not None]
    return about(scenario, judgement, made, listed=listed, seconds=seconds, facts=facts, writes=writes, cell=cell)


def about(
    drill: AnyDrill,
    judgement: Judgement,
    runs: list[Record],
    *,
    listed: str,
    seconds: float,
    facts: dict[str, Any],
    writes: int,
    cell: Mapping[str, object] | None = None,
) -> Record:
    """The record of any drill, its `runs` in the form that `_run` gives them; the rest is as in `of`."""
    breakout = drill.breakout
    return {
        "id": drill.id,
        "title": drill.title,
        "plan": drill.plan,
        "ruling": judgement.ruling,
        "good": judgement.good,
        "findings": [str(finding) for finding in judgement.findings],
        "listed": listed,
        "attempt": {"class": breakout.class_, "mechanism": breakout.mechanism} if breakout else None,
        "seconds": seconds,
        "facts": facts,
        "writes_outside": writes,
        "runs": runs,
        "cell": dict(cell) if cell else None,
    }


def _run(run: Run, *, untried: bool) -> Record:
    outcome = run.outcome
    if outcome is None:
        return {}
    judged = not untried and not is_host_weakened(run)
    missing, unexpected = trail.counts(run.plan.expect.trail, outcome) if judged else (0, 0)
    return {
        "role": run.plan.role,
        "judged": judged,
        "engine": outcome.engine,
        "effect": outcome.effect,
        "verdict": outcome.verdict,
        "policy_digest": outcome.decision.get("policy_digest", ""),
        "seen": len(outcome.events) if judged else 0,
        "covered": coverage.of_events(outcome.events if judged else ()).to_json(),
        "missing": missing,
        "unexpected": unexpected,
        "lost": run.lost,
        "stages": [[stage.name, stage.duration_ns, stage.side] for stage in outcome.stages],
    }


def write(path: Path, found: Sequence[Record], covered: Covered, *, shard: str = "") -> None:
    """Write the records of a session, what its audit trails cover, and which shard it was (empty: none)."""
    content = {"schema": SCHEMA, "shard": shard, "covered": covered.to_json(), "records": list(found)}
    write_text(path, json.dumps(content, sort_keys=True) + "\n")


def read(paths: Iterable[Path]) -> tuple[list[Record], Covered]:
    """The records of one session or of several shards; raises `ReportError` for a file that holds none."""
    found: list[Record] = []
    covered = Covered()
    for path in paths:
        raw = read_json(path, SCHEMA, "records of drills")
        try:
            found += raw["records"]
            covered |= Covered.from_json(raw["covered"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReportError(f"{path} cannot be read as records of drills: {error}") from None
    return found, covered


def shard_of(path: Path) -> str:
    """Which shard left the records in `path`, as `I/N`; empty for one that was no shard. Raises `ReportError`."""
    read([path])
    return str(read_json(path, SCHEMA, "records of drills").get("shard", ""))

"""build/drills/summary.json: the figures of a whole run, from the records of its scenarios (DESIGN section 9)."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from executor.errors import OutsideError
from harness.judgement.coverage import Covered
from harness.report.attest import commit_of
from harness.report.records import Record
from harness.watch.canaries import content_digest

PLANS: Final = tuple("ABCDEFGHIJ")
RULINGS: Final = ("BLOCKED", "ESCAPED", "OVER_REFUSED", "VACUOUS", "DIVERGENT", "UNMEASURED")
UNKNOWN_SOURCE: Final[Mapping[str, Any]] = {"commit": "", "modified": False}
BOOT: Final = "vm.boot"
"""The stage of a machine that was booted for the run; a machine from the pool has none."""
TO_OUTPUT: Final = ("vm.acquire", "prepare", "first_output")
"""The stages from asking for a machine to the first byte of output, but for a cold boot."""
_PACKAGES: Final = ("cordon", "pytest", "allure-pytest", "libvirt-python", "opa-python-client", "pynacl")


def summarize(
    records: Sequence[Record], policies: Path, covered: Covered, source: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The summary as data; `covered` is what the audit trails show, `source` what `source_of` said."""
    runs = [run for record in records for run in record["runs"]]
    return {
        "engine": ",".join(sorted({run["engine"] for run in runs})) or "none",
        "host": host(),
        "source": dict(source or UNKNOWN_SOURCE),
        "versions": versions(records),
        "digests": digests(records, policies),
        "scenarios": {
            "total": len(records),
            "passed": sum(record["good"] for record in records),
            "failed": sum(not record["good"] and record["ruling"] != "UNMEASURED" for record in records),
            "unmeasured": sum(record["ruling"] == "UNMEASURED" for record in records),
        },
        "plans": {plan: _plan(plan, records) for plan in PLANS},
        "attempts": attempts(records),
        "svf": svf(runs, covered),
        "writes_outside": sum(record["writes_outside"] for record in records),
        "sabotage": {"controls": 0, "caught": 0},
        "figures": figures(records),
        "unmeasured": {
            record["id"]: record["listed"] or record["findings"][0]
            for record in records
            if record["ruling"] == "UNMEASURED"
        },
        "lost": {
            f"{record['id']} ({run['role']})": run["lost"]
            for record in records
            for run in record["runs"]
            if run.get("lost")
        },
        "duration_s": round(sum(record["seconds"] for record in records), 3),
    }


def source_of(root: Path) -> dict[str, Any]:
    """The commit that was judged, and whether there were changes beside it; empty where git cannot tell."""
    try:
        commit, modified = commit_of(root)
    except OutsideError:
        return dict(UNKNOWN_SOURCE)
    return {"commit": commit, "modified": modified}


def _plan(plan: str, records: Sequence[Record]) -> dict[str, int]:
    mine = [record for record in records if record["plan"] == plan]
    return {"total": len(mine), "passed": sum(record["good"] for record in mine)}


def attempts(records: Sequence[Record]) -> dict[str, int]:
    """Break-out attempts by ruling; `distinct` counts mechanisms that were blocked or tried, each once."""
    tried = [record for record in records if record["attempt"]]
    count = Counter(record["ruling"] for record in tried)
    return {
        "total": len(tried),
        "distinct": len({record["attempt"]["mechanism"] for record in tried}),
        **{ruling.lower(): count[ruling] for ruling in RULINGS},
    }


def svf(runs: Sequence[Record], covered: Covered) -> dict[str, Any]:
    """Coverage of the record: exact over every judged run, and over the machine's types and transitions.

    What the runs' own events cover counts too, so that nothing is lost where there is no trail.
    """
    judged = [run for run in runs if run["judged"]]
    seen = sum(run["seen"] for run in judged)
    missing = sum(run["missing"] for run in judged)
    unexpected = sum(run["unexpected"] for run in judged)
    expected = seen - unexpected + missing
    whole = expected + unexpected
    for run in judged:
        covered |= Covered.from_json(run["covered"])
    return {
        "expected": expected,
        "seen": seen,
        "missing": missing,
        "unexpected": unexpected,
        "coverage": round((expected - missing) / whole, 6) if whole else 0.0,
        **covered.figures(),
        "uncovered": covered.uncovered(),
    }


def figures(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Start-up times in milliseconds: how often seen, least, median, most; by headline and engine."""
    found: dict[str, list[float]] = {}
    golden: dict[str, set[int]] = {}
    for run in (run for record in records for run in record["runs"]):
        stages = {name: ns / 1e6 for name, ns, _ in run["stages"]}
        if BOOT in stages:
            found.setdefault(f"cold boot ({run['engine']})", []).append(stages[BOOT])
        if set(TO_OUTPUT) <= set(stages):
            # After its boot a cold machine is where a pooled one is when it is asked for.
            headline = f"warm start to first output ({run['engine']})"
            found.setdefault(headline, []).append(sum(stages[name] for name in TO_OUTPUT))
    for record in records:
        # The golden machine is booted once for an executor, outside every run; all its scenarios tell the same figure.
        engine = next((run["engine"] for run in record["runs"] if run["engine"]), "")
        if not engine:
            continue  # a scenario that could not be tried
        golden.setdefault(f"cold boot ({engine})", set()).add(record["facts"].get("figures", {}).get("cold_boot_ns", 0))
    for headline, times in golden.items():
        found.setdefault(headline, []).extend(ns / 1e6 for ns in times if ns)
    return {name: _spread(sorted(values)) for name, values in sorted(found.items()) if values}


def _spread(values: list[float]) -> dict[str, Any]:
    ends = {"min": values[0], "p50": values[len(values) // 2], "max": values[-1]}
    return {"unit": "ms", "n": len(values), **{name: round(value, 3) for name, value in ends.items()}}


def host() -> dict[str, Any]:
    """Where it ran, without naming the machine."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "kvm": os.access("/dev/kvm", os.R_OK | os.W_OK),
    }


def versions(records: Iterable[Record]) -> dict[str, str]:
    """Versions of Python, of the packages a verdict depends on, and of the programs the executor used."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for record in records:
        found.update({name: str(version) for name, version in record["facts"].get("versions", {}).items()})
    return found


def digests(records: Iterable[Record], policies: Path) -> dict[str, str]:
    """Digests of what was judged with; several, joined by commas, would mean that they changed during the run."""
    seen: dict[str, set[str]] = {"policy": set(), "image": set(), "agent": set()}
    for record in records:
        for name, digest in record["facts"].get("digests", {}).items():
            seen.setdefault(name, set()).add(str(digest))
    if not seen["policy"] and policies.is_dir():
        seen["policy"].add(f"sha256:{content_digest([policies])}")
    return {name: ",".join(sorted(values)) for name, values in seen.items()}

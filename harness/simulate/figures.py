"""From what was counted to figures: JSON-like, the same for the same load and seed. Times in seconds."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from executor.intent import Priority
from harness.simulate.load import Load
from harness.simulate.measures import ENDS, Measures, Party, Scram

SCHEMA: Final = "cordon.capacity/1"
DIGITS: Final = 6
"""Decimals of a second that are told: a microsecond."""


def figures(load: Load, measures: Measures) -> dict[str, Any]:
    """Everything a run shows but its timeline."""
    everyone = array("d")
    for waits in measures.waits.values():
        everyone.extend(waits)
    acquired = measures.hits + measures.misses
    return {
        "schema": SCHEMA,
        "id": load.id,
        "seed": load.seed,
        "serving": {name: getattr(load.serving, name) for name in ("pool", "workers", "hosts", "queue")},
        "simulated_s": _round(measures.simulated_s),
        "tasks": {
            "arrived": measures.arrived,
            **{end: measures.ends[end] for end in ENDS},
            "left": measures.left,
        },
        "refused_share": _share(measures.ends["refused"], measures.arrived),
        "refused": dict(sorted(measures.refused.items())),
        "denied_share": _share(measures.ends["denied"], measures.arrived),
        "denied": dict(sorted(measures.denied.items())),
        "wait_s": {"all": spread(everyone), **{p.name: spread(measures.waits[p]) for p in Priority}},
        "turnaround_s": {p.name: spread(measures.turnarounds[p]) for p in Priority},
        "queue": {
            "mean": _round(measures.queued_s / measures.simulated_s) if measures.simulated_s else 0.0,
            "longest": measures.longest_queue,
        },
        "pool": {
            "hits": measures.hits,
            "misses": measures.misses,
            "miss_share": _share(measures.misses, acquired),
            "cloned": measures.cloned,
            "shed": measures.shed,
        },
        "utilisation": _share(measures.busy_s, measures.worker_s),
        "requesters": {name: _party(party) for name, party in sorted(measures.parties.items())},
        "sources": {name: _source(arrived, ends) for name, (arrived, ends) in measures.sources.items()},
        "scrams": [_scram(stop) for stop in measures.scrams],
        "hosts_lost": measures.lost_hosts,
    }


def spread(values: array[float]) -> dict[str, float | int]:
    """How many, their mean, percentiles (nearest rank) and the most; zeros when there are none."""
    if not values:
        return {"n": 0, "mean": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    ordered = sorted(values)
    at = {f"p{part}": _round(ordered[-(-part * len(ordered) // 100) - 1]) for part in (50, 95, 99)}
    return {"n": len(ordered), "mean": _round(math.fsum(ordered) / len(ordered)), **at, "max": _round(ordered[-1])}


def lookup(found: Mapping[str, Any], path: str) -> float:
    """The figure at a dotted path, for example `wait_s.HIGH.p95`; raises `KeyError` with the names that are there.

    A name may hold dots itself, as codes do: `denied.atp.nap`. Places of a list count from 0.
    """
    value: Any = found
    left = path.split(".")
    passed: list[str] = []
    while left:
        names: Mapping[str, Any] = {str(place): one for place, one in enumerate(value)} if _listed(value) else value
        whole = ".".join(left)
        if not isinstance(names, Mapping) or (left[0] not in names and whole not in names):
            known = ", ".join(names) if isinstance(names, Mapping) else ""
            raise KeyError(f"{'.'.join(passed) or 'the result'} has no {whole}; there are {known or 'none'}")
        name = left[0] if left[0] in names else whole
        value = names[name]
        passed.append(name)
        left = [] if name == whole else left[1:]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise KeyError(f"{path} is no figure")
    return value


def _listed(value: object) -> bool:
    return isinstance(value, list)


def _party(party: Party) -> dict[str, Any]:
    return {
        "arrived": party.arrived,
        **{end: party.ends[end] for end in ENDS},
        "refused_share": _share(party.ends["refused"], party.arrived),
        "denied_share": _share(party.ends["denied"], party.arrived),
        "completed_share": _share(party.ends["completed"], party.arrived),
        "wait_s": spread(party.waits),
        "naps": {
            "n": party.nap.count,
            "total_s": _round(party.nap.total_s),
            "longest_s": _round(party.nap.longest_s),
        },
    }


def _source(arrived: int, ends: Counter[str]) -> dict[str, Any]:
    return {
        "arrived": arrived,
        **{end: ends[end] for end in ENDS},
        **{f"{end}_share": _share(ends[end], arrived) for end in ("completed", "denied", "refused")},
    }


def _scram(stop: Scram) -> dict[str, Any]:
    found: dict[str, Any] = {
        "at_s": _round(stop.at_s),
        "flushed": stop.flushed,
        "paused": stop.paused,
        "turned_away": stop.turned_away,
        "refused": stop.refused,
    }
    if stop.resumed_s is not None:
        found["resumed_s"] = _round(stop.resumed_s)
        if stop.drained_s is not None:
            found["drained_after_s"] = _round(stop.drained_s - stop.resumed_s)
    return found


def _share(part: float, whole: float) -> float:
    return round(part / whole, DIGITS) if whole else 0.0


def _round(seconds: float) -> float:
    return round(seconds, DIGITS)

"""A run's report as one JSON document: what the Markdown and HTML forms say, and nothing that was not recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from executor.outcome import CollectedFile, CommandResult, Outcome
from executor.rollback.pack import Pack

SCHEMA: Final = "cordon.run_report/1"
MAX_OUTPUT: Final = 4000
"""Characters of each stream shown; stdout.log and stderr.log have all of it."""
MAX_SAMPLES: Final = 2000
"""Samples kept in the document; a longer run keeps every n-th."""


_encode: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Said:
    """What of a report is JSON in words: both of its forms show it."""

    lease: str
    data: tuple[str, ...]
    """Each event's, in order; empty for none."""


def in_words(report: Mapping[str, Any]) -> Said:
    """The JSON in `build`'s values as text. Guest text in it is as it was said."""
    return Said(
        dumped(report["lease"]) if report["lease"] else "",
        tuple(_encode(event["data"]) if event["data"] else "" for event in report["trail"]),
    )


def dumped(value: Any, indent: str = "") -> str:
    """JSON for people: a field to a line, also of objects in objects; a list is one value.

    Not by the library's `indent`: that encoder is Python, and took a quarter of a report's time.
    """
    if not isinstance(value, Mapping) or not value:
        return _encode(value)
    inner = f"{indent} "
    fields = ",\n".join(f"{inner}{_encode(name)}: {dumped(value[name], inner)}" for name in sorted(value))
    return f"{{\n{fields}\n{indent}}}"


def build(
    outcome: Outcome,
    events: Iterable[Mapping[str, Any]],
    decision: Mapping[str, Any],
    lease: Mapping[str, Any] | None,
    pack: Pack | None = None,
) -> dict[str, Any]:
    """The report's values. Guest text is kept as it was said: whoever shows it escapes it (text.py)."""
    return {
        "schema": SCHEMA,
        "intent_id": outcome.intent_id,
        "lease_id": str((lease or {}).get("lease_id", "")),
        "engine": outcome.engine,
        "vm_id": outcome.vm_id,
        "verdict": outcome.verdict,
        "effect": outcome.effect,
        "reasons": list(outcome.reasons),
        "message": outcome.message,
        "brought": outcome.brought,
        "decision": dict(decision),
        "lease": dict(lease) if lease else None,
        "results": [_result(result) for result in outcome.results],
        "stages": [{"name": one.name, "duration_ns": one.duration_ns, "side": one.side} for one in outcome.stages],
        "samples": timeline(outcome.samples),
        "changes": [dict(change) for change in pack.to_json()["changes"]] if pack else [],
        "files": [_file(file) for file in outcome.files],
        "trail": [_event(event) for event in events],
    }


def timeline(samples: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """Samples on one time axis: each command counts from its own start, here they follow one another."""
    shift = previous = used = 0
    placed = []
    for sample in samples:
        at, usec = int(sample.get("at_ms", 0)), int(sample.get("cpu_usec", 0))
        if at < previous or usec < used:
            shift += previous
        previous, used = at, usec
        placed.append({**sample, "at_ms": shift + at})
    step = -(-len(placed) // MAX_SAMPLES) or 1
    return placed[::step]


def _result(result: CommandResult) -> dict[str, Any]:
    return {
        "argv": list(result.argv),
        "cause": result.cause,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "syscall": result.syscall,
        "duration_ns": result.duration_ns,
        "cpu_usec": result.cpu_usec,
        "memory_peak_bytes": result.memory_peak_bytes,
        "stdout": _stream(result.stdout),
        "stderr": _stream(result.stderr),
    }


def _stream(data: bytes) -> dict[str, Any]:
    # Four bytes a character at most: what is cut here cannot be shown anyway.
    text = data[: 4 * MAX_OUTPUT].decode("utf-8", "replace")[:MAX_OUTPUT]
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "text": text}


def _file(file: CollectedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "mode": file.mode,
        "bytes": len(file.content),
        "sha256": "" if file.refused else hashlib.sha256(file.content).hexdigest(),
        "refused": file.refused,
    }


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event.get(name, "") for name in ("seq", "ts", "type", "actor", "data", "hash")}

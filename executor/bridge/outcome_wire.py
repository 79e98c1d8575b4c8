"""An `Outcome` as a `result` message: values in the header, outputs and files one after another in the payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from executor.errors import InvalidInputError
from executor.outcome import CollectedFile, CommandResult, EffectClass, Outcome, Stage, Verdict


def pack(outcome: Outcome) -> tuple[dict[str, Any], bytes]:
    """The outcome's header value and payload."""
    blobs: list[bytes] = []

    def kept(content: bytes) -> int:
        blobs.append(content)
        return len(content)

    raw = {
        field.name: getattr(outcome, field.name)
        for field in fields(Outcome)
        if field.name not in {"results", "files", "stages"}
    }
    raw["reasons"] = list(outcome.reasons)
    raw["events"] = list(outcome.events)
    raw["samples"] = list(outcome.samples)
    raw["stages"] = [asdict(stage) for stage in outcome.stages]
    raw["results"] = [
        {**asdict(result), "argv": list(result.argv), "stdout": kept(result.stdout), "stderr": kept(result.stderr)}
        for result in outcome.results
    ]
    raw["files"] = [{**asdict(file), "content": kept(file.content)} for file in outcome.files]
    return raw, b"".join(blobs)


def unpack(raw: Mapping[str, Any], payload: bytes) -> Outcome:
    """The inverse of `pack`; raises `InvalidInputError` when the parts do not fit together."""
    cutter = _Cutter(payload)
    try:
        outcome = Outcome(
            **{
                **raw,
                "reasons": tuple(raw["reasons"]),
                "events": tuple(raw["events"]),
                "samples": tuple(raw["samples"]),
                "stages": tuple(Stage(**stage) for stage in raw["stages"]),
                "results": tuple(_result(result, cutter) for result in raw["results"]),
                "files": tuple(_file(file, cutter) for file in raw["files"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"outcome: not the fields of an outcome ({type(error).__name__})") from None
    if outcome.verdict not in get_args(Verdict) or outcome.effect not in get_args(EffectClass):
        raise InvalidInputError("outcome: unknown verdict or effect")
    cutter.end()
    return outcome


def _result(raw: Mapping[str, Any], cutter: _Cutter) -> CommandResult:
    stdout = cutter.cut(raw["stdout"])
    return CommandResult(**{**raw, "argv": tuple(raw["argv"]), "stdout": stdout, "stderr": cutter.cut(raw["stderr"])})


def _file(raw: Mapping[str, Any], cutter: _Cutter) -> CollectedFile:
    return CollectedFile(**{**raw, "content": cutter.cut(raw["content"])})


class _Cutter:
    """Takes the payload apart."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    def cut(self, size: Any) -> bytes:
        """The next `size` bytes."""
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(self._payload) - self._at:
            raise InvalidInputError("outcome: a part is longer than what came")
        self._at += size
        return self._payload[self._at - size : self._at]

    def end(self) -> None:
        """Everything must be taken by now."""
        if self._at != len(self._payload):
            raise InvalidInputError("outcome: more came than is announced")

"""What became of an intent: the values the executor hands back and the harness judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["allow", "deny", "malformed"]
"""The policy's answer; `malformed` is an answer that could not be had or understood, and counts as deny."""

EffectClass = Literal["completed", "failed", "killed", "timeout", "breached", "denied", "refused", "aborted"]
"""completed: exit code 0 - failed: another exit code - killed: by signal or seccomp - timeout: wall clock -
breached: a quota - denied: policy or review, nothing ran - refused: lease, host or guest check, nothing ran -
aborted: the VM or the host broke."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """One command as it ended in the guest."""

    argv: tuple[str, ...]
    cause: str
    """Name of the channel's `Finished.Cause`, in lower case; where the host ordered the end, its own reason."""
    exit_code: int
    signal: int
    stdout: bytes
    stderr: bytes
    duration_ns: int
    cpu_usec: int = 0
    memory_peak_bytes: int = 0
    syscall: int = -1


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """A workspace file handed back; `refused` says why its bytes were not."""

    path: str
    mode: int
    content: bytes
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One timed stage of the path."""

    name: str
    duration_ns: int
    side: Literal["host", "guest"] = "host"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything one run left behind, for the judge and the report."""

    intent_id: str
    engine: str
    verdict: Verdict
    reasons: tuple[str, ...]
    """Codes of the decision, sorted; of the refusing part where policy allowed."""
    effect: EffectClass
    decision: dict[str, Any]
    lease: dict[str, Any] | None
    results: tuple[CommandResult, ...] = ()
    files: tuple[CollectedFile, ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    stages: tuple[Stage, ...] = ()
    samples: tuple[dict[str, int], ...] = ()
    vm_id: str = ""
    message: str = ""
    brought: str = ""
    """A digest of what the intent brought along (`executor.forecast.brought_by`); empty when that was nothing."""

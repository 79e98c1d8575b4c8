"""What the record says about a requester: broken rules and finished runs in the policy's window. Fed with events.

A run counts as one violation, whatever else it did, when one of these is on its record: a quota breached, a kill by the
system call filter, a refusal by the guest, a broken channel protocol. Not counted are what the policy itself refused
(nobody is punished for asking), time-outs, and runs in machines that a drill had weakened. What cp18 runs to validate a
change counts for whoever sent the change: else one bad change after the other would get cp18 itself refused.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from executor.clock import parse_rfc3339
from executor.errors import InvalidInputError
from executor.forecast import History as Usage
from executor.policy.request import History
from executor.svf import read
from executor.svf.event import parse_line
from executor.svf.files import lines_of, log_files

DATA_FILE: Final = Path("cordon/rules/arbitration/data.yaml")
"""Below the policies' folder: the policy that judges says how far back it looks."""
_SECOND: Final = 1_000_000_000
_VALIDATOR: Final = ".cp18"
"""How the id of a validation run ends; before it is the id of the intent that is validated."""


def violates(event: Mapping[str, Any]) -> bool:
    """Whether the event shows a broken rule."""
    kind, data = event["type"], event["data"]
    if kind == "exec_event.KILLED":
        return bool(data.get("by") == "seccomp")
    return kind in {"resource_event.BREACH", "channel_event.VIOLATION", "exec_event.DENIED"}


@dataclass(slots=True)
class _Run:
    requester: str
    counted: bool = False
    weakened: bool = False


@dataclass(slots=True)
class _Past:
    """Moments, oldest first."""

    violations: deque[int] = field(default_factory=deque)
    runs: deque[int] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Past:
    """What is known when a decision is due: what runs used, and who broke rules."""

    usage: Usage
    violations: Violations


class Violations:
    """The record's memory of requesters. Thread-safe."""

    def __init__(self, window_s: int, *, ignored: str = "") -> None:
        """`window_s`: how far back; `ignored`: intents whose ids begin so are not remembered (empty: all are)."""
        self._window_ns = window_s * _SECOND
        self._ignored = ignored
        self._lock = threading.Lock()
        self._open: dict[str, _Run] = {}
        self._past: dict[str, _Past] = {}

    def take(self, events: Iterable[Mapping[str, Any]], *, requester: str = "") -> None:
        """Learn from events, as JSON values, each intent's in their order; `requester`: who they count for."""
        with self._lock:
            for event in events:
                if event["intent_id"]:
                    self._one(event, requester)

    def of(self, requester: str, now_ns: int) -> History:
        """What is known of `requester` within the window before `now_ns`."""
        with self._lock:
            past = self._past.get(requester)
            if past is None:
                return History()
            for moments in (past.violations, past.runs):
                while moments and moments[0] <= now_ns - self._window_ns:
                    moments.popleft()
            return History(len(past.violations), len(past.runs))

    def _one(self, event: Mapping[str, Any], requester: str) -> None:
        kind, intent_id = event["type"], event["intent_id"]
        if kind == "intent_event.SUBMITTED":
            parent = self._open.get(intent_id.removesuffix(_VALIDATOR)) if event["actor"] == "cp18" else None
            self._open[intent_id] = _Run(requester or (parent.requester if parent else event["actor"]))
            return
        run = self._open.get(intent_id)
        if run is None:
            return
        if kind == "vm_event.ACQUIRED":
            run.weakened = bool(event["data"].get("weakened"))
        elif kind in {"report_event.PUBLISHED", "intent_event.REJECTED", "task_event.REJECTED"}:
            del self._open[intent_id]
            if kind == "report_event.PUBLISHED":
                self._count(run, event, violation=False)
        elif violates(event) and not run.counted:
            run.counted = True
            self._count(run, event, violation=True)

    def _count(self, run: _Run, event: Mapping[str, Any], *, violation: bool) -> None:
        if run.weakened or (self._ignored and event["intent_id"].startswith(self._ignored)):
            return
        past = self._past.setdefault(run.requester, _Past())
        (past.violations if violation else past.runs).append(parse_rfc3339(event["ts"]))


def load(trail: Path, window_s: int, now_ns: int, *, ignored: str = "") -> Violations:
    """What the audit trail in the folder `trail` says of the window before `now_ns`; raises `OutsideError`."""
    found = Violations(window_s, ignored=ignored)
    if trail.is_dir():
        after = _before(trail, now_ns - window_s * _SECOND)
        found.take(event.to_json() for event in read(trail, after=after))
    return found


def _before(trail: Path, since_ns: int) -> int:
    """A sequence number behind which everything since `since_ns` is: whole files that ended before are left out."""
    after = 0
    for file in log_files(trail):
        with contextlib.suppress(InvalidInputError, StopIteration, ValueError):
            if parse_rfc3339(parse_line(next(lines_of(file.path))).ts) > since_ns:
                break
            after = file.first - 1
    return after


def window(policies: Path) -> int:
    """The window the policy judges by, in seconds; raises `InvalidInputError` when its data does not say."""
    import yaml  # noqa: PLC0415 - once per process

    from executor import yaml_text  # noqa: PLC0415 - as above

    path = policies / DATA_FILE
    try:
        seconds = yaml_text.load(path.read_bytes())["settings"]["violations_window_s"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path}: settings.violations_window_s cannot be read: {error}") from None
    if not isinstance(seconds, int) or seconds < 1:
        raise InvalidInputError(f"{path}: settings.violations_window_s is no number of seconds above 0")
    return seconds

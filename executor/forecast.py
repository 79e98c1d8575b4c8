"""CP15's resource forecast: what an intent will probably use, from what runs of the same kind have used.

For each program of the intent, the first rule that holds (`MANY` and `FEW` runs are counted by program):

1. `p95`: MANY or more runs of this program by this requester: the 95th percentile (nearest rank) of what they used,
2. `few`: FEW to MANY - 1 of them: the highest seen and half as much again: a percentile of so few is mere luck,
3. `p95_anyone`, `few_anyone`: the same two over everybody's runs of this program,
4. `asked`: nothing to go by: the limits that were asked for.

Memory is the highest of the programs, time and processor use are their sum. No forecast is above the limits asked for
(more cannot be used), and one that reaches them is a factor of its own. All figures are whole numbers, rounded up.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from executor.intent import Intent, Limits
from executor.outcome import Outcome
from executor.plain import plain

MANY: Final = 20
"""Runs from which a 95th percentile says anything: below 20 its nearest rank is the maximum."""
FEW: Final = 3
MARGIN_PERCENT: Final = 150
"""Of the highest seen, when only few runs are known."""
KEPT: Final = 2000
"""Commands remembered; older ones are forgotten, so that the forecast follows change."""
_MB: Final = 1024 * 1024

Foreseen = tuple[Literal["memory", "wallclock"], int, int]
"""(quota, expected use, limit) in the quota's own unit: bytes or milliseconds."""
Rule = Literal["p95", "few", "p95_anyone", "few_anyone", "asked"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command used, or what is expected: peak memory in MiB, processor and wall time in milliseconds."""

    memory_mb: int
    cpu_ms: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class PastRun:
    """One command of the past. `bad`: it was killed, breached a quota or timed out."""

    requester: str
    program: str
    usage: Usage
    bad: bool = False
    command: str = ""
    """`command_of` it: the very same command again."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One named reason for the forecast: `value` in the unit that the name ends with."""

    name: str
    program: str
    runs: int
    value: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of an intent, and why."""

    usage: Usage
    factors: tuple[Factor, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values, whole numbers only: fit for an audit event."""
        return {**plain(self.usage), "factors": plain(self.factors)}


def forecast(intent: Intent, past: Iterable[PastRun]) -> Forecast:
    """What `intent` will use. Pure: `past` is everything that is known."""
    known = list(past)
    asked = _asked(intent.limits)
    factors: list[Factor] = []
    programs = [program_of(command.argv) for command in intent.commands]
    found = {name: _by_program(name, intent.requester, known, asked) for name in dict.fromkeys(programs)}
    for name, (usage, rule, runs) in found.items():
        factors += [Factor(f"{rule}.{figure}", name, len(runs), value) for figure, value in plain(usage).items()]
        if bad := sum(run.bad for run in runs):
            factors.append(Factor("bad_ends.percent", name, len(runs), -(-100 * bad // len(runs))))
    expected = [found[name][0] for name in programs]
    total = Usage(
        memory_mb=min(asked.memory_mb, max((one.memory_mb for one in expected), default=0)),
        cpu_ms=min(asked.cpu_ms, sum(one.cpu_ms for one in expected)),
        duration_ms=min(asked.duration_ms, sum(one.duration_ms for one in expected)),
    )
    for figure in ("memory_mb", "duration_ms"):
        limit = getattr(asked, figure)
        known_rules = [name for name, (_, rule, _) in found.items() if rule != "asked"]
        if known_rules and getattr(total, figure) >= limit:
            factors.append(Factor(f"at_limit.{figure}", "", len(known_rules), limit))
    return Forecast(total, tuple(factors))


def foreseen(
    argv: Sequence[str], requester: str, limits: Limits, past: Iterable[PastRun], *, brought: str = ""
) -> tuple[Foreseen, ...]:
    """Which quotas this very command of this requester's will breach, going by FEW or more earlier runs of it.

    Stricter than `forecast` on purpose, since it is an alert: the same argument vector over the same bytes (`brought`
    is `brought_by` of the intent), no margin on top.
    """
    command = command_of(argv, brought)
    runs = [run for run in past if run.command == command and run.requester == requester]
    if len(runs) < FEW:
        return ()
    expected = _figures(runs, percentile_95)
    asked = _asked(limits)
    figures: tuple[tuple[Literal["memory", "wallclock"], int, int, int], ...] = (
        ("memory", expected.memory_mb, asked.memory_mb, _MB),
        ("wallclock", expected.duration_ms, asked.duration_ms, 1),
    )
    return tuple((quota, used * unit, limit * unit) for quota, used, limit, unit in figures if used >= limit)


def command_of(argv: Sequence[str], brought: str = "") -> str:
    """What tells one command from another: a digest of its whole argument vector and of what it may read or run."""
    return hashlib.sha256("\0".join((*argv, brought)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def brought_by(intent: Intent) -> str:
    """A digest of the files, programs and patch `intent` brings along; empty when there are none.

    The same words over other bytes are another command: `/artefact/kernel` is a new program with every build.
    """
    parts = [f"file {one.path} {hashlib.sha256(one.content).hexdigest()}" for one in intent.files]
    parts += [f"artefact {one.name} {one.sha256}" for one in intent.artefacts]
    parts += [f"patch {intent.patch}"] if intent.patch else []
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest() if parts else ""


def program_of(argv: Sequence[str]) -> str:
    """The program's name without its folder, cut to 64 characters: what runs are told apart by."""
    return PurePosixPath(argv[0]).name[:64] if argv else ""


def percentile_95(values: Sequence[int]) -> int:
    """The nearest-rank 95th percentile: the smallest value that at least 95 % of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[-(-95 * len(ordered) // 100) - 1]


def _by_program(
    program: str, requester: str, past: Sequence[PastRun], asked: Usage
) -> tuple[Usage, Rule, list[PastRun]]:
    anyone = [run for run in past if run.program == program]
    own = [run for run in anyone if run.requester == requester]
    choices: tuple[tuple[list[PastRun], Rule, Rule], ...] = (
        (own, "p95", "few"),
        (anyone, "p95_anyone", "few_anyone"),
    )
    for runs, many, few in choices:
        if len(runs) >= MANY:
            return _figures(runs, percentile_95), many, runs
        if len(runs) >= FEW:
            return _figures(runs, lambda values: -(-max(values) * MARGIN_PERCENT // 100)), few, runs
    return asked, "asked", []


def _figures(runs: Sequence[PastRun], of: Callable[[list[int]], int]) -> Usage:
    return Usage(
        memory_mb=of([run.usage.memory_mb for run in runs]),
        cpu_ms=of([run.usage.cpu_ms for run in runs]),
        duration_ms=of([run.usage.duration_ms for run in runs]),
    )


def _asked(limits: Limits) -> Usage:
    milliseconds = limits.wallclock_timeout_s * 1000
    return Usage(limits.mem_quota_mb, milliseconds * limits.cpu_quota // 100, milliseconds)


class History:
    """The commands of the last runs, in memory. `load` fills it from the run folders when an executor starts."""

    def __init__(self, runs: Iterable[PastRun] = (), *, kept: int = KEPT) -> None:
        """Remember at most `kept` commands."""
        self._runs: deque[PastRun] = deque(runs, maxlen=kept)

    def __iter__(self) -> Iterator[PastRun]:
        return iter(tuple(self._runs))

    def __len__(self) -> int:
        return len(self._runs)

    def remember(self, requester: str, outcome: Outcome) -> None:
        """Add every command of `outcome`; drills with a weakened machine should not be remembered."""
        for result in outcome.results:
            usage = Usage(
                -(-result.memory_peak_bytes // _MB), -(-result.cpu_usec // 1000), -(-result.duration_ns // 10**6)
            )
            bad = result.cause != "exited"
            command = command_of(result.argv, outcome.brought)
            self._runs.append(PastRun(requester, program_of(result.argv), usage, bad, command))


def load(runs: Path, *, newest: int = 500) -> History:
    """The history from the reports of the `newest` run folders below `runs`; unreadable ones are left out."""
    try:
        folders = sorted((path for path in runs.iterdir()), key=_modified)[-newest:]
    except OSError:
        return History()
    return History(run for folder in folders for run in _reported(folder / "report.json"))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _reported(report: Path) -> list[PastRun]:
    try:
        values = json.loads(report.read_bytes())
        requester = values["lease"]["issued_to"]
        brought = str(values.get("brought", ""))
        return [_past(requester, result, brought) for result in values["results"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _past(requester: str, result: Mapping[str, Any], brought: str) -> PastRun:
    figures = [int(result[name]) for name in ("memory_peak_bytes", "cpu_usec", "duration_ns")]
    memory, cpu, duration = (max(0, figure) for figure in figures)
    usage = Usage(-(-memory // _MB), -(-cpu // 1000), -(-duration // 10**6))
    argv = [str(word) for word in result["argv"]]
    return PastRun(str(requester), program_of(argv), usage, result["cause"] != "exited", command_of(argv, brought))

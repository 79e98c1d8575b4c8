"""Batches of break-out attempts: many mechanisms in one VM, each judged on its own evidence (docs/adr/0014).

A `cordon.breakouts/1` document becomes one scenario for each of its attempts. They share three runs: the attempt's, the
weakened VM's with the same bytes, and the harmless twins'. `narrowed` cuts a shared run down to what one probe did in
it; `complaints` says whether the shared run is evidence at all. Pure.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, cast

from executor.outcome import EffectClass, Outcome
from harness.document.expect import Expect, Match, Refusal

SCHEMA: Final = "cordon.breakouts/1"
LINE: Final = "CORDON-BATCH "
_MARK: Final = LINE.encode()
ESCAPED: Final = "CORDON-PROBE escaped"
FINE: Final = "CORDON-PROBE fine"
_TRAILS: Final[Mapping[EffectClass, str]] = {"completed": "executed", "killed": "killed"}
"""The ways a batch may end: quietly, or marked as killed because a probe of it was."""


@dataclass(frozen=True, slots=True)
class Member:
    """A scenario's place in a batch."""

    batch: str
    mechanism: str
    mechanisms: tuple[str, ...]
    """All of the batch, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the runner in the guest saw of one probe."""

    mechanism: str
    exit_code: int
    """-1 for one that a signal ended."""
    signal: int
    syscall: int
    late: bool
    out: str


def attempt_expect(refusal: Refusal) -> Expect:
    """What an attempt comes to that is refused as `refusal` says."""
    if refusal.kind == "signal":
        return Expect("allow", "killed", "killed", signal=refusal.value)
    return Expect("allow", "failed", "executed", exit_code=1)


def positive_expect() -> Expect:
    """What the same bytes come to in the weakened VM: every probe says so itself."""
    return Expect("allow", "completed", "executed", exit_code=0, stdout=Match(contains=ESCAPED))


def twin_expect() -> Expect:
    """What a harmless sibling comes to."""
    return Expect("allow", "completed", "executed", exit_code=0, stdout=Match(contains=FINE))


def reports(outcome: Outcome) -> tuple[tuple[Probed, ...], int]:
    """Every probe the runner told of, in order, and how many it says it tried (-1: it did not come to that)."""
    return _told(tuple(result.stdout for result in outcome.results))


@lru_cache(maxsize=8)
def _told(outputs: tuple[bytes, ...]) -> tuple[tuple[Probed, ...], int]:
    """The same from the outputs: every member of a batch asks for its three runs' several times."""
    found: list[Probed] = []
    done = -1
    for output in outputs:
        if _MARK not in output:
            continue  # the megabytes of a flood are not read line by line
        for line in output.decode("utf-8", "replace").splitlines():
            if line.startswith(LINE):
                one = _parse(line.removeprefix(LINE))
                if isinstance(one, int):
                    done = one
                elif one is not None:
                    found.append(one)
    return tuple(found), done


def _parse(text: str) -> Probed | int | None:
    """One line of the runner; None for anything else: guest text is untrusted."""
    try:
        raw: Any = json.loads(text)
        if "done" in raw:
            return int(raw["done"])
        return Probed(
            str(raw["probe"]),
            int(raw["exit"]),
            int(raw["signal"]),
            int(raw["syscall"]),
            bool(raw["late"]),
            str(raw["out"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def complaints(outcome: Outcome, member: Member) -> Iterator[str]:
    """Why a shared run is no evidence for any of its probes; nothing when it is."""
    if outcome.effect not in _TRAILS:
        why = ", ".join(outcome.reasons)
        yield f"batch: the run ended as {outcome.effect}{f' ({why})' if why else ''}, not after its last probe"
        return
    found, done = reports(outcome)
    told = tuple(one.mechanism for one in found)
    if told != member.mechanisms or done != len(member.mechanisms):
        lost = [name for name in member.mechanisms if told.count(name) != 1]
        names = ", ".join(lost) or "none"
        yield f"batch: the runner tells of {len(told)} probes, done {done}; lost or doubled: {names}"
    last = outcome.results[-1] if outcome.results else None
    killed = [one for one in found if one.signal == signal.SIGSYS]
    audited = last is not None and last.cause == "seccomp"
    if bool(killed) != audited:
        seen = "some" if audited else "none"
        yield f"batch: {len(killed)} probes died of SIGSYS, the kernel's audit record says {seen}"
    elif last and killed and killed[0].syscall not in {-1, last.syscall}:
        yield (
            f"batch: the first probe killed, {killed[0].mechanism}, asked for call {killed[0].syscall};"
            f" the kernel's audit record says {last.syscall}"
        )
    if last and last.exit_code != 0:
        yield f"batch: the runner ended with {last.exit_code}"


def narrowed(outcome: Outcome, member: Member) -> Outcome:
    """`outcome` as if the member's probe had been the whole command; its events stay those of the run."""
    found, _ = reports(outcome)
    mine = [one for one in found if one.mechanism == member.mechanism]
    if outcome.effect not in _TRAILS or len(mine) != 1 or not outcome.results:
        return outcome
    one = mine[0]
    effect: EffectClass = "killed" if one.signal else "completed" if one.exit_code == 0 else "failed"
    cause = "seccomp" if one.signal == signal.SIGSYS else "signaled" if one.signal else "exited"
    result = replace(
        outcome.results[-1],
        cause=cause,
        exit_code=max(one.exit_code, 0),
        signal=one.signal,
        syscall=one.syscall if one.signal == signal.SIGSYS else -1,
        stdout=one.out.encode(),
    )
    return replace(outcome, effect=effect, results=(result,))


def expected(expect: Expect, outcome: Outcome) -> Expect:
    """`expect` with the trail of the whole run: whether it is marked as killed is checked against its probes."""
    return replace(expect, trail=_TRAILS.get(outcome.effect, cast("str", expect.trail)))

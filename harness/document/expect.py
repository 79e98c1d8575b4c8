"""What a scenario expects, as frozen values; the judge compares them with what happened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, Literal, cast

from executor.outcome import EffectClass, Verdict

RefusalKind = Literal["errno", "signal", "absence", "denial"]

_TRAILS: Final[dict[EffectClass, str]] = {
    "completed": "executed",
    "failed": "executed",
    "killed": "killed",
    "timeout": "timeout",
    "breached": "breached",
    "denied": "policy_denied",
    "refused": "lease_denied",
    "aborted": "aborted",
}


def implied_trail(raw: dict[str, Any]) -> str:
    """The named trail that an expectation without one means: it follows from the effect and from who refuses."""
    by_guest = any(code.startswith("guest.") for code in raw.get("reasons", ()))
    return "guest_denied" if raw["effect"] == "refused" and by_guest else _TRAILS[raw["effect"]]


_SHOWN: Final = 120
"""Characters of a line that a finding shows: what a task wrote may be a megabyte without a line's end."""


def _unequal(wanted: str, text: str) -> str:
    """Where two different texts part: the first line that differs, of both."""
    lines = zip_longest(wanted.splitlines(keepends=True), text.splitlines(keepends=True))
    number, expected, got = next((n, a, b) for n, (a, b) in enumerate(lines, 1) if a != b)
    if expected is None:
        return f"has a line {number} too many: {_shown(got)}"
    if got is None:
        return f"ends before line {number}: {_shown(expected)}"
    return f"line {number} is {_shown(got)}, not {_shown(expected)}"


def _shown(line: str) -> str:
    return repr(line) if len(line) <= _SHOWN else f"{line[:_SHOWN]!r}... ({len(line)} characters)"


@dataclass(frozen=True, slots=True)
class Match:
    """What an output must hold; every condition that is given must be met."""

    equals: str | None = None
    contains: str | None = None
    matches: re.Pattern[str] | None = None
    absent: str | None = None

    def complaint(self, text: str) -> str | None:
        """Why `text` does not match, or None when it does."""
        if self.equals is not None and text != self.equals:
            return _unequal(self.equals, text)
        if self.contains is not None and self.contains not in text:
            return f"does not contain {self.contains!r}"
        if self.matches is not None and not self.matches.search(text):
            return f"does not match /{self.matches.pattern}/"
        if self.absent is not None and self.absent in text:
            return f"contains {self.absent!r}, which must not be there"
        return None

    @classmethod
    def parse(cls, raw: dict[str, str] | None) -> Match | None:
        """From data that fits the schema; raises `re.error` for a bad expression."""
        if raw is None:
            return None
        pattern = re.compile(raw["matches"], re.MULTILINE) if "matches" in raw else None
        return cls(raw.get("equals"), raw.get("contains"), pattern, raw.get("absent"))


@dataclass(frozen=True, slots=True)
class Expect:
    """The outcome a run must have."""

    verdict: Verdict
    effect: EffectClass
    trail: str | tuple[str, ...]
    """A named trail of the state machine, or its patterns in order."""
    reasons: tuple[str, ...] = ()
    """The exact set of reason codes, sorted."""
    exit_code: int | None = None
    signal: str | None = None
    cause: str | None = None
    stdout: Match | None = None
    stderr: Match | None = None
    files: dict[str, Match] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    """Paths that were to be handed back and must not be."""

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Expect:
        """From data that fits the schema; raises `re.error` for a bad expression."""
        effect = cast("EffectClass", raw["effect"])
        named: str | dict[str, list[str]] = raw.get("trail", implied_trail(raw))
        return cls(
            verdict=raw.get("verdict", "deny" if effect == "denied" else "allow"),
            effect=effect,
            trail=named if isinstance(named, str) else tuple(named["events"]),
            reasons=tuple(sorted(set(raw.get("reasons", ())))),
            exit_code=raw.get("exit_code", 0 if effect == "completed" else None),
            signal=raw.get("signal"),
            cause=raw.get("cause"),
            stdout=Match.parse(raw.get("stdout")),
            stderr=Match.parse(raw.get("stderr")),
            files={path: cast("Match", Match.parse(match)) for path, match in raw.get("files", {}).items()},
            withheld=tuple(raw.get("withheld", ())),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """How an attempt must be stopped."""

    kind: RefusalKind
    value: str

    def __str__(self) -> str:
        """For example `signal SIGSYS`."""
        return f"{self.kind} {self.value}"


def contradictions(raw: dict[str, Any], *, overridden: bool = False) -> list[tuple[str, str]]:
    """Fields of an expectation that cannot be true together, as (field, message).

    `overridden`: the run goes on against the policy's denial, so that any effect may follow.
    """
    effect = raw.get("effect")
    refused = effect in {"denied", "refused"}
    verdict = raw.get("verdict", "deny" if effect == "denied" else "allow")
    found: list[tuple[str, str]] = []
    if not overridden and (verdict == "allow") == (effect == "denied"):
        found.append(("effect", f"the verdict {verdict} cannot lead to the effect {effect}"))
    if refused and not raw.get("reasons"):
        found.append(("reasons", f"the effect {effect} has at least one reason code"))
    if effect == "completed" and raw.get("exit_code", 0) != 0:
        found.append(("exit_code", "the effect completed means exit code 0; use failed"))
    if effect == "failed" and raw.get("exit_code", 1) == 0:
        found.append(("exit_code", "the effect failed means another exit code than 0"))
    if refused:
        ran = [name for name in ("exit_code", "cause", "files") if name in raw]
        found += [(name, f"nothing runs when the effect is {effect}") for name in ran]
    if "exit_code" in raw and effect in {"killed", "timeout", "breached", "aborted"}:
        found.append(("exit_code", f"there is none when the effect is {effect}"))
    if "signal" in raw and effect not in {"killed", "breached", "timeout"}:
        found.append(("signal", f"there is none when the effect is {effect}"))
    return [*found, *(_impossible_output(raw) if refused else ())]


def _impossible_output(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Output asked of a run in which nothing ran."""
    streams = [(name, raw.get(name, {})) for name in ("stdout", "stderr")]
    wanted = [name for name, match in streams if {"contains", "matches"} & set(match) or match.get("equals")]
    return [(name, f"there is no output when the effect is {raw['effect']}") for name in wanted]

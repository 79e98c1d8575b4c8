"""The probe protocol: how a probe in the guest reports what the kernel told it, and how a refusal is recognised.

A probe prints lines `CORDON-PROBE <word>[=<value>]`: `errno=EPERM` for a call refused with that error, `absent=<thing>`
for something that is not there, `escaped` when it got through, anything else as a note. Guest text is untrusted: a lie
can only make a scenario fail, because `escaped` always counts and every refusal is compared with one expected value.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from typing import Final

from executor.outcome import Outcome
from harness.document.expect import Refusal

_LINE: Final = re.compile(r"^CORDON-PROBE ([a-z]+)(?:=(.*?))?\r?$", re.MULTILINE)


def output(outcome: Outcome, stream: str) -> str:
    """All of `stdout` or `stderr`, every command's in order, undecodable bytes as U+FFFD."""
    return b"".join(getattr(result, stream) for result in outcome.results).decode("utf-8", "replace")


def reports(outcome: Outcome) -> tuple[tuple[str, str], ...]:
    """What the probe said, as (word, value), in order."""
    return tuple((word, value or "") for word, value in _LINE.findall(output(outcome, "stdout")))


def says_escaped(outcome: Outcome) -> bool:
    """Whether the probe says it got through."""
    return any(word == "escaped" for word, _ in reports(outcome))


def signal_name(number: int) -> str:
    """`SIGSYS` for 31; `signal 99` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def refusal_seen(refusal: Refusal, outcome: Outcome) -> str | None:
    """None when `outcome` was refused exactly so, else what was seen instead, in words."""
    said = reports(outcome)
    if refusal.kind == "denial":
        seen = ", ".join(outcome.reasons) or "no reason code"
        return None if refusal.value in outcome.reasons else f"expected {refusal}, saw {seen}"
    if refusal.kind == "signal":
        last = outcome.results[-1] if outcome.results else None
        seen = signal_name(last.signal) if last and last.signal else "no signal"
        return None if seen == refusal.value else f"expected {refusal}, saw {seen}"
    if refusal.kind == "absence":
        things = [value for word, value in said if word == "absent"]
        return None if things == [refusal.value] else f"expected {refusal}, the probe said {_listed(things)}"
    names = [value for word, value in said if word == "errno"]
    if set(names) == {refusal.value} or (not names and _strerror(refusal.value) in output(outcome, "stderr")):
        return None
    return f"expected {refusal}, the probe said {_listed(names)}"


def _strerror(name: str) -> str:
    """The C library's words for an error name, as ordinary tools print them."""
    number = getattr(errno, name, 0)
    return os.strerror(number) if number else f"no such error {name}"


def _listed(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "nothing"

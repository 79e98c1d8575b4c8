"""Targets with a bug planted in each: what a red team that works must find."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

from harness.redteam.target import EscapeError, Target


def _crash(_: Any, attack: Any) -> None:
    """A parser that trusts a length byte."""
    data = bytes(attack)
    if len(data) > 2 and data[0] == 0x7B:
        _ = data[1 + data[1]]


def _hang(_: Any, attack: Any) -> None:
    """A scanner that never gets past a doubled separator."""
    at = 0
    while at < len(attack):
        at += 0 if attack[at : at + 2] == ",," else 1


def _bloat(_: Any, attack: Any) -> None:
    """A reader that believes a count."""
    if attack["count"] > 0:
        _ = [bytes(1024)] * 0 + [bytearray(attack["count"] << 20)]


def _escape(_: Any, attack: Any) -> None:
    """A path check that looks at the first part only."""
    parts = attack.split("/")
    if parts[0] != ".." and ".." in parts:
        raise EscapeError(f"leads out: {attack!r}")


def _die(_: Any, attack: Any) -> None:
    """C code that aborts."""
    if "die" in attack:
        os.abort()


def _stuck(_: Any, attack: Any) -> None:
    """C code that does not come back: Python cannot interrupt a backtracking expression."""
    import re  # noqa: PLC0415 - only here

    if attack.startswith("!"):
        re.match(r"(a|a)*$", "a" * 40 + "!")


CRASH = Target("crash", "trusts a length", lambda: st.binary(max_size=20), _crash)
HANG = Target("hang", "doubled separator", lambda: st.text("ab,", max_size=20), _hang)
BLOAT = Target("bloat", "believes a count", lambda: st.fixed_dictionaries({"count": st.integers(0, 4096)}), _bloat)
ESCAPE = Target(
    "escape", "first part only", lambda: st.lists(st.sampled_from(["a", "..", "b"]), max_size=6).map("/".join), _escape
)
DIE = Target("die", "aborts", lambda: st.lists(st.sampled_from(["x", "die", "yy"]), max_size=6).map("".join), _die)
STUCK = Target("stuck", "backtracks in C", lambda: st.text("!ab", max_size=6), _stuck)
SOUND = Target("sound", "has no bug", lambda: st.binary(max_size=20), lambda *_: None)
PLANTED = (CRASH, HANG, BLOAT, ESCAPE, DIE, STUCK)

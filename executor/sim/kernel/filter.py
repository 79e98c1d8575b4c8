"""The seccomp filter as the kernel applies it, from the very profile the agent installs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

ALLOW: Final = 0
KILL: Final = -1
_MASK64: Final = (1 << 64) - 1


@lru_cache(maxsize=1)
def numbers() -> Mapping[int, str]:
    """Number -> name of the calls of x86_64."""
    text = Path(__file__).with_name("calls_x86_64.txt").read_text(encoding="ascii")
    return {int(number): name for number, name in (line.split() for line in text.splitlines())}


@lru_cache(maxsize=1)
def by_name() -> Mapping[str, int]:
    """Name -> number."""
    return {name: number for number, name in numbers().items()}


@dataclass(frozen=True, slots=True)
class Filter:
    """A profile made ready: call -> its rules in the file's order."""

    rules: Mapping[str, tuple[Mapping[str, Any], ...]]
    default: int
    plain: Mapping[str, int]
    """Call -> its answer, whatever its arguments are. Most calls are of these, and every call is asked about."""

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Filter:
        """From OCI form."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for rule in profile["syscalls"]:
            for name in rule["names"]:
                found.setdefault(name, []).append(rule)
        default = _value({"action": profile["defaultAction"], "errnoRet": profile.get("defaultErrnoRet", 1)})
        plain = {
            name: _strictest([_value(rule) for rule in rules])
            for name, rules in found.items()
            if not any(rule.get("args") for rule in rules)
        }
        return cls({name: tuple(rules) for name, rules in found.items() if name not in plain}, default, plain)

    def answer(self, name: str, arguments: Sequence[int]) -> int:
        """`ALLOW`, `KILL`, or the error number the call is answered with. The strictest rule that holds decides."""
        answer = self.plain.get(name)
        if answer is not None:
            return answer
        held = [_value(rule) for rule in self.rules.get(name, ()) if _holds(rule, arguments)]
        return _strictest(held) if held else self.default


def _strictest(held: Sequence[int]) -> int:
    return KILL if KILL in held else max(held)


def _value(rule: Mapping[str, Any]) -> int:
    if rule["action"] == "SCMP_ACT_ERRNO":
        return int(rule.get("errnoRet", 1))
    return {"SCMP_ACT_ALLOW": ALLOW, "SCMP_ACT_KILL_PROCESS": KILL}[rule["action"]]


def _holds(rule: Mapping[str, Any], arguments: Sequence[int]) -> bool:
    conditions = rule.get("args", ())
    if not conditions:
        return True
    values = [value & _MASK64 for value in (*arguments, 0, 0, 0, 0, 0, 0)]
    for condition in conditions:
        value, wanted = values[condition["index"]], condition["value"]
        operator = condition["op"]
        if operator == "SCMP_CMP_EQ":
            fits = value == wanted
        elif operator == "SCMP_CMP_GT":
            fits = value > wanted
        elif operator == "SCMP_CMP_MASKED_EQ":
            fits = value & wanted == condition.get("valueTwo", 0)
        else:
            raise ValueError(f"a profile with {operator}, which the simulator does not know")
        if not fits:
            return False
    return True

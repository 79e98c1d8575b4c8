"""The seccomp truth table as the profile promises it, to be compared with what the kernel of a guest answered.

    python -m harness.reference.truth_table           the table on standard output
    python -m harness.reference.truth_table --write   into scenarios/seccomp/truth_table.yaml

The profile is read as libseccomp reads it: a rule holds when all its conditions do, a call no rule speaks of gets the
default, a call by i386 or x32 numbers kills because the profile has no such architecture.
"""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PROFILE: Final = ROOT / "executor/guest/seccomp.json"
FOLDER: Final = ROOT / "scenarios/seccomp"
SCENARIO: Final = FOLDER / "truth_table.yaml"
LAST: Final = 599
BEYOND: Final = (1023, 4095, 65535, 0x3FFFFFFF)
FOREIGN: Final = (("i386", 511), ("x32", 599))
_MASK64: Final = (1 << 64) - 1
_START: Final = "    equals: |\n"
_END: Final = "  trail: killed\n"


def verdict(profile: dict[str, Any], call: str, arguments: Sequence[int]) -> str:
    """What `profile` answers to `call`: allowed, killed, or the name of an error; raises when rules contradict."""
    found = {_answer(rule) for rule in profile["syscalls"] if call in rule["names"] and _holds(rule, arguments)}
    if len(found) > 1:
        raise ValueError(f"rules contradict each other on {call}{tuple(arguments)}: {sorted(found)}")
    default = {"action": profile["defaultAction"], "errnoRet": profile["defaultErrnoRet"]}
    return found.pop() if found else _answer(default)


def _answer(rule: dict[str, Any]) -> str:
    if rule["action"] == "SCMP_ACT_ERRNO":
        return errno.errorcode[rule["errnoRet"]]
    return {"SCMP_ACT_ALLOW": "allowed", "SCMP_ACT_KILL_PROCESS": "killed"}[rule["action"]]


def _holds(rule: dict[str, Any], arguments: Sequence[int]) -> bool:
    values = [value & _MASK64 for value in (*arguments, 0, 0, 0, 0, 0, 0)]
    for condition in rule.get("args", ()):
        value, wanted = values[condition["index"]], condition["value"]
        fits = {
            "SCMP_CMP_EQ": value == wanted,
            "SCMP_CMP_GT": value > wanted,
            "SCMP_CMP_MASKED_EQ": value & wanted == condition.get("valueTwo", 0),
        }
        if not fits[condition["op"]]:
            return False
    return True


def calls() -> dict[int, str]:
    """Number -> name of every known call of x86_64."""
    pairs = (line.split() for line in (FOLDER / "calls.txt").read_text(encoding="ascii").splitlines())
    return {int(number): name for number, name in pairs}


def table() -> Iterator[str]:
    """The lines of the table, as scenarios/seccomp/truth_table.py prints them."""
    profile: dict[str, Any] = json.loads(PROFILE.read_text(encoding="utf-8"))
    names = calls()
    default = errno.errorcode[profile["defaultErrnoRet"]]
    run: list[int] = []
    yield "entry number name answer"
    for number in (*range(LAST + 1), *BEYOND):
        if run and (number in names or number != run[-1] + 1):
            yield f"x86_64 {_range(run)} {default}"
            run = []
        if number in names:
            yield f"x86_64 {number} {names[number]} {verdict(profile, names[number], ())}"
        else:
            run.append(number)
    yield f"x86_64 {_range(run)} {default}"
    for entry, last in FOREIGN:
        yield f"{entry} 0-{last} killed"
    for name, arguments in json.loads((FOLDER / "cases.json").read_text(encoding="utf-8")):
        yield f"with {name}({','.join(map(hex, arguments))}) {verdict(profile, name, arguments)}"


def _range(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"


def written(scenario: str) -> str:
    """The text of the scenario with the table in its place."""
    head, _, rest = scenario.partition(_START)
    _, _, tail = rest.partition(_END)
    return head + _START + "".join(f"      {line}\n" for line in table()) + _END + tail


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=(__doc__ or "").strip())
    parser.add_argument("--write", action="store_true", help="into the scenario instead of standard output")
    if parser.parse_args(arguments).write:
        SCENARIO.write_text(written(SCENARIO.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

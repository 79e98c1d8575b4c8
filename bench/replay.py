"""How fast recorded decisions are replayed. Bar: 100,000 in at most 60 s, memory that does not grow with the log.

The logs are made first, outside the measured time: requests of several actors, phases, capabilities and programs,
decided by the policies that are replayed against, as SVF events. In the usual log a request comes some twenty times,
each time under another id and at another time (`share_of_kinds` says how many differ in more than that); in the other
log no two are alike. Measured is the whole command: read, parse, validate, decide in bulk, compare. `opa_cpu` and
`own_cpu` say where the time goes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.intent import Intent
from executor.policy import Budget, DecisionRequest, Facts, History, Review, default_policies_dir
from harness.jobs import default_jobs
from harness.replay.bulk import BulkDecider
from harness.replay.memo import Memo
from harness.replay.run import BATCH, replay

ROWS: Final = 100_000
KINDS: Final = 0.05
"""Share of rows of the usual log that differ from all others in more than id and time."""
PROGRAMS: Final = (
    ["echo", "hi"],
    ["python3", "x.py"],
    ["gcc", "-c", "a.c"],
    ["cat", "f"],
    ["bash", "-c", "true"],
    ["curl", "x"],
)
EXTRAS: Final = ("dev:python", "dev:compiler", "fs:write_tmp", "net:egress", "dev:gpu")
ACTORS: Final = ("cbo", "cp15", "cp18", "cp20", "drill", "eve")


def request(number: int) -> dict[str, Any]:
    """A policy input; the same for the same number."""
    dice = random.Random(number)  # noqa: S311 - variety, no secret
    intent = Intent.parse(
        {
            "intent_id": f"intent-{number}",
            "requester": dice.choice(ACTORS),
            "phase": dice.choice(("staging", "staging", "staging", "production")),
            "capabilities": ["base:execute", *dice.sample(EXTRAS, dice.randint(0, 3))],
            "commands": [{"argv": [*dice.choice(PROGRAMS), str(number)]}],
            "env": {"LANG": "C"} if dice.random() < 0.5 else {},
            "files": [{"path": f"/workspace/f{number}", "text": "hello"}] if dice.random() < 0.5 else [],
        }
    )
    facts = Facts(
        reviews=(Review("cp14", "PASS"),), budget=Budget(dice.randint(0, 1000)), history=History(dice.randint(0, 3), 10)
    )
    return DecisionRequest(intent, facts).document(now=1_700_000_000 + number)


def write_log(path: Path, rows: int, policies: Path, kinds: float = KINDS) -> None:
    """`rows` recorded decisions in `path`, a share of `kinds` of them different."""
    several = max(1, round(rows * kinds))
    with BulkDecider(policies, memo=Memo()) as decider, path.open("w", encoding="utf-8") as file:
        for begin in range(0, rows, BATCH):
            documents = [again(request(number % several), number) for number in range(begin, min(begin + BATCH, rows))]
            for number, answer in enumerate(decider.answers(documents), begin):
                data = {"decision": answer, "input": documents[number - begin]}
                record = {
                    "actor": "cp16",
                    "data": data,
                    "prev": "0" * 64,
                    "seq": number,
                    "type": "policy_event.DECIDED",
                }
                file.write(json.dumps(record, separators=(",", ":")) + "\n")


def again(document: dict[str, Any], number: int) -> dict[str, Any]:
    """The request asked once more: under another id, at another time."""
    document["intent"]["id"] = f"intent-{number}"
    document["now"] = 1_700_000_000 + number
    return document


def figures(rows: int = ROWS, distinct_rows: int = 0) -> list[dict[str, Any]]:
    """The figures of the usual log, and of one of `distinct_rows` without repetition (a tenth where none is given)."""
    return [*_measured("replay", rows, KINDS), *_measured("replay.distinct", distinct_rows or max(1, rows // 10), 1.0)]


def _measured(name: str, rows: int, kinds: float) -> list[dict[str, Any]]:
    """Seconds for the whole log, OPA's share of the processor, rows a second, and peak memory of this side."""
    policies = default_policies_dir()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write_log(log, rows, policies, kinds)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        own_before = resource.getrusage(resource.RUSAGE_SELF)
        result = replay([str(log)], policies, jobs=default_jobs())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
    if result.tally.rows != rows or result.tally.directions:
        message = f"{result.tally.rows} of {rows} replayed, flips: {dict(result.tally.directions)}"
        raise RuntimeError(message)
    opa = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    python = own.ru_utime + own.ru_stime - own_before.ru_utime - own_before.ru_stime
    return [
        spread(f"{name}.{rows}_decisions", "s", [result.seconds]),
        spread(f"{name}.share_of_kinds", "1", [kinds]),
        spread(f"{name}.rate", "decisions/s", [rows / result.seconds]),
        spread(f"{name}.opa_cpu", "ms/decision", [opa / rows * 1000]),
        spread(f"{name}.own_cpu", "ms/decision", [python / rows * 1000]),
        spread(f"{name}.peak_resident", "KiB", [float(own.ru_maxrss)]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="recorded decisions (100,000)")
    parser.add_argument("--distinct", type=int, default=0, help="of them in the log without repetition (a tenth)")
    args = parser.parse_args()
    json.dump(figures(args.rows, args.distinct), sys.stdout, indent=2)
    sys.stdout.write("\n")

"""How fast recorded decisions are replayed. Bar: 100,000 in at most 60 s, memory that does not grow with the log.

The log is made first, outside the measured time: requests of several actors, phases, capabilities and programs, no two
alike, decided by the policies that are replayed against, as SVF events. Measured is the whole command: read, parse,
validate, decide in bulk, compare. Where the time goes is in the second figure: OPA's processor time for one decision.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.figure import spread
from executor.intent import Intent
from executor.policy import Budget, DecisionRequest, Facts, History, Review, default_policies_dir
from harness.replay.bulk import BulkDecider
from harness.replay.run import BATCH, default_jobs, replay

ROWS: Final = 100_000
DISTINCT: Final = 5_000
"""Different requests; a longer log repeats them under other ids and times, which the decision reads too."""
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


def write_log(path: Path, rows: int, policies: Path) -> None:
    """`rows` recorded decisions in `path`."""
    with BulkDecider(policies) as decider, path.open("w", encoding="utf-8") as file:
        pairs = []
        for begin in range(0, min(rows, DISTINCT), BATCH):
            documents = [request(number) for number in range(begin, min(begin + BATCH, rows, DISTINCT))]
            pairs += list(zip(documents, decider.answers(documents), strict=True))
        for line in _lines(pairs, rows):
            file.write(line)


def _lines(pairs: list[tuple[dict[str, Any], dict[str, Any]]], rows: int) -> Iterator[str]:
    for number in range(rows):
        document, decision = pairs[number % len(pairs)]
        document["intent"]["id"] = f"intent-{number}"
        record = {"actor": "cp16", "data": {"decision": decision, "input": document}, "prev": "0" * 64, "seq": number}
        yield json.dumps({**record, "type": "policy_event.DECIDED"}, separators=(",", ":")) + "\n"


def figures(rows: int = ROWS) -> list[dict[str, Any]]:
    """Seconds for the whole log, OPA's share of the processor, rows a second, and peak memory of this side."""
    policies = default_policies_dir()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write_log(log, rows, policies)
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
        spread(f"replay.{rows}_decisions", "s", [result.seconds]),
        spread("replay.rate", "decisions/s", [rows / result.seconds]),
        spread("replay.opa_cpu", "ms/decision", [opa / rows * 1000]),
        spread("replay.own_cpu", "ms/decision", [python / rows * 1000]),
        spread("replay.peak_resident", "KiB", [float(own.ru_maxrss)]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="recorded decisions (100,000)")
    json.dump(figures(parser.parse_args().rows), sys.stdout, indent=2)
    sys.stdout.write("\n")

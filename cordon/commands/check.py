"""`cordon check`: are scenarios well formed, do policies pass their gate; quick, runs nothing in a VM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from cordon.terminal import print_json, safe
from executor.errors import InvalidInputError
from harness.document.scenario import parse_file
from harness.errors import Problem, ScenarioError
from harness.gate.run import main as gate

HELP: Final = "check scenarios for mistakes without running them, or policies by their gate"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", choices=["scenarios", "policies"], help="what is to be checked")
    parser.add_argument("paths", nargs="*", type=Path, help="scenarios: files or folders (scenarios/)")
    parser.add_argument("--json", action="store_true", help="scenarios: answer as JSON")
    parser.epilog = """\
examples:
  cordon check scenarios
  cordon check scenarios scenarios/hello_staging.yaml --json
  cordon check policies

exit status: 0 good, 1 mistakes were found, 2 wrong use"""


def run(args: argparse.Namespace) -> int:
    """Check."""
    if args.what == "policies":
        if args.paths or args.json:
            raise InvalidInputError("cordon check policies takes nothing more; the gate has a command of its own")
        return gate([])
    count, problems = check_scenarios(args.paths or [Path("scenarios")])
    if args.json:
        told = [{"place": str(one.place), "field": one.field, "message": one.message} for one in problems]
        print_json({"scenarios": count, "problems": told})
    else:
        for problem in problems:
            sys.stderr.write(f"{safe(str(problem))}\n")
        sys.stdout.write(f"scenarios: {count}, mistakes: {len(problems)}\n")
    return 1 if problems else 0


def check_scenarios(paths: list[Path]) -> tuple[int, list[Problem]]:
    """How many drills `paths` hold, and every mistake; an id that is used twice is one. Raises `InvalidInputError`."""
    if missing := [str(path) for path in paths if not path.exists()]:
        raise InvalidInputError(f"there is no {', '.join(missing)}")
    files = [file for path in paths for file in (sorted(path.rglob("*.y*ml")) if path.is_dir() else [path])]
    problems: list[Problem] = []
    taken: dict[str, Problem] = {}
    count = 0
    for file in dict.fromkeys(files):
        try:
            for drill in parse_file(file):
                count += 1
                here = Problem(drill.place, "id", f"{drill.id} is taken")
                first = taken.setdefault(drill.id, here)
                if first is not here:
                    problems.append(Problem(drill.place, "id", f"{drill.id} is taken; first at {first.place}"))
        except ScenarioError as error:
            problems += error.problems
    return count, problems

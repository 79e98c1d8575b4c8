"""The drills, in this order.

1. set aside what the last run left in build/drills (the history of earlier reports stays);
2. pytest over scenarios/ on real VMs, with JUnit XML, Allure results and summary.json;
3. sabotage: every control is taken away once, and some scenario has to notice. What the run itself has shown of it is
   taken over; only the rest is run. A run of chosen scenarios leaves it out, and so does `--no-sweep`;
4. the simulator runs what was run and is compared with what is on record of it; chosen scenarios are not compared;
5. the report, one HTML file;
6. a browser opens it and looks for every scenario;
7. a signed statement (attestation.json) binds the results to commit, policy, image and agent.

Exit status: pytest's, else 1 when the report or its check failed. A failed step does not keep the later ones from
showing what there is to see.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

import pytest

from harness.drills import finish, folder
from harness.drills.arguments import HELP, NO_SWEEP, is_path, is_whole, only_lists, wants_help
from harness.drills.simulated import simulated
from harness.drills.sweep import sweep
from harness.report import build

_NEVER_BEGAN: Final = frozenset({pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED})


def main(arguments: Sequence[str]) -> int:
    """Run all steps; the exit status."""
    if wants_help(arguments):
        sys.stdout.write(HELP)
        return 0
    extra = [argument for argument in arguments if argument != NO_SWEEP]
    folder.set_aside()
    started = time.monotonic()
    status = run_pytest(extra)
    if status in _NEVER_BEGAN or only_lists(extra):
        folder.put_back()
        return status
    folder.let_go()
    due = len(extra) == len(arguments) and is_whole(extra)
    swept = sweep(extra) if due else None
    seconds = time.monotonic() - started
    problems = ["there is no sabotage matrix: the sweep came to no end"] if due and swept is None else []
    problems += finish.summarised(seconds, swept)
    problems += simulated(extra) if is_whole(extra) else []
    problems += [*finish.reported(), *finish.attested()]
    for problem in problems:
        sys.stderr.write(f"drills: {problem}\n")
    sys.stdout.write(
        f"drills: {'green' if not status and not problems else 'RED'} after {seconds:.0f} s; summary {folder.SUMMARY}\n"
    )
    return status or (1 if problems else 0)


def run_pytest(extra: Sequence[str]) -> int:
    """Run the scenarios in a process of their own; pytest's exit status. Paths in `extra` replace scenarios/."""
    command = [sys.executable, "-m", "pytest", "--engine", "auto"]
    command += [f"--junitxml={folder.JUNIT}", f"--summary={folder.SUMMARY}"]
    command += [f"--alluredir={build.RESULTS}", "--clean-alluredir", "-o", "junit_family=xunit1"]
    command += ["-c", "pyproject.toml", "--rootdir", "."]  # else pytest looks for them by way of every path it is given
    if not any(is_path(argument) for argument in extra):
        command.append("scenarios")
    return subprocess.run([*command, *extra], check=False).returncode

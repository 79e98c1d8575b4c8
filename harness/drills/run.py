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
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from harness.drills import finish, folder
from harness.drills.arguments import HELP, NO_SWEEP, is_path, is_whole, only_lists, wants_help
from harness.drills.simulated import simulated
from harness.drills.sweep import sweep
from harness.errors import ReportError
from harness.report import build

Step = Callable[[Sequence[str]], dict[str, Any] | None]
"""Takes pytest's arguments; what it found, JSON-like."""
_NEVER_BEGAN: Final = frozenset({pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED})


def main(arguments: Sequence[str]) -> int:
    """Run all steps; the exit status."""
    if wants_help(arguments):
        sys.stdout.write(HELP)
        return 0
    extra = [argument for argument in arguments if argument != NO_SWEEP]
    whole = is_whole(extra)
    folder.set_aside()
    started = time.monotonic()
    status = run_pytest(extra)
    if status in _NEVER_BEGAN or only_lists(extra):
        folder.put_back()
        return status
    folder.let_go()
    problems: list[str] = []
    swept = _step("the sweep", sweep, extra, problems) if whole and NO_SWEEP not in arguments else None
    compared = _step("the comparison with the simulator", simulated, extra, problems) if whole else None
    seconds = time.monotonic() - started
    problems += [*finish.summarised(seconds, swept, compared), *finish.reported(), *finish.attested()]
    for problem in problems:
        sys.stderr.write(f"drills: {problem}\n")
    sys.stdout.write(
        f"drills: {'green' if not status and not problems else 'RED'} after {seconds:.0f} s; summary {folder.SUMMARY}\n"
    )
    return status or (1 if problems else 0)


def _step(name: str, step: Step, extra: Sequence[str], problems: list[str]) -> dict[str, Any] | None:
    """What `step` found; None, and a word in `problems`, where it came to no end."""
    try:
        return step(extra)
    except ReportError as error:
        problems.append(f"{name} came to no end: {error}")
        return None


def run_pytest(extra: Sequence[str]) -> int:
    """Run the scenarios in a process of their own; pytest's exit status. Paths in `extra` replace scenarios/."""
    command = [sys.executable, "-m", "pytest", "--engine", "auto"]
    command += [f"--junitxml={folder.JUNIT}", f"--summary={folder.SUMMARY}"]
    command += [f"--alluredir={build.RESULTS}", "--clean-alluredir", "-o", "junit_family=xunit1"]
    command += ["-c", "pyproject.toml", "--rootdir", "."]  # else pytest looks for them by way of every path it is given
    if not any(is_path(argument) for argument in extra):
        command.append("scenarios")
    return subprocess.run([*command, *extra], check=False).returncode

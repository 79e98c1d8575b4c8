"""`python -m harness.drills [pytest arguments]`: what `tox -e drills` runs, in this order.

1. empty build/drills (the history of earlier reports is kept);
2. pytest over scenarios/ on real VMs, with JUnit XML, Allure results and summary.json;
3. sabotage: every control is taken away once, and some scenario has to notice. What the run itself has shown of it is
   taken over; only the rest is run. A run of chosen scenarios leaves it out, and so does `--no-sweep`;
4. the report, one HTML file;
5. a browser opens it and looks for every scenario;
6. a signed statement (attestation.json) binds the results to commit, policy, image and agent.

Exit status: pytest's, else 1 when the report or its check failed. A failed step does not keep the later ones from
showing what there is to see.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from executor.clock import SystemClock
from executor.errors import CordonError
from executor.keys import KeyStore
from executor.paths import state_dir
from harness.collection.shard import Shard
from harness.errors import ReportError
from harness.report import attest, build, records, trend
from harness.report.check import check
from harness.report.faults import faults
from harness.sabotage import collected, kept, matrix

BUILD: Final = Path("build/drills")
KEPT: Final = frozenset({"history.jsonl", trend.FILE, "state"})
"""Names below build/drills that a run leaves in place; `state` is cleaned by the plugin, process by process."""
SUMMARY: Final = BUILD / "summary.json"
ATTESTATION: Final = BUILD / "attestation.json"
JUNIT: Final = BUILD / "junit.xml"
HISTORY: Final = BUILD / "history.jsonl"
SABOTAGE: Final = BUILD / "sabotage.json"
TREND: Final = BUILD / trend.FILE
RECORDS: Final = BUILD / records.FILE
NO_SWEEP: Final = "--no-sweep"
"""Option of ours: no control is taken away beyond what the scenarios' own positive controls do."""
_CHOOSING: Final = ("-k", "-m", "--lf", "--ff", "--last-failed", "--deselect", "--ignore", "--sabotage", "--co")
"""Options of pytest after which not all scenarios were run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps; the exit status."""
    extra = list(sys.argv[1:] if arguments is None else arguments)
    wanted = NO_SWEEP not in extra
    extra = [argument for argument in extra if argument != NO_SWEEP]
    clean(BUILD)
    started = time.monotonic()
    status = run_pytest(extra)
    due = wanted and is_whole(extra)
    swept = _sabotage(extra) if due else None
    seconds = time.monotonic() - started
    problems = ["there is no sabotage matrix: the sweep came to no end"] if due and swept is None else []
    problems += [*_finish_summary(seconds, swept), *reported(), *attested()]
    for problem in problems:
        sys.stderr.write(f"drills: {problem}\n")
    _say(f"drills: {'green' if not status and not problems else 'RED'} after {seconds:.0f} s; summary {SUMMARY}")
    return status or (1 if problems else 0)


def clean(folder: Path) -> None:
    """Empty `folder` but for what is kept between runs."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def run_pytest(extra: Sequence[str]) -> int:
    """Run the scenarios in a process of their own; pytest's exit status. Paths in `extra` replace scenarios/."""
    command = [sys.executable, "-m", "pytest", "--engine", "auto", f"--junitxml={JUNIT}", f"--summary={SUMMARY}"]
    command += [f"--alluredir={build.RESULTS}", "--clean-alluredir", "-o", "junit_family=xunit1"]
    command += ["-c", "pyproject.toml", "--rootdir", "."]  # else pytest looks for them by way of every path it is given
    if not any(_is_path(argument) for argument in extra):
        command.append("scenarios")
    return subprocess.run([*command, *extra], check=False).returncode


def is_whole(extra: Sequence[str]) -> bool:
    """Whether nothing in pytest's arguments chooses among the scenarios, or does something else than run them.

    A shard is a part of the whole: it sweeps its part of the controls.
    """
    chosen = any(_is_path(argument) for argument in extra)
    return not chosen and not any(argument.startswith(_CHOOSING) for argument in extra)


def _sabotage(extra: Sequence[str]) -> dict[str, Any] | None:
    """Sweep the controls in as many processes as pytest had workers; the matrix, None when there is none."""
    try:
        parts = shares(extra, collected.caught(RECORDS))
    except ReportError as error:
        sys.stderr.write(f"drills: {error}\n")
        return None
    running = []
    for number, names in enumerate(parts):
        target = SABOTAGE.with_name(f"sabotage-{number}.json")
        command = [sys.executable, "-m", "cordon", "drills", "sabotage", "--fresh", "--quiet", f"--output={target}"]
        command += [f"--engine={option(extra, '--engine') or 'auto'}", f"--records={RECORDS}"]
        running.append((target, subprocess.Popen([*command, *(f"--control={name}" for name in names)])))
    try:
        for _, process in running:
            process.wait()
        raws = [kept.read(target) for target, _ in running]
    except ReportError as error:
        sys.stderr.write(f"drills: {error}\n")
        return None
    finally:
        for target, process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
            target.unlink(missing_ok=True)
    merged = matrix.merged(raws)
    kept.write(SABOTAGE, merged)
    return merged


def shares(extra: Sequence[str], shown: frozenset[str]) -> list[list[str]]:
    """The controls of each process of the sweep: what the run has `shown` costs nothing, the rest is dealt out."""
    workers = Shard.workers(option(extra, "-n", "--numprocesses"))
    part = option(extra, "--shard")
    mine = (Shard.parse(part) if part else Shard(1, 1)).keep(list(matrix.controls()))
    parts = [[name for name in mine if name not in shown][number::workers] for number in range(workers)]
    parts[-1] += [name for name in mine if name in shown]
    return [names for names in parts if names]


def option(extra: Sequence[str], *names: str) -> str:
    """The value of an option among pytest's arguments, `--name=value`, `--name value` or `-nvalue`; empty without."""
    for number, argument in enumerate(extra):
        for name in names:
            if argument == name:
                return extra[number + 1] if number + 1 < len(extra) else ""
            if argument.startswith(f"{name}="):
                return argument.partition("=")[2]
            if not name.startswith("--") and argument.startswith(name):
                return argument[len(name) :]
    return ""


def _is_path(argument: str) -> bool:
    """Whether `argument` names scenarios: not every path does, options have paths for values."""
    path = Path(argument.partition("::")[0])
    named = path.suffix in {".yaml", ".yml"} or "scenarios" in path.parts
    return not argument.startswith("-") and named and path.exists()


def _finish_summary(seconds: float, swept: dict[str, Any] | None) -> list[str]:
    """Put the sweep and the whole run's duration into the summary; complaints when it is not there or shows a fault."""
    try:
        summary: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"there is no summary: {error}"]
    summary["duration_s"] = round(seconds, 3)
    if swept is not None:
        summary["sabotage"] = {name: swept[name] for name in ("controls", "caught", "missed")}
    SUMMARY.write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    trend.write(TREND, [*trend.read(TREND), trend.line_of(summary, SystemClock())])
    return faults(summary)


def reported(folder: Path = BUILD) -> list[str]:
    """Make the report of what is in `folder` and look at it; complaints."""
    results = folder / build.RESULTS.name
    try:
        index = build.generate(results, folder / build.REPORT.name, history=folder / HISTORY.name)
        _say(f"drills: report {index}")
        seen = check(index, titles(results), screenshots=folder / "screenshots")
    except CordonError as error:
        return [str(error)]
    found = [f"the report does not show {title!r}" for title in seen.missing]
    found += [f"the report ran foreign script: {text}" for text in seen.dialogs]
    return found + [f"the report: {text}" for text in seen.errors]


def attested(folder: Path = BUILD) -> list[str]:
    """Sign what the run in `folder` found; complaints. `cordon report verify` checks it, also elsewhere and later.

    The signer is this host's issuer key where there is one (`cordon keys init`), else a key made for this run alone:
    then the trust file beside the statement is worth as much as the way it travelled.
    """
    try:
        keys = KeyStore(state_dir(), SystemClock())
        if not keys.trust_path.exists():
            keys = KeyStore(folder / "keys", SystemClock())
            keys.init()
        commit, modified = attest.commit_of(Path.cwd())
        envelope = attest.create(
            (folder / SUMMARY.name).read_bytes(),
            commit=commit,
            modified=modified,
            signer=keys.issuer(),
            clock=SystemClock(),
        )
        (folder / ATTESTATION.name).write_bytes(envelope)
        shutil.copyfile(keys.trust_path, folder / "trust_keys.json")
    except (CordonError, OSError) as error:
        return [f"no attestation: {error}"]
    _say(f"drills: attestation {folder / ATTESTATION.name}")
    return []


def titles(results: Path) -> list[str]:
    """The titles of every result that pytest handed to Allure."""
    files = sorted(results.glob("*-result.json"))
    return [str(json.loads(path.read_text(encoding="utf-8"))["name"]) for path in files]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

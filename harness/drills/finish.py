"""After the scenarios: the summary's last figures, the report and a browser that opens it, the signed statement."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from executor.clock import SystemClock
from executor.errors import CordonError
from executor.keys import KeyStore
from executor.paths import state_dir
from harness.drills.folder import ATTESTATION, BUILD, HISTORY, SUMMARY, TREND
from harness.report import attest, build, trend
from harness.report.check import check
from harness.report.faults import faults
from harness.report.whole_file import write_json


def summarised(seconds: float, swept: dict[str, Any] | None, compared: dict[str, Any] | None) -> list[str]:
    """Put what came after the scenarios into the summary; complaints when it is not there or shows a fault.

    `seconds`: of the run until here; `swept`: the sabotage matrix; `compared`: figures of the simulator's comparison.
    """
    try:
        summary: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"there is no summary: {error}"]
    summary["duration_s"] = round(seconds, 3)
    if swept is not None:
        summary["sabotage"] = {name: swept[name] for name in ("controls", "caught", "missed")}
    if compared is not None:
        summary["conformance"] = compared
    write_json(SUMMARY, summary)
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

"""`python -m harness.report.build`: one self-contained HTML file from Allure results, made by Allure 3.

In front of Allure's pages stands one of ours (front), made from what the run left beside its Allure results.
Allure exits 0 for an empty report, so this module checks what went in and what came out itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from executor.errors import CordonError, MisuseError
from executor.host.tools import need_tool
from harness.errors import ReportError
from harness.judgement.coverage import Covered, drawing
from harness.report import front, records
from harness.report.whole_file import write_text

RESULTS: Final = Path("build/drills/allure-results")
REPORT: Final = Path("build/drills/report")
INDEX: Final = "index.html"
TIMEOUT_S: Final = 300
"""A report of a few hundred scenarios takes some seconds."""
SMALLEST: Final = 100_000
"""Bytes: the viewer alone is over a megabyte; less means that nothing was rendered."""


def generate(results: Path, target: Path, *, history: Path | None = None, title: str = "Cordon drills") -> Path:
    """Make `target`/index.html from the results folder; its path. Raises `ReportError`.

    `history` is a JSONL file that is read and added to, so that the next report shows the trend.
    """
    if not any(results.glob("*-result.json")):
        raise ReportError(f"there are no Allure results in {results}; run `tox -e drills` first")
    allure = need_tool("allure")
    index = target / INDEX
    index.unlink(missing_ok=True)
    command = [str(allure), "awesome", str(results), "--single-file", "--output", str(target), "--report-name", title]
    command += ["--group-by", "epic,feature,story"]
    if history is not None:
        history.parent.mkdir(parents=True, exist_ok=True)
        command += ["--history-path", str(history)]
    environment = {**os.environ, "NO_COLOR": "1", "CI": "1", "ALLURE_DISABLE_ANALYTICS": "1"}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReportError(f"{allure} could not be run: {error}") from error
    if ended.returncode != 0:
        raise ReportError(f"allure ended with {ended.returncode}: {(ended.stderr or ended.stdout).strip()[-500:]}")
    if not index.is_file() or index.stat().st_size < SMALLEST:
        raise ReportError(f"allure ended well and left no report at {index}")
    _with_front_page(index, results.parent)
    return index


def _with_front_page(index: Path, folder: Path) -> None:
    """Mend Allure's file, and put the front page before it where a run of drills left its material in `folder`."""
    document = front.mended(index.read_text(encoding="utf-8"))
    covered = records.read([folder / records.FILE])[1] if (folder / records.FILE).exists() else Covered()
    material = front.read(folder, drawing(covered))
    if material is not None:
        document = front.weave(document, front.render(replace(material, pages=front.pages(document))))
    write_text(index, document)


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of the report's command line, shared with `cordon report`."""
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help=f"Allure results ({RESULTS})")
    parser.add_argument("--output", type=Path, default=REPORT, metavar="DIR", help=f"where it goes ({REPORT})")
    parser.add_argument("--history", type=Path, metavar="FILE", help="JSONL file with earlier runs, read and added to")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=(__doc__ or "").split("\n", 1)[0])
    configure(parser)
    options = parser.parse_args(arguments)
    try:
        index = generate(options.results, options.output, history=options.history)
    except CordonError as error:
        sys.stderr.write(f"report: {error}\n")
        return 2 if isinstance(error, MisuseError) else 1
    sys.stdout.write(f"report: {index}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Shards put together again: one summary, one report, as if one job had run every scenario.

Refused before anything is written: a shard that is missing or given twice, shards of different sources or engines, a
scenario that two of them ran. What is missing would otherwise look like a smaller suite that is green.
"""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.collection.shard import Shard
from harness.conform import MODELLED_BAR
from harness.conform import kept as conformance
from harness.errors import ReportError
from harness.report import records, summary
from harness.report.records import Record
from harness.report.whole_file import write_json
from harness.sabotage import kept, matrix

RESULTS: Final = "allure-results"
SUMMARY: Final = "summary.json"
JUNIT: Final = "junit.xml"
_SAME: Final = {"engine": "engines", "digests": "digests", "source": "commits"}
"""What every shard's summary has to agree on."""


def merge(folders: Sequence[Path], target: Path, policies: Path) -> dict[str, Any]:
    """Put the shards in `folders` (each what a job left in build/drills) together in `target`; the summary.

    Raises `ReportError` when they are not the whole of one run.
    """
    _complete(folders)
    found, covered = records.read([folder / records.FILE for folder in folders])
    _once(found)
    summaries = [_json(folder / SUMMARY) for folder in folders]
    for name, what in _SAME.items():
        told = {
            str(folder): json.dumps(one.get(name), sort_keys=True)
            for folder, one in zip(folders, summaries, strict=True)
        }
        if len(set(told.values())) > 1:
            each = "; ".join(f"{folder} {value}" for folder, value in told.items())
            raise ReportError(f"the shards were run with different {what}, so they are no one run: {each}")
    swept = _swept(folders)
    whole = summary.summarize(found, policies, covered, summaries[0].get("source"))
    whole["duration_s"] = max(float(one["duration_s"]) for one in summaries)
    if swept is not None:
        whole["sabotage"] = {name: swept[name] for name in ("controls", "caught", "missed")}
        kept.write(target / kept.FILE.name, swept)
    compared = _compared(folders)
    if compared is not None:
        whole["conformance"] = conformance.figures(compared, bar=MODELLED_BAR)
        conformance.write(target / conformance.FILE.name, compared)
    target.mkdir(parents=True, exist_ok=True)
    _results(folders, target / RESULTS)
    _junit([folder / JUNIT for folder in folders], target / JUNIT)
    records.write(target / records.FILE, found, covered)
    write_json(target / SUMMARY, whole)
    return whole


def _complete(folders: Sequence[Path]) -> None:
    """All parts of one split, each once."""
    shards = []
    for folder in folders:
        told = records.shard_of(folder / records.FILE)
        if not told:
            raise ReportError(f"{folder} is no shard: that run had every scenario, or a choice of them")
        shards.append(Shard.parse(told))
    count = max(shard.count for shard in shards)
    given = sorted(shard.index for shard in shards)
    if any(shard.count != count for shard in shards):
        raise ReportError(f"the shards are of different splits: {', '.join(map(str, shards))}")
    lacking = [f"{index}/{count}" for index in range(1, count + 1) if index not in given]
    twice = [f"{index}/{count}" for index in sorted(set(given)) if given.count(index) > 1]
    if lacking or twice:
        wrong = [f"missing: {', '.join(lacking)}"] if lacking else []
        wrong += [f"given twice: {', '.join(twice)}"] if twice else []
        raise ReportError(f"these folders are not one whole run of {count} shards; {'; '.join(wrong)}")


def _once(found: Sequence[Record]) -> None:
    names = [record["id"] for record in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ReportError(f"run by more than one shard: {', '.join(twice[:5])}")


def _swept(folders: Sequence[Path]) -> dict[str, Any] | None:
    """The shards' parts of the sabotage sweep as one; None when none of them has any. Every control must be in it."""
    files = [folder / kept.FILE.name for folder in folders]
    raws = [kept.read(path) for path in files if path.exists()]
    if not raws:
        return None
    swept = matrix.merged(raws)
    lacking = [name for name in matrix.controls() if name not in swept["wanted"]]
    return {**swept, "missed": [*swept["missed"], *lacking], "controls": len(matrix.controls())}


def _compared(folders: Sequence[Path]) -> dict[str, Any] | None:
    """The shards' comparisons with the simulator as one; None when none of them has any, refused when one has none."""
    files = [folder / conformance.FILE.name for folder in folders]
    there = [path for path in files if path.exists()]
    if there and len(there) < len(files):
        raise ReportError(
            f"these shards were not compared with the simulator: {', '.join(map(str, {*files} - {*there}))}"
        )
    return conformance.merged([conformance.read(path) for path in there]) if there else None


def _results(folders: Sequence[Path], target: Path) -> None:
    """All Allure results in one folder; the picture of what was covered is drawn anew by the report."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for folder in folders:
        for path in sorted((folder / RESULTS).glob("*")):
            if path.name.startswith("cordon-"):
                continue
            if (target / path.name).exists():
                raise ReportError(f"two shards have a file {path.name}: is one given twice?")
            shutil.copyfile(path, target / path.name)


def _junit(sources: Sequence[Path], target: Path) -> None:
    """One JUnit file with every suite of the shards'."""
    whole = ET.Element("testsuites")
    for path in sources:
        if path.exists():
            whole.extend(ET.parse(path).getroot().iter("testsuite"))  # noqa: S314 - pytest's own file
    ET.ElementTree(whole).write(target, encoding="utf-8", xml_declaration=True)


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from None
    return found

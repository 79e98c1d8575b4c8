"""Shards merged: the whole of one run, or a refusal that says what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.conform import kept as conformance
from harness.conform.run import Compared, Report
from harness.errors import ReportError
from harness.report import merge, records

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two jobs leave what they made: they run once."""
    return tmp_path_factory.mktemp("shards")


@pytest.fixture
def shards(project: Any, left: Path, tmp_path: Path) -> list[Path]:
    """Two shards of three scenarios, as jobs leave them; a test may change its copies."""
    if not any(left.iterdir()):
        project.write("a.yaml", project.hello("one", plan="A"), project.hello("two"), project.attempt)
        for number in (1, 2):
            project.run("--alluredir=out/allure-results", "--summary=out/summary.json", f"--shard={number}/2")
            shutil.move(project.path / "out", left / f"shard-{number}")
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    return sorted(tmp_path.glob("shard-*"))


def test_merged_shards_are_the_whole_run(shards: list[Path], tmp_path: Path) -> None:
    """Every scenario once, every result once, one summary over all."""
    whole = merge.merge(shards, tmp_path / "whole", ROOT / "policies")
    assert (whole["scenarios"]["total"], whole["scenarios"]["passed"]) == (3, 3)
    assert whole["attempts"]["blocked"] == 1
    assert whole["svf"]["seen"] == sum(json.loads((one / "summary.json").read_bytes())["svf"]["seen"] for one in shards)
    assert json.loads((tmp_path / "whole/summary.json").read_bytes()) == whole
    found, _ = records.read([tmp_path / "whole" / records.FILE])
    assert sorted(record["id"] for record in found) == ["attempt", "one", "two"]
    assert len(list((tmp_path / "whole/allure-results").glob("*-result.json"))) == 3


def test_a_missing_or_doubled_shard_is_refused(shards: list[Path], tmp_path: Path) -> None:
    """A smaller suite that is green would be worse than none."""
    with pytest.raises(ReportError, match=r"not one whole run of 2 shards; missing: 2/2$"):
        merge.merge(shards[:1], tmp_path / "whole", ROOT / "policies")
    with pytest.raises(ReportError, match=r"2 shards; given twice: 1/2$"):
        merge.merge([*shards, shards[0]], tmp_path / "whole", ROOT / "policies")
    assert not (tmp_path / "whole").exists()


def test_what_was_no_shard_is_refused(shards: list[Path], tmp_path: Path) -> None:
    """A whole run, or a choice of scenarios, is not a part of anything."""
    path = shards[0] / records.FILE
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "shard": ""}))
    with pytest.raises(ReportError, match="is no shard"):
        merge.merge(shards, tmp_path / "whole", ROOT / "policies")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("engine", "kvm", "engines"),
        ("digests", {"policy": "sha256:other"}, "digests"),
        ("source", {"commit": "f" * 40, "modified": False}, "commits"),
        ("source", {"commit": "", "modified": True}, "commits"),
    ],
)
def test_shards_of_different_runs_are_refused(
    shards: list[Path], tmp_path: Path, name: str, value: object, told: str
) -> None:
    """Different engines, policies or commits are different runs; the message says which folder says what."""
    path = shards[1] / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), name: value}))
    with pytest.raises(ReportError, match=rf"different {told}, .*{shards[0]} .*; {shards[1]} "):
        merge.merge(shards, tmp_path / "whole", ROOT / "policies")


def test_a_scenario_run_twice_is_refused(shards: list[Path], tmp_path: Path) -> None:
    """Counted twice it would make the suite look larger than it is."""
    one, two = (json.loads((folder / records.FILE).read_bytes()) for folder in shards)
    (shards[1] / records.FILE).write_text(json.dumps({**two, "records": [*two["records"], one["records"][0]]}))
    with pytest.raises(ReportError, match="run by more than one shard"):
        merge.merge(shards, tmp_path / "whole", ROOT / "policies")


def test_comparisons_with_the_simulator_are_merged(shards: list[Path], tmp_path: Path) -> None:
    """What differs in one shard differs in the whole; a shard that was not compared is not passed over."""
    one, two = Compared(shards[0].name, "EQUAL"), Compared(shards[1].name, "DIVERGENT", ("it differs",))
    for shard, compared in zip(shards, (one, two), strict=True):
        conformance.write(shard / conformance.FILE.name, conformance.to_json(Report("tcg", [compared])))
    whole = merge.merge(shards, tmp_path / "whole", ROOT / "policies")
    assert whole["conformance"]["wrong"] == {shards[1].name: ["it differs"]}
    assert (whole["conformance"]["equal"], whole["conformance"]["modelled_bar"]) == (1, 90)
    assert conformance.read(tmp_path / "whole" / conformance.FILE.name)["scenarios"]["total"] == 2
    (shards[0] / conformance.FILE.name).unlink()
    with pytest.raises(ReportError, match=r"not compared with the simulator: .*shard-1/"):
        merge.merge(shards, tmp_path / "other", ROOT / "policies")


def test_a_merge_without_folders_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what it needs."""
    from cordon.__main__ import main  # noqa: PLC0415 - one test of the command

    assert main(["report", "merge"]) == 2
    assert "needs the folder of each shard" in capsys.readouterr().err

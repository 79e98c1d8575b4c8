"""`cordon simulate` as a person meets it: exit statuses, one-line errors, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from cordon.__main__ import main
from harness.schema import LOAD, load
from harness.simulate import run as run_module

FILE: Final = """\
schema: cordon.load/1
id: small
title: Small
tasks: 300
executor: {workers: 1}
sources:
  - name: all
    arrivals: {poisson: {per_s: 0.8}}
    service_s: {exponential: {mean: 1}}
targets: {wait_p95_s: 0.5}
sweep: {workers: 1..3}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A load that one worker cannot serve well enough and three can."""
    path = tmp_path / "small.yaml"
    path.write_text(FILE)
    return str(path)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_missed_target_is_status_1_and_is_told(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are printed all the same, and the files written."""
    out = tmp_path / "out"
    assert main(["simulate", file, "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "300 arrived, 300 completed" in said
    assert "target missed: wait_p95_s: " in said
    assert (out / "waits.svg").exists()


def test_sizes_and_seed_on_the_command_line_win(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three workers meet the target; the JSON says which seed and sizes it was."""
    found = []
    for seed in ("4", "4", "5"):
        arguments = ["simulate", file, "--workers", "3", "--seed", seed, "--json", "--out", str(tmp_path / "out")]
        assert main(arguments) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert (found[0]["seed"], found[0]["serving"]["workers"], found[0]["missed"]) == (4, 3, [])
    assert found[0] == found[1]
    assert found[0]["wait_s"] != found[2]["wait_s"]


def test_a_sweep_recommends_or_says_that_nothing_does(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's own sweep finds a size; one over too few ends with 1."""
    out = ["--out", str(tmp_path / "out"), "--jobs", "1"]
    assert main(["simulate", "sweep", file, *out]) == 0
    assert "recommended: workers 3, the least that meets the targets" in capsys.readouterr().out
    assert main(["simulate", "sweep", file, *out, "--workers", "1..1"]) == 1
    assert "no size here meets the targets" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one load file"),
        (["sweep", "FILE", "FILE"], "name one load file"),
        (["FILE", "--workers", "1..4"], "several sizes are for `cordon simulate sweep FILE`"),
        (["FILE", "--pool", "many"], "--pool: many is no number and no A..B of 0 to 1024"),
        (["FILE", "--queue", "2000"], "--queue: 2000 is no number and no A..B of 1 to 1000"),
        (["FILE", "--tasks", "0"], "--tasks: at least 1"),
        (["sweep", "FILE", "--jobs", "0"], "--jobs: at least 1"),
        (["sweep", "FILE", "--workers", "2"], "nothing to sweep"),
    ],
)
def test_wrong_use_is_status_2_and_one_line(
    arguments: list[str], message: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, and what would be right."""
    assert main(["simulate", *(file if word == "FILE" else word for word in arguments)]) == 2
    said = told(capsys)
    assert message in said
    assert said.count("\n") == 1


def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and column in the error; a file that is not there is an outside error."""
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace("mean: 1", "mean: none"))
    assert main(["simulate", str(path)]) == 2
    assert "bad.yaml:9:37: sources[0].service_s.exponential.mean: expected a number" in told(capsys)
    assert main(["simulate", str(tmp_path / "nowhere.yaml")]) == 1
    assert "cannot read" in told(capsys)


def test_the_published_schema_describes_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    """`cordon schema load` prints it, and no top-level field is without a word."""
    assert main(["schema", "load"]) == 0
    assert json.loads(capsys.readouterr().out) == load(LOAD)
    described = load(LOAD)
    for name, field in described["properties"].items():
        target = described["$defs"][field["$ref"].rpartition("/")[2]] if set(field) == {"$ref"} else field
        assert target.get("description"), name


def test_a_folder_that_cannot_be_written_is_told_before_the_run(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An hour of simulation is not thrown away for it, and a good folder holds nothing of the look."""
    ran: list[object] = []
    simulate = run_module.simulate

    def noted(*given: Any) -> Any:
        ran.append(given)
        return simulate(*given)

    monkeypatch.setattr(run_module, "simulate", noted)
    (tmp_path / "taken").write_text("")
    assert main(["simulate", file, "--out", str(tmp_path / "taken")]) == 1
    assert f"cannot write to {tmp_path / 'taken'}" in capsys.readouterr().err
    assert not ran
    main(["simulate", file, "--out", str(tmp_path / "good")])
    assert len(ran) == 1
    assert not [path for path in (tmp_path / "good").iterdir() if path.name.startswith(".")]

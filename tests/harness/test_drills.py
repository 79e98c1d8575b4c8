"""The drills' own command: what it is asked, and what it leaves in build/drills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.drills import arguments, folder

ROOT = Path(__file__).resolve().parents[2]
KEPT = "history.jsonl"


def left_by_a_run(build: Path, outside: Path) -> None:
    """A folder with a report, a link that leads out, and what is kept between runs."""
    outside.mkdir()
    (outside / "file").write_text("")
    (build / "report").mkdir(parents=True)
    (build / "report/index.html").write_text("of the last run")
    (build / "link").symlink_to(outside)
    (build / KEPT).write_text("{}\n")


def test_a_run_begins_with_the_history_alone(tmp_path: Path) -> None:
    """Everything of the last run goes but what is kept between runs; a link is removed, not followed."""
    build = tmp_path / "drills"
    left_by_a_run(build, tmp_path / "outside")
    folder.set_aside(build)
    folder.let_go(build)
    assert [path.name for path in build.iterdir()] == [KEPT]
    assert (tmp_path / "outside/file").exists()


def test_a_run_that_never_began_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """What pytest has written before it gave up goes, what was there comes back; also after a start that was killed."""
    build = tmp_path / "drills"
    left_by_a_run(build, tmp_path / "outside")
    folder.set_aside(build)
    (build / "allure-results").mkdir()
    (build / "report").mkdir()
    folder.put_back(build)
    assert sorted(path.name for path in build.iterdir()) == [KEPT, "link", "report"]
    assert (build / "report/index.html").read_text() == "of the last run"
    folder.set_aside(build)
    folder.set_aside(build)
    assert sorted(path.name for path in build.iterdir()) == [".last", KEPT]


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (["--help"], 0, "usage: tox -e drills"),
        (["--no-such-option"], 4, "unrecognized arguments: --no-such-option"),
        (["-k", "nothing_is_called_so"], 5, ""),
    ],
)
def test_wrong_use_costs_no_results(given: list[str], status: int, said: str, tmp_path: Path) -> None:
    """The command that was mistyped says so with a status of its own, and the last report can still be read."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "scenarios").mkdir()
    build = tmp_path / folder.BUILD
    left_by_a_run(build, tmp_path / "outside")
    done = subprocess.run(
        [sys.executable, "-m", "harness.drills", *given],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert (build / "report/index.html").read_text() == "of the last run"
    assert not (build / ".last").exists()


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("scenarios", True),
        ("scenarios/hello_staging.yaml", True),
        ("scenarios/hello_staging.yaml::hello-staging", True),
        ("scenarios/gone.yaml", False),
        ("policies", False),
        ("-k", False),
    ],
)
def test_paths_of_scenarios_are_told_from_other_arguments(
    argument: str, *, names: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only arguments that name scenarios replace the whole folder; the value of an option does not."""
    monkeypatch.chdir(ROOT)
    assert arguments.is_path(argument) is names


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ([], True),
        (["-n", "2", "--engine=tcg"], True),
        (["--shard", "1/4"], True),
        (["scenarios/hello_staging.yaml"], False),
        (["-m", "smoke"], False),
        (["-kseccomp"], False),
        (["--sabotage", "seccomp"], False),
    ],
)
def test_only_a_whole_run_sweeps_the_controls(
    given: list[str], *, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who runs a few scenarios does not wait for the sweep; CI, also in shards, has it."""
    monkeypatch.chdir(ROOT)
    assert arguments.is_whole(given) is whole


@pytest.mark.parametrize("given", [["-n", "2"], ["-n2"], ["-n=2"], ["-v", "--numprocesses=2"]])
def test_options_of_pytest_are_understood(given: list[str]) -> None:
    """Workers for the sweep are as many as for the scenarios, however that was written."""
    assert arguments.option(given, "-n", "--numprocesses") == "2"
    assert arguments.option(given, "--shard") == ""

"""The guide tells the truth: its commands run, its file is a load, its figures are those that come out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from executor.host.tools import tools_dir
from harness.simulate.load_file import parse_file
from harness.simulate.run import missed, simulate

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDE: Final = (ROOT / "docs/guides/capacity.md").read_text("utf-8")
BLOCKS: Final = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
COMMANDS: Final = [line for block in BLOCKS for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_guide_works(command: str, tmp_path: Path) -> None:
    """Typed as it stands, it ends well."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(tools_dir()), os.environ["PATH"]])
    unset = {"PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    if command.startswith("cordon simulate"):
        command += f" --out {tmp_path}"
    done = subprocess.run(
        ["bash", "-c", command.replace("cordon ", f"{sys.executable} -m cordon ", 1)],
        cwd=ROOT,
        env={**environment, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_recommendation_in_the_guide_is_the_one_that_comes_out() -> None:
    """Three machines miss what is said to be missed, four miss nothing."""
    load = parse_file(ROOT / "docs/guides/capacity.yaml")
    three, four = (
        missed(simulate(load.turned("pool", pool))[0], load.targets) for pool in (3, 4)
    )  # each the same tasks
    assert len(three) == 1
    assert three[0] in GUIDE
    assert four == []
    assert simulate(replace(load.turned("pool", 4), seed=2))[0]["tasks"]["left"] < 10


def test_a_load_of_which_nothing_is_completed_meets_no_target() -> None:
    """Where everything is denied for want of memory nobody waits: that is no success."""
    load = parse_file(ROOT / "docs/guides/capacity.yaml")
    starved = replace(load, serving=replace(load.serving, memory_mb=1))
    found = simulate(starved)[0]
    assert found["tasks"]["completed"] == 0 < found["tasks"]["denied"]
    assert missed(found, load.targets) == ["not one task was completed: waits of nothing meet no target"]
    assert missed(found, ()) == []

"""README and the tour tell the truth: commands run, the example scenario parses, paths exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from executor.host.tools import tools_dir
from harness.document.scenario import parse_text

ROOT: Final = Path(__file__).resolve().parent.parent.parent
README: Final = (ROOT / "README.md").read_text("utf-8")
ACTIVATE: Final = ". tools/activate"
PAGES: Final = ("README.md", "CONTRIBUTING.md", "docs/architecture.md")
LINKING: Final = [
    str(path.relative_to(ROOT))
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guides").glob("*.md")])
]
RUN_BY_CI: Final = re.findall(r"^run (.*?) \|\| status=1$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
STATUSES: Final = {"python3 -m cordon doctor": {0, 1}, "cordon impact": {0, 1}}
"""Command -> exit statuses that are right besides 0: of the host, and of what is being edited."""
BOOTS_A_VM: Final = {"pytest scenarios/hello_staging.yaml"}


def fenced(language: str) -> list[str]:
    """The bodies of README's blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS: Final = [line for block in fenced("sh") for line in block.splitlines()]


def run(command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run one line of README as a person would, with this environment's programs."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(tools_dir()), os.environ["PATH"]])
    unset = {"PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_ci_runs_readmes_two_commands_and_nothing_else() -> None:
    """The block with the two commands and .ci/run are the same, in the same order."""
    assert fenced("sh")[0].splitlines() == RUN_BY_CI == ["python3 bootstrap.py tests", "python3 bootstrap.py drills"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.vm] if command in BOOTS_A_VM else [])
        for command in COMMANDS
        if command not in {*RUN_BY_CI, ACTIVATE}
    ],
)
def test_every_other_command_of_readme_works(command: str) -> None:
    """Typed as it stands, it ends well."""
    done = run(command)
    assert done.returncode in STATUSES.get(command, {0}), done.stdout[-3000:]


def test_activate_finds_what_bootstrap_made(tmp_path: Path) -> None:
    """Sourced in a checkout it puts the tests' environment and the tools first; elsewhere it says what to do."""
    script = ROOT / "tools" / "activate"
    assert "source it in the folder" in run(f". {script}", tmp_path).stdout
    (tmp_path / "bootstrap.py").touch()
    assert "python3 bootstrap.py tests" in run(f". {script}", tmp_path).stdout
    program = tmp_path / ".tox" / "tests" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    done = run(f'set -eu; CORDON_CACHE=/c; . {script}; echo "$PATH"', tmp_path)
    assert done.stdout.startswith(f"{tmp_path}/.tox/tests/bin:/c/tools/bin:")


def test_the_example_scenario_is_one() -> None:
    """What README shows is accepted as it stands."""
    (block,) = fenced("yaml")
    assert [scenario.id for scenario in parse_text(block, "README.md", ROOT / "scenarios")] == ["list-the-root"]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_exists(page: str) -> None:
    """A file in backticks or behind a link is there; what a run makes is below build/."""
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", text))
    named |= {str(Path(page).parent / link) for link in re.findall(r"\]\(([^)#]+)\)", text)}
    missing = {name for name in named if not (ROOT / name).exists() and not name.startswith(("build/", "report/"))}
    assert missing == set()


@pytest.mark.parametrize("page", LINKING)
def test_every_link_leads_somewhere(page: str) -> None:
    """A relative link of any page for people names a file or folder that is there."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (ROOT / page).parent.joinpath(link).exists()] == []

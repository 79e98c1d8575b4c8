"""The CI recipes and commit hooks: they fit the published schemas, run what README runs, and keep report and history.

What a schema cannot say is checked beside it: names that refer to each other, files and commands that exist, shards
that make up one whole; and the hooks stop a real commit.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cordon.__main__ import main
from cordon.commands import catalogue
from harness.collection.shard import Shard

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> Any:
    """A recipe as data."""
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


GITHUB = load(".github/workflows/drills.yml")
GITLAB = load(".gitlab-ci.yml")
JOBS = GITHUB["jobs"]


def github_commands() -> list[str]:
    """Every `run` of the workflow, in order."""
    return [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]


def gitlab_commands() -> list[str]:
    """Every script line of the GitLab jobs."""
    jobs = [job for job in GITLAB.values() if isinstance(job, dict) and "script" in job]
    return [line for job in jobs for line in job["script"]]


@pytest.mark.parametrize(
    ("checker", "file"),
    [
        ("check-jsonschema --builtin-schema vendor.github-workflows", ".github/workflows/drills.yml"),
        ("check-jsonschema --builtin-schema vendor.gitlab-ci", ".gitlab-ci.yml"),
        ("pre-commit validate-config", ".pre-commit-config.yaml"),
        ("pre-commit validate-manifest", ".pre-commit-hooks.yaml"),
    ],
)
def test_every_recipe_fits_its_schema(checker: str, file: str, tmp_path: Path) -> None:
    """The schema its own program publishes, without network; a recipe with one wrong word does not fit."""
    words = {"script": "scrpt", "runs-on": "run-on", "hooks:": "hoks:", "language:": "langage:"}
    text = (ROOT / file).read_text("utf-8")
    wrong = tmp_path / Path(file).name
    wrong.write_text(re.sub("|".join(words), lambda found: words[found[0]], text))
    assert program(*checker.split(), str(ROOT / file)).returncode == 0
    assert program(*checker.split(), str(wrong)).returncode == 1


def program(*words: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of this environment, as a person would call it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTEST_"))}
    environment |= {"PATH": path, "PRE_COMMIT_COLOR": "never", **variables}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_hooks_stop_a_real_commit(tmp_path: Path) -> None:
    """In a clone with the hooks installed, a scenario with a mistake is not committed, and the mended one is."""
    clone = tmp_path / "clone"
    assert program("git", "clone", "-q", str(ROOT), str(clone)).returncode == 0
    home = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "SKIP": "ruff"}  # ruff has an environment of its own
    for name in ("tests", "lint"):
        (clone / ".tox" / name).parent.mkdir(exist_ok=True)
        (clone / ".tox" / name).symlink_to(sys.prefix)
    assert program("pre-commit", "install", folder=clone, **home).returncode == 0
    scenario = clone / "scenarios/hello_staging.yaml"
    text = scenario.read_text("utf-8")
    commit = ("git", "-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-aqm", "a drill")
    scenario.write_text(text.replace("effect: completed", "effect: complete"))
    refused = program(*commit, folder=clone, **home)
    assert refused.returncode == 1
    assert "scenarios/hello_staging.yaml:" in refused.stdout + refused.stderr
    assert "did you mean completed" in refused.stdout + refused.stderr
    scenario.write_text(text.replace("its output comes back", "what it printed comes back"))
    taken = program(*commit, folder=clone, **home)
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert program("git", "status", "--porcelain", "scenarios", folder=clone).stdout == ""


@pytest.mark.parametrize("commands", [github_commands(), gitlab_commands()], ids=["github", "gitlab"])
def test_recipes_run_what_readme_runs(commands: list[str]) -> None:
    """README's two commands, the second in shards, then the shards merged: and nothing else."""
    assert [" ".join(shlex.split(line)[:3]) for line in commands] == [
        "python3 bootstrap.py tests",
        "python3 bootstrap.py drills",
        "python3 bootstrap.py report",
    ]
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("tests", "drills"):
        assert f"python3 bootstrap.py {name}\n" in readme


def test_github_shards_are_one_whole_run() -> None:
    """The matrix has every part of the split, every part is kept, and all are merged."""
    drills = JOBS["drills"]
    shards = drills["strategy"]["matrix"]["shard"]
    (command,) = [step["run"] for step in drills["steps"] if "run" in step]
    told = [command.replace("${{ matrix.shard }}", str(number)) for number in shards]
    parts = [Shard.parse(found[1]) for line in told if (found := re.search(r"--shard (\S+)", line))]
    assert [(part.index, part.count) for part in parts] == [(n, len(shards)) for n in range(1, len(shards) + 1)]
    (upload,) = [step for step in drills["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert (upload["with"]["name"], upload["if"]) == ("shard-${{ matrix.shard }}", "always()")
    assert "build/drills" in upload["with"]["path"].split()
    merged = next(step["run"] for step in JOBS["report"]["steps"] if "run" in step)
    assert merged.split(" -- ")[1].split() == ["merge", *(f"shards/shard-{number}" for number in shards)]
    assert JOBS["report"]["needs"] == "drills"


def test_gitlab_shards_are_one_whole_run() -> None:
    """Parallel jobs number themselves from 1; all of them are merged."""
    assert "--shard $CI_NODE_INDEX/$CI_NODE_TOTAL" in GITLAB["drills"]["script"][0]
    merged = GITLAB["report"]["script"][0].split(" -- ")[1].split()
    assert merged == ["merge", *(f"shards/shard-{number}" for number in range(1, GITLAB["drills"]["parallel"] + 1))]
    assert GITLAB["drills"]["artifacts"]["paths"] == ["shards"]


def test_every_job_is_bounded_and_pinned() -> None:
    """A hung machine ends; actions are named with a version; the token may only read."""
    assert GITHUB["permissions"] == {"contents": "read"}
    for name, job in JOBS.items():
        assert job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"[a-z-]+/[a-z-]+@v\d+", step["uses"])
        assert {need for need in [job.get("needs")] if need} <= set(JOBS)
    for name, job in GITLAB.items():
        if isinstance(job, dict) and "script" in job:
            assert job["stage"] in GITLAB["stages"], name
            assert set(job.get("needs", [])) <= set(GITLAB)


def test_report_and_history_are_kept() -> None:
    """The report is an artifact also of a red run, and the next one knows the trend."""
    kept = {"build/drills/history.jsonl", "build/drills/trend.jsonl"}
    caches = [step["with"] for step in JOBS["report"]["steps"] if step.get("uses", "").startswith("actions/cache@")]
    assert kept <= {path for cache in caches for path in cache["path"].split()}
    upload = JOBS["report"]["steps"][-1]
    assert upload["if"] == "always()"
    assert {"build/drills/report", "build/drills/summary.json"} <= set(upload["with"]["path"].split())
    gitlab = GITLAB["report"]
    assert kept <= {path for cache in gitlab["cache"] for path in cache["paths"]}
    assert gitlab["artifacts"]["when"] == "always"
    assert gitlab["artifacts"]["reports"]["junit"] == "build/drills/junit.xml"


def test_cache_keys_name_files_that_exist() -> None:
    """A key over nothing never changes, and an old image would be used for ever."""
    text = (ROOT / ".github/workflows/drills.yml").read_text("utf-8")
    patterns = {name for group in re.findall(r"hashFiles\(([^)]*)\)", text) for name in re.findall(r"'([^']+)'", group)}
    assert patterns
    for pattern in patterns:
        assert list(ROOT.glob(pattern)), pattern
    for cache in (GITLAB[".cordon"]["cache"][0], GITLAB["report"]["cache"][0]):
        assert all((ROOT / name).is_file() for name in cache["key"]["files"])


@pytest.mark.parametrize("name", [".pre-commit-hooks.yaml", ".pre-commit-config.yaml"])
def test_hooks_call_commands_that_exist(name: str) -> None:
    """Every entry is a command of ours or of an environment of ours; every pattern is an expression that matches."""
    raw = load(name)
    hooks = raw if isinstance(raw, list) else [hook for repo in raw["repos"] for hook in repo["hooks"]]
    assert {"cordon-scenarios", "cordon-policies"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        words = hook["entry"].replace(".tox/tests/bin/python -m ", "").split()
        assert words[0] in {"cordon", ".tox/lint/bin/ruff"}
        if words[0] == "cordon":
            assert words[1] in catalogue()
        if "files" in hook:
            example = "scenarios/hello_staging.yaml" if "scenarios" in hook["id"] else "policies/cordon/decision.rego"
            assert re.search(hook["files"], example)
            assert (ROOT / example).is_file()


def test_the_scenario_hook_finds_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hook runs says file, line and field, and ends with 1; the project's own scenarios end with 0."""
    monkeypatch.chdir(ROOT)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        (ROOT / "scenarios/hello_staging.yaml").read_text().replace("effect: completed", "effect: complete")
    )
    assert main(["check", "scenarios", str(wrong)]) == 1
    assert re.search(
        rf"{re.escape(str(wrong))}:\d+:\d+: expect\.effect: .*did you mean completed", capsys.readouterr().err
    )
    assert main(["check", "scenarios", "scenarios/hello_staging.yaml"]) == 0
    assert main(["check", "scenarios", "scenarios/hello_staging.yaml", "scenarios/hello_staging.yaml", "--json"]) == 0
    twice = tmp_path / "twice.yaml"
    twice.write_text((ROOT / "scenarios/hello_staging.yaml").read_text())
    assert main(["check", "scenarios", "scenarios/hello_staging.yaml", str(twice)]) == 1
    assert "hello-staging is taken; first at scenarios/hello_staging.yaml:1:1" in capsys.readouterr().err
